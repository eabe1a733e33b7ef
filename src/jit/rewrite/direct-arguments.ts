import { err, type Fault, ok, type Result } from '../../base/index.ts';
import {
  BPF_REG_FP,
  BPF_REG_R11,
  type BpfCode,
  type BpfFunction,
  type Insn,
  ISA,
  insnNamed,
  insnTable,
  jumpTarget,
} from '../bpf/index.ts';
import {
  argumentFlow,
  entryFlow,
  escapesAt,
  type Flow,
  holdsWord,
  isAmbiguous,
  isContext,
  pointsR11,
  withoutFirstWord,
} from './argument-flow.ts';
import { type Patch, type Rewritten, rewriteBpf } from './code-builder.ts';

/** How code that is compiled for one function gets at the function's arguments, instead of through the context in R1. */
export type ArgumentAccess = 'frame' | 'registers' | 'r11';

export interface DirectArgumentsRequest {
  readonly code: BpfCode;
  readonly functions: readonly BpfFunction[];
  readonly access: ArgumentAccess;
  /** Where each argument word lies, counted from the program's own %rbp. */
  readonly wordAt: readonly number[];
}

const MOV = insnNamed('mov', 'reg');
const MOV32 = insnNamed('mov32', 'reg');
const ADD_IMM = insnNamed('add', 'imm');
const SIGN_EXTENDED: Readonly<Record<number, Insn>> = {
  8: insnNamed('movsx864'),
  16: insnNamed('movsx1664'),
  32: insnNamed('movsx3264'),
};
const EVERY = insnTable(() => 1);
const WORD = 8;

/** Context words that R1 to R5 hold at the entry. */
const REGISTER_WORDS = 5;

const fault = (index: number, errno: Fault['errno'], rule: string, detail: string): Result<never> =>
  err({ errno, rule, detail: `instruction ${index}: ${detail}`, index });

interface Plan extends DirectArgumentsRequest {
  readonly flows: readonly (Flow | undefined)[];
  readonly escapes: boolean;
}

/** The move, if any, that gives a register what a load of this kind would give it. */
function moveFor({ meaning }: Insn): Insn | undefined {
  if (meaning.kind !== 'load') return undefined;
  if (meaning.size === 64) return MOV;
  if (meaning.isSigned) return SIGN_EXTENDED[meaning.size];
  return meaning.size === 32 ? MOV32 : undefined;
}

function readWord(plan: Plan, slot: number, flow: Flow, patch: Patch): void {
  const { code, access, wordAt } = plan;
  const insn = ISA[code.insn[slot] as number] as Insn;
  const dst = code.dst[slot] as number;
  const off = code.off[slot] as number;
  const word = Math.floor(off / WORD);
  const move = moveFor(insn);
  if (access === 'registers' && off % WORD === 0 && move !== undefined && holdsWord(flow, word)) {
    if (move !== MOV || dst !== word + 1)
      patch.emit(move, dst, word + 1, typeof move.off === 'number' ? move.off : 0, 0);
    return;
  }
  const place = (wordAt[word] as number) + (off % WORD);
  if (access !== 'r11') {
    patch.emit(insn, dst, BPF_REG_FP, place, 0);
    return;
  }
  const first = wordAt[0] as number;
  if (!pointsR11(flow)) {
    patch.emit(MOV, BPF_REG_R11, BPF_REG_FP, 0, 0);
    patch.emit(ADD_IMM, BPF_REG_R11, 0, 0, first);
  }
  patch.emit(insn, dst, BPF_REG_R11, place - first, 0);
}

function replace(plan: Plan, slot: number, patch: Patch): boolean {
  const { code, flows, escapes } = plan;
  const flow = flows[slot];
  if (flow === undefined) return false;
  const { meaning } = ISA[code.insn[slot] as number] as Insn;
  const src = code.src[slot] as number;
  if (meaning.kind === 'load' && isContext(flow, src)) {
    readWord(plan, slot, flow, patch);
    return true;
  }
  // Nobody looks at a copy of the context once every read is direct.
  return !escapes && meaning.kind === 'mov' && meaning.width === 64 && meaning.from === 'reg' && isContext(flow, src);
}

