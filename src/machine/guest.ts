import type { AddressSpace, Cpu, Register } from '../cpu/index.ts';

/** Memory that a handler needs is not there: the call ends with a fault. */
export class GuestFault extends Error {
  readonly address: bigint;
  readonly access: 'read' | 'write';
  constructor(address: bigint, access: 'read' | 'write') {
    super(`${access} of 0x${address.toString(16)}`);
    this.address = address;
    this.access = access;
  }
}

/** One CPU as handlers written in C would see it: registers and memory in 64-bit words. */
export class Guest {
  readonly cpu: Cpu;
  readonly space: AddressSpace;

  constructor(cpu: Cpu, space: AddressSpace) {
    this.cpu = cpu;
    this.space = space;
  }

  get(name: Register): bigint {
    return this.cpu.get(name);
  }

  set(name: Register, value: bigint): void {
    this.cpu.set(name, value);
  }

  get flags(): bigint {
    return BigInt(this.cpu.flags >>> 0);
  }

  set flags(value: bigint) {
    this.cpu.flags = Number(BigInt.asIntN(32, value));
  }

  /** Instructions executed since the CPU was reset. */
  get executed(): number {
    return this.cpu.executed;
  }

  read64(address: bigint): bigint {
    const bytes = this.space.peek(BigInt.asUintN(64, address), 8);
    if (bytes === undefined) throw new GuestFault(address, 'read');
    return new DataView(bytes.buffer).getBigUint64(0, true);
  }

  write64(address: bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    if (!this.space.poke(BigInt.asUintN(64, address), bytes)) throw new GuestFault(address, 'write');
  }

  push(value: bigint): void {
    const top = this.get('rsp') - 8n;
    this.write64(top, value);
    this.set('rsp', top);
  }

  pop(): bigint {
    const top = this.get('rsp');
    const value = this.read64(top);
    this.set('rsp', top + 8n);
    return value;
  }
}
