import { err, ok, type Result } from '../../base/index.ts';
import { emitCallDepthAccounting, emitReturn, emitRsbCall } from '../x86/generated-code.ts';
import { ARGUMENT_REGISTERS, R11, RBP, RSP } from '../x86/registers.ts';
import { type X86Emitter, x86Emitter } from '../x86/x86-emitter.ts';
import { placeParameters } from './trampoline-frame.ts';
import {
  ARGUMENT_WORDS,
  type BpfTrampolineRequest,
  type DirectLayout,
  type GeneratedTrampoline,
} from './trampoline-request.ts';

const WORD = 8;
/** Between a program's %rbp and the trampoline's frame: the saved %rbp and the return address. */
const FRAME_ABOVE_RBP = 16;
/** Between the trampoline's %rbp and what the caller of the traced function passed on the stack: %rbp and two return addresses. */
const CALLER_ABOVE_RBP = 24;

/**
 * Where a program that one of these trampolines calls finds each argument word, counted from its own %rbp: words that came in registers in the
 * trampoline's frame, ascending, others where the caller of the traced function put them.
 */
export function directWordPlaces(argSizes: readonly number[]): readonly number[] {
  const parameters = placeParameters(argSizes);
  const inRegisters = parameters.reduce((sum, { words, register }) => sum + (register === undefined ? 0 : words), 0);
  let kept = FRAME_ABOVE_RBP;
  let passed = FRAME_ABOVE_RBP + inRegisters * WORD + CALLER_ABOVE_RBP;
  return parameters.flatMap(({ words, register }) =>
    Array.from({ length: words }, () => {
      const at = register === undefined ? passed : kept;
      if (register === undefined) passed += WORD;
      else kept += WORD;
      return at;
    }),
  );
}

function problemOf(layout: DirectLayout, argSizes: readonly number[]): string | undefined {
  const places = placeParameters(argSizes);
  const words = places.reduce((sum, place) => sum + place.words, 0);
  const most = ARGUMENT_WORDS[layout];
  return words > most ? `the function takes ${words} argument words, the layout ${layout} carries ${most}` : undefined;
}

/**
 * The trampolines that the mail's thread talked about, for programs that are compiled for this one function: nothing is passed to the program.
 *
 * - `frame`: it reads the arguments out of this frame, at fixed distances from its own %rbp;
 * - `registers`: it finds them in R1 to R5, which are the registers that the function's arguments come in, and what it has overwritten in the
 *   frame; a second program gets the registers again;
 * - `r11`: r11 points at this frame.
 *
 * Arguments are pushed last first: unlike the mail's, the words ascend. As with the mail's there is no recursion check, no RCU and no call of the
 * original: programs at entry only. Calls and the return are those of the CPU's mitigations.
 */
export function generateDirectTrampoline(
  request: BpfTrampolineRequest & { readonly layout: DirectLayout },
): Result<GeneratedTrampoline> {
  const { layout, argSizes, programs, cpu } = request;
  const other = programs.find((program) => program.kind !== 'fentry');
  if (other !== undefined) {
    const detail = `a trampoline of layout ${layout} runs programs at entry only, not ${other.kind}`;
    return err({ errno: 'EOPNOTSUPP', rule: 'bpf.trampoline.layout-kind', detail });
  }
  const problem = problemOf(layout, argSizes);
  if (problem !== undefined) return err({ errno: 'ENOTSUPP', rule: 'bpf.trampoline.args', detail: problem });
  const used = placeParameters(argSizes).reduce(
    (sum, place) => sum + (place.register === undefined ? 0 : place.words),
    0,
  );
  const code = x86Emitter(request.at);
  emitCallDepthAccounting(code, cpu);
  code.push(RBP);
  code.movReg(RBP, RSP);
  const kept = ARGUMENT_REGISTERS.slice(0, used);
  for (const register of kept.toReversed()) code.push(register);
  for (const [index, program] of programs.entries()) {
    if (layout === 'r11') code.movReg(R11, RSP);
    if (layout === 'registers' && index > 0) emitReload(code, used);
    emitRsbCall(code, cpu, program.entry);
  }
  for (const register of kept) code.pop(register);
  code.raw(0xc9);
  emitReturn(code, cpu);
  if (code.outOfReach.length > 0) {
    const detail = 'a program that the trampoline calls lies more than 2 GiB away';
    return err({ errno: 'EINVAL', rule: 'bpf.trampoline.range', detail });
  }
  const bytes = code.finish();
  return ok({
    bytes,
    allocatedSize: bytes.length,
    contextBelowRbp: used * WORD,
    argWords: directWordPlaces(argSizes).length,
  });
}

/** The argument registers again, out of the frame. */
function emitReload(code: X86Emitter, used: number): void {
  for (const [index, register] of ARGUMENT_REGISTERS.slice(0, used).entries())
    code.load(register, RBP, WORD * (index - used));
}
