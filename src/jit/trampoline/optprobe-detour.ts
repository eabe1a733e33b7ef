import { invariant } from '../../base/index.ts';
import { CALL_INSN_SIZE, callRel32, JMP32_INSN_SIZE, jmpRel32 } from '../../insn/index.ts';

export interface OptprobeDetourRequest {
  /** optprobe_template_* of the kernel: the code and the places in it that are filled in, counted from its first byte. */
  readonly template: { readonly bytes: Uint8Array; readonly clac: number; readonly val: number; readonly call: number };
  /** Where the detour will live, counted from `_text`. */
  readonly at: number;
  /** Address of the struct optimized_kprobe. */
  readonly op: bigint;
  /** optimized_callback, counted from `_text`. */
  readonly callback: number;
  /** boot_cpu_has(X86_FEATURE_SMAP). */
  readonly hasSmap: boolean;
  /** The displaced instructions, relocated to where they are in the detour. */
  readonly copied: Uint8Array;
  /** Where the function goes on, counted from `_text`. */
  readonly returnTo: number;
}

const CLAC = [0x0f, 0x01, 0xca] as const;
/** `movabs $imm64,%rdi`. */
const MOV_RDI = [0x48, 0xbf] as const;
const MOV_RDI_SIZE = 10;

/** Bytes of a detour in all. */
export const optprobeDetourSize = (template: Uint8Array, copied: number): number =>
  template.length + copied + JMP32_INSN_SIZE;

/**
 * The detour of a jump-optimized kprobe: registers saved as pt_regs, CLAC where there is SMAP, `optimized_callback(op, regs)`, registers and flags
 * back, the displaced instructions, a jump to the one behind them.
 * Source: arch/x86/kernel/kprobes/opt.c arch_prepare_optimized_kprobe, synthesize_clac, synthesize_set_arg1 (6.12; 6.1 alike).
 */
export function generateOptprobeDetour(request: OptprobeDetourRequest): Uint8Array {
  const { template, at, copied } = request;
  const { bytes, clac, val, call } = template;
  invariant(val + MOV_RDI_SIZE <= call && call + CALL_INSN_SIZE <= bytes.length, 'a template with room for its values');
  const detour = new Uint8Array(optprobeDetourSize(bytes, copied.length));
  detour.set(bytes);
  if (request.hasSmap) detour.set(CLAC, clac);
  detour.set(MOV_RDI, val);
  new DataView(detour.buffer).setBigUint64(val + MOV_RDI.length, BigInt.asUintN(64, request.op), true);
  detour.set(callRel32(at + call, request.callback), call);
  detour.set(copied, bytes.length);
  const back = bytes.length + copied.length;
  detour.set(jmpRel32(at + back, request.returnTo), back);
  return detour;
}
