import type { KernelImage } from '../../../src/image/index.ts';
import { decodeInsn, disassemble } from '../../../src/insn/index.ts';
import type { LowKernel } from './low-memory.ts';

/** What a process may not do, or what answers otherwise there (SDM vol. 2, by instruction; UMIP). */
const PRIVILEGED =
  /^(?:cli|sti|hlt|in[bwl]?|out[bwl]?|ins[bwl]|outs[bwl]|rdmsr|wrmsr\w*|lgdt|lidt|lldt|ltr|lmsw|smsw|sgdt|sidt|sldt|str|clts|invlpg|invpcid|invd|wbinvd|wbnoinvd|swapgs|sysret\w*|iret\w*|stac|clac|xsetbv|monitor|mwait|rdpmc|vmcall|vmmcall|int3?|wrgsbase|wrfsbase|rdgsbase|rdfsbase|lar|lsl|verr|verw)$/;
const CHANGING = /^(?:rdtscp?|rdrand|rdseed|cpuid|rdpid|xgetbv)$/;
const IMAGE_SPAN = 0x800_0000n;

/** Why an executed instruction cannot be compared with what the real CPU does in a process; undefined: it can. */
export class UserMode {
  readonly #image: KernelImage;
  readonly #low: LowKernel;
  readonly #known = new Map<bigint, string | undefined>();

  constructor(image: KernelImage, low: LowKernel) {
    this.#image = image;
    this.#low = low;
  }

  #look(low: bigint): string | undefined {
    const { base, pristine } = this.#image;
    const address = low - this.#low.map.delta;
    const offset = Number(address - base);
    // Where the call returns to.
    if (!pristine.contains(offset, 15)) return undefined;
    const bytes = pristine.bytes(offset, 15);
    const text = disassemble(bytes, 0, base)[0]?.text ?? '';
    const mnemonic = text.split(' ').find((word) => !/^(?:lock|rep|repe|repne|repz|repnz|notrack)$/.test(word)) ?? '';
    if (PRIVILEGED.test(mnemonic) || /%[cd]r\d/.test(text)) return `is for the kernel: ${mnemonic}`;
    if (/%[cdefgs]s(?![:\w])/.test(text)) return `is for the kernel: segment registers`;
    if (CHANGING.test(mnemonic)) return `differs from time to time: ${mnemonic}`;
    const insn = decodeInsn(bytes, offset);
    if (insn === undefined) return 'is no instruction';
    for (const field of [insn.displacement, insn.immediate]) {
      if (field.size !== 4 || insn.ripRelative?.dispOffset === field.offset || insn.target !== undefined) continue;
      const value = BigInt.asUintN(64, BigInt(field.value));
      const isAddress = value >= base && value < base + IMAGE_SPAN;
      if (isAddress && !this.#low.relocated.has(address + BigInt(field.offset)))
        return 'has an address that boot wrote';
    }
    return undefined;
  }

  /** Of the first that cannot, of addresses of the process. */
  why(executed: Iterable<bigint>): string | undefined {
    for (const address of executed) {
      if (!this.#known.has(address)) this.#known.set(address, this.#look(address));
      const why = this.#known.get(address);
      if (why !== undefined) return why;
    }
    return undefined;
  }
}
