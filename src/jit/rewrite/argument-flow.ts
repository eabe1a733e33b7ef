import { type BpfCode, type BpfFunction, type Insn, ISA, jumpTarget, SECOND_SLOT } from '../bpf/index.ts';
import { HELPER_PROTOTYPES } from '../helpers/index.ts';

/**
 * What is known in front of an instruction, in the bits of one number:
 * 0 to 9 R0 to R9 hold the context on every way here; 10 to 19 the same on some way; 20 to 24 R1 to R5 still hold the first five argument
 * words; 25 r11 points at the arguments.
 */
export type Flow = number;
const MAYBE = 10;
const HELD = 20;
const R11 = 1 << 25;
const REGISTERS = 0x3ff;
const CALLER_SAVED = 0x3f;
const ALL_HELD = 0x1f << HELD;
const BOTTOM_AND = REGISTERS | ALL_HELD | R11;
const MAX_HELPER_ARGS = 5;

export const isContext = (flow: Flow, register: number): boolean => register < MAYBE && ((flow >> register) & 1) === 1;
const maybeContext = (flow: Flow, register: number): boolean =>
  register < MAYBE && ((flow >> (MAYBE + register)) & 1) === 1;
export const holdsWord = (flow: Flow, word: number): boolean => word < 5 && ((flow >> (HELD + word)) & 1) === 1;
export const pointsR11 = (flow: Flow): boolean => (flow & R11) !== 0;

/** At the program's first instruction. */
export const entryFlow = (heldWords: number, r11: boolean): Flow =>
  (1 << 1) | (1 << (MAYBE + 1)) | (((1 << heldWords) - 1) << HELD) | (r11 ? R11 : 0);

/** The context takes the place of the first argument word in R1. */
export const withoutFirstWord = (flow: Flow): Flow => flow & ~(1 << HELD);

const merge = (a: Flow, b: Flow): Flow => (a & b & BOTTOM_AND) | ((a | b) & (REGISTERS << MAYBE));

/** A register got something else: no context, no argument word. */
function written(flow: Flow, register: number): Flow {
  if (register >= MAYBE) return flow;
  const held = register >= 1 && register <= 5 ? 1 << (HELD + register - 1) : 0;
  return flow & ~((1 << register) | (1 << (MAYBE + register)) | held);
}

const called = (flow: Flow): Flow => flow & ~(CALLER_SAVED | (CALLER_SAVED << MAYBE) | ALL_HELD | R11);

/** The compiler's loop for a fetching and, or, xor takes r11. */
const takesR11 = ({ meaning }: Insn): boolean =>
  (meaning.kind === 'load' && meaning.isProbe) ||
  (meaning.kind === 'atomic' && meaning.isFetch && ['and', 'or', 'xor'].includes(meaning.op));

/** Behind the instruction at `slot`. */
function transfer(code: BpfCode, slot: number, flow: Flow): Flow {
  const insn = ISA[code.insn[slot] as number] as Insn;
  const { meaning } = insn;
  const dst = code.dst[slot] as number;
  const src = code.src[slot] as number;
  if (meaning.kind === 'call' || meaning.kind === 'tail-call') return called(flow);
  if (meaning.kind === 'mov' && meaning.width === 64 && meaning.from === 'reg') {
    if (dst === src) return flow;
    const copy = (isContext(flow, src) ? 1 << dst : 0) | (maybeContext(flow, src) ? 1 << (MAYBE + dst) : 0);
    return written(flow, dst) | copy;
  }
  // A read of a context word: r11 is set for it when it has to be, and a register that holds the word keeps it.
  if (meaning.kind === 'load' && isContext(flow, src)) {
    const word = (code.off[slot] as number) / 8;
    const keeps = meaning.size === 64 && dst === word + 1 && holdsWord(flow, word);
    const read = keeps ? flow & ~((1 << dst) | (1 << (MAYBE + dst))) : written(flow, dst);
    return read | R11;
  }
  let after = takesR11(insn) ? flow & ~R11 : flow;
  if (insn.dst === 'write' || insn.dst === 'update') after = written(after, dst);
  if (insn.src === 'update' || insn.src === 'write') after = written(after, src);
  return meaning.kind === 'atomic' && meaning.op === 'cmpxchg' ? written(after, 0) : after;
}

/** What is known in front of every slot of one function; undefined where control does not come. */
export function argumentFlow(code: BpfCode, { start, end }: BpfFunction, entry: Flow): readonly (Flow | undefined)[] {
  const flows: (Flow | undefined)[] = new Array<Flow | undefined>(code.length).fill(undefined);
  const work: number[] = [];
  const reach = (slot: number, flow: Flow): void => {
    const known = flows[slot];
    const next = known === undefined ? flow : merge(known, flow);
    if (next === known) return;
    flows[slot] = next;
    work.push(slot);
  };
  reach(start, entry);
  for (let slot = work.pop(); slot !== undefined; slot = work.pop()) {
    const flow = flows[slot] as Flow;
    const { meaning } = ISA[code.insn[slot] as number] as Insn;
    if (meaning.kind === 'exit') continue;
    const after = transfer(code, slot, flow);
    const target = jumpTarget(code, slot);
    if (target !== undefined) reach(target, after);
    const next = slot + (code.insn[slot + 1] === SECOND_SLOT ? 2 : 1);
    if (meaning.kind !== 'ja' && next < end) reach(next, after);
  }
  return flows;
}

/** Registers that an instruction gets values from, beside a load's base and a move's source. */
function otherReads(code: BpfCode, slot: number): readonly number[] {
  const insn = ISA[code.insn[slot] as number] as Insn;
  const { meaning } = insn;
  const dst = code.dst[slot] as number;
  const src = code.src[slot] as number;
  switch (meaning.kind) {
    case 'call': {
      if (meaning.callee !== 'helper') return [1, 2, 3, 4, 5];
      const args = HELPER_PROTOTYPES.get(code.imm[slot] as number)?.args.length ?? MAX_HELPER_ARGS;
      return [1, 2, 3, 4, 5].slice(0, args);
    }
    case 'tail-call':
      return [1, 2, 3];
    case 'exit':
      return [0];
    case 'load':
      return [];
    case 'mov':
      return meaning.width === 32 && meaning.from === 'reg' ? [src] : [];
    default:
      return [
        ...(insn.dst === 'read' || insn.dst === 'update' ? [dst] : []),
        ...(insn.src === 'read' || insn.src === 'update' ? [src] : []),
      ];
  }
}

/** Whether the context's address itself is used: passed on, stored, compared, computed with. */
export const escapesAt = (code: BpfCode, slot: number, flow: Flow): boolean =>
  otherReads(code, slot).some((register) => maybeContext(flow, register));

/** A load through a register that holds the context on some ways here and something else on others. */
export const isAmbiguous = (code: BpfCode, slot: number, flow: Flow): boolean => {
  const src = code.src[slot] as number;
  return maybeContext(flow, src) && !isContext(flow, src);
};
