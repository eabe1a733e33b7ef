import { kernelAddress } from '../../src/base/index.ts';
import type { BpfTrampolineRequest, TrampolineProgram, TrampolineProgramKind } from '../../src/jit/index.ts';
import { trampolineFlags } from '../../src/jit/index.ts';

/** Round numbers, so that a test reads what it expects out of the bytes. */
export const ENTER = 0x10_0000;
export const EXIT = 0x10_0100;
export const TRAMP_ENTER = 0x10_0200;
export const TRAMP_EXIT = 0x10_0300;
export const FUNCTION = 0x20_0000;
export const IMAGE = 0x3f00_0000;
export const PROGRAM = 0x3f10_0000;

export function program(kind: TrampolineProgramKind, more: Partial<TrampolineProgram> = {}): TrampolineProgram {
  return {
    kind,
    entry: PROGRAM,
    prog: 0xffff_c900_0005_0000n,
    cookie: 0n,
    sleepable: false,
    recursionChecked: true,
    ...more,
  };
}

/** A request for a function of two arguments, with flags as bpf_trampoline_update derives them. */
export function request(
  programs: readonly TrampolineProgram[],
  more: Partial<BpfTrampolineRequest> = {},
): BpfTrampolineRequest {
  return {
    layout: 'linux-6.12',
    at: IMAGE,
    base: kernelAddress(0xffff_ffff_8100_0000n),
    function: { entry: FUNCTION, startsWithEndbr: true },
    argSizes: [8, 4],
    programs,
    flags: trampolineFlags({ programs, callsGetFuncIp: false, sharesIpmodify: false, tailCallCtx: false }),
    image: 0xffff_8880_0910_9800n,
    symbols: {
      __bpf_prog_enter: ENTER,
      __bpf_prog_exit: EXIT,
      __bpf_prog_enter_recur: ENTER,
      __bpf_prog_exit_recur: EXIT,
      __bpf_prog_enter_sleepable: ENTER,
      __bpf_prog_exit_sleepable: EXIT,
      __bpf_prog_enter_sleepable_recur: ENTER,
      __bpf_prog_exit_sleepable_recur: EXIT,
      __bpf_tramp_enter: TRAMP_ENTER,
      __bpf_tramp_exit: TRAMP_EXIT,
    },
    cpu: { sls: false, ibt: true },
    ...more,
  };
}
