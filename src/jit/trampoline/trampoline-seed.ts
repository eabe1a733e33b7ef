import { err, ok, type Result } from '../../base/index.ts';
import { ARGUMENT_REGISTERS, RBP, RDI, RSP } from '../x86/registers.ts';
import { x86Emitter } from '../x86/x86-emitter.ts';
import { layOutFrame } from './trampoline-frame.ts';
import type { BpfTrampolineRequest, GeneratedTrampoline } from './trampoline-request.ts';

/**
 * The trampoline as it was first written down (Alexei Starovoitov, 22 October 2019, on "x86/ftrace: Use text_poke()"): push the argument
 * registers, point %rdi at them, call the program, pop them, return into the function. For `tcp_set_state(sk, state)` these are the mail's
 * ten instructions.
 *
 * The pushes run downwards, so the context is in *descending* order: of two arguments ctx[0] is the second. What was merged later stores
 * them ascending. There is no recursion check, no RCU, no way to call the original: fentry programs only, each called in turn.
 * A frame of an even number of arguments leaves %rsp 8 bytes off a multiple of 16, which the kernel's ABI allows. Calls and the final
 * `ret` are bare, whatever the CPU's mitigations are: the mail predates them here.
 */
export function generateSeedTrampoline(request: BpfTrampolineRequest): Result<GeneratedTrampoline> {
  const other = request.programs.find((program) => program.kind !== 'fentry');
  if (other !== undefined) {
    const detail = `the seed's trampoline runs programs at entry only, not ${other.kind}`;
    return err({ errno: 'EOPNOTSUPP', rule: 'bpf.trampoline.layout-kind', detail });
  }
  const { argWords } = layOutFrame(request.argSizes, request.flags, false);
  if (argWords > ARGUMENT_REGISTERS.length) {
    const detail = `the function takes ${argWords} argument words, the seed's trampoline keeps ${ARGUMENT_REGISTERS.length} registers`;
    return err({ errno: 'ENOTSUPP', rule: 'bpf.trampoline.args', detail });
  }
  const kept = ARGUMENT_REGISTERS.slice(0, argWords);
  const code = x86Emitter(request.at);
  code.push(RBP);
  code.movReg(RBP, RSP);
  for (const register of kept) code.push(register);
  for (const program of request.programs) {
    code.lea(RDI, RBP, -8 * argWords);
    code.call(program.entry);
  }
  for (const register of kept.toReversed()) code.pop(register);
  code.raw(0xc9, 0xc3);
  if (code.outOfReach.length > 0) {
    const detail = 'a program that the trampoline calls lies more than 2 GiB away';
    return err({ errno: 'EINVAL', rule: 'bpf.trampoline.range', detail });
  }
  const bytes = code.finish();
  return ok({ bytes, allocatedSize: bytes.length, contextBelowRbp: 8 * argWords, argWords });
}
