import { BPF_INSN_SIZE } from '../bpf/index.ts';

/** Instructions as bytes (`struct bpf_insn`), to be changed in place and to grow at their end. */
export class CodeBytes {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(slots: number) {
    this.#bytes = new Uint8Array(slots * BPF_INSN_SIZE);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Slots. */
  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    const end = this.#length * BPF_INSN_SIZE + bytes.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#bytes.set(bytes, this.#length * BPF_INSN_SIZE);
    this.#length = end / BPF_INSN_SIZE;
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length * BPF_INSN_SIZE);
  }

  has(slot: number): boolean {
    return slot >= 0 && slot < this.#length;
  }

  opcode(slot: number): number {
    return this.#bytes[slot * BPF_INSN_SIZE] as number;
  }

  /** Destination in the lower half, source in the upper. */
  registers(slot: number): number {
    return this.#bytes[slot * BPF_INSN_SIZE + 1] as number;
  }

  source(slot: number): number {
    return this.registers(slot) >> 4;
  }

  off(slot: number): number {
    return this.#view.getInt16(slot * BPF_INSN_SIZE + 2, true);
  }

  imm(slot: number): number {
    return this.#view.getInt32(slot * BPF_INSN_SIZE + 4, true);
  }

  setOpcode(slot: number, opcode: number): void {
    this.#bytes[slot * BPF_INSN_SIZE] = opcode;
  }

  setSource(slot: number, source: number): void {
    this.#bytes[slot * BPF_INSN_SIZE + 1] = (this.registers(slot) & 15) | (source << 4);
  }

  setOff(slot: number, off: number): void {
    this.#view.setInt16(slot * BPF_INSN_SIZE + 2, off, true);
  }

  setImm(slot: number, imm: number): void {
    this.#view.setInt32(slot * BPF_INSN_SIZE + 4, imm, true);
  }

  set(slot: number, opcode: number, registers: number, off: number, imm: number): void {
    this.setOpcode(slot, opcode);
    this.#bytes[slot * BPF_INSN_SIZE + 1] = registers;
    this.setOff(slot, off);
    this.setImm(slot, imm);
  }
}