/** R1 := the context, where it is needed as an address. */
function putContext({ access, wordAt }: Plan, patch: Patch): void {
  if (access === 'r11') {
    patch.emit(MOV, 1, BPF_REG_R11, 0, 0);
    return;
  }
  patch.emit(MOV, 1, BPF_REG_FP, 0, 0);
  patch.emit(ADD_IMM, 1, 0, 0, wordAt[0] ?? 0);
}

function problemAt(plan: Plan, slot: number): Result<never> | undefined {
  const { code, flows, wordAt } = plan;
  const flow = flows[slot];
  if (flow === undefined) return undefined;
  const { meaning } = ISA[code.insn[slot] as number] as Insn;
  if (meaning.kind !== 'load') return undefined;
  if (isAmbiguous(code, slot, flow))
    return fault(slot, 'EINVAL', 'bpf.direct.ambiguous', 'the context and something else come to one load');
  if (!isContext(flow, code.src[slot] as number)) return undefined;
  const off = code.off[slot] as number;
  if (off >= 0 && Math.floor(off / WORD) < wordAt.length && (off % WORD) + meaning.size / 8 <= WORD) return undefined;
  return fault(slot, 'EACCES', 'bpf.direct.context', `invalid bpf_context access off=${off} size=${meaning.size / 8}`);
}

/**
 * Makes a program one that is compiled for a function: its reads of the context become reads of the trampoline's frame (`frame`: through the
 * program's own %rbp; `r11`: through r11, which the trampoline sets) or of the registers that the arguments came in (`registers`), and
 * copies of the context go. Where the program uses the context's address itself (passes it to a helper or function, stores it), R1 is set
 * to it at the beginning. Only the program's own function is rewritten; those that it calls get the address.
 *
 * Faults, with the slot in `index`: EACCES a read of the context beyond the arguments; EINVAL a load that reads the context on some ways only;
 * EOPNOTSUPP the address is used where words lie apart, or where the program's first instruction is jumped to.
 */
export function readArgumentsDirectly(request: DirectArgumentsRequest): Result<Rewritten> {
  const { code, functions, access, wordAt } = request;
  const [main] = functions as readonly [BpfFunction, ...BpfFunction[]];
  const held = access === 'registers' ? Math.min(wordAt.length, REGISTER_WORDS) : 0;
  const entry = entryFlow(held, access === 'r11');
  const first = argumentFlow(code, main, entry);
  const escapes = first.some((flow, slot) => flow !== undefined && escapesAt(code, slot, flow));
  // The first argument gives way to the context.
  const flows = escapes && held > 0 ? argumentFlow(code, main, withoutFirstWord(entry)) : first;
  const plan: Plan = { ...request, flows, escapes };
  for (let slot = main.start; slot < main.end; slot++) {
    const problem = problemAt(plan, slot);
    if (problem !== undefined) return problem;
  }
  if (escapes) {
    const isArray = wordAt.every((at, word) => at === (wordAt[0] as number) + WORD * word);
    if (!isArray) {
      const detail = "the context's address is used, and arguments that came on the stack lie apart from the others";
      return err({ errno: 'EOPNOTSUPP', rule: 'bpf.direct.address', detail });
    }
    for (let slot = main.start; slot < main.end; slot++)
      if (jumpTarget(code, slot) === main.start) {
        const detail = "the context's address is used, and the first instruction, before which it is set, is jumped to";
        return err({ errno: 'EOPNOTSUPP', rule: 'bpf.direct.address', detail });
      }
  }
  const rewritten = rewriteBpf(code, EVERY, (_, slot, patch) => {
    if (slot !== 0 || !escapes) return replace(plan, slot, patch);
    putContext(plan, patch);
    if (!replace(plan, slot, patch)) patch.keep();
    return true;
  });
  if (rewritten !== undefined) return ok(rewritten);
  const detail = 'with its arguments read directly a jump of the program is more than 32767 instructions long';
  return err({ errno: 'ERANGE', rule: 'bpf.jit.jump-range', detail });
}
