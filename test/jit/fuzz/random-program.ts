/** A random program: valid, ending, and reading nothing that has no value. One seed, one program. */
import { type Prng, seededPrng } from '../../../src/base/index.ts';
import { BPF_INSN_SIZE } from '../../../src/jit/index.ts';
import { DATA_SIZE, epilogue, type Item, prologue, randomItem, type Slot } from './program-items.ts';

export interface RandomFunction {
  readonly prologue: Item;
  readonly items: readonly Item[];
}

/** Programs of which the first is run and may tail-call the others and itself, through one prog array. */
export interface Family {
  readonly seed: number;
  readonly programs: readonly (readonly RandomFunction[])[];
  /** Its memory at the beginning; the prog array is put behind. */
  readonly data: Uint8Array;
  readonly isBlinded: boolean;
  readonly bmi2: boolean;
}

/** The prog array's place in memory, behind the data. */
export const ARRAY_AT = DATA_SIZE;

function randomFunction(prng: Prng, isMain: boolean, callees: readonly number[], programs: number): RandomFunction {
  // Few are long: their jumps are.
  const size = prng.below(100);
  const count = 1 + prng.below(size < 2 ? 500 : size < 30 ? 60 : 16);
  const start = prologue(prng, isMain);
  const tailCalls = isMain && programs > 0 ? { array: ARRAY_AT, programs } : undefined;
  const items = Array.from({ length: count }, (_, index) => randomItem(prng, { index, count, callees, tailCalls }));
  return { prologue: start, items };
}

export function randomFamily(seed: number): Family {
  const prng = seededPrng(seed);
  const programs = prng.below(6) === 0 ? 1 + prng.below(3) : 0;
  return {
    seed,
    programs: Array.from({ length: Math.max(programs, 1) }, () => {
      const functions = prng.below(3) === 0 ? 2 + prng.below(3) : 1;
      return Array.from({ length: functions }, (_, index) => {
        const callees = Array.from({ length: functions - index - 1 }, (_, more) => index + 1 + more);
        return randomFunction(prng, index === 0, callees, programs);
      });
    }),
    data: Uint8Array.from({ length: DATA_SIZE }, () => prng.below(256)),
    isBlinded: prng.below(3) === 0,
    bmi2: prng.below(2) === 0,
  };
}

interface Laid {
  readonly slots: readonly Slot[];
  /** Slot at which each item begins; the last is the epilogue. */
  readonly starts: readonly number[];
}

function layOut({ prologue: start, items }: RandomFunction): Laid {
  const slots: Slot[] = [...start];
  const starts = items.map((item) => {
    const at = slots.length;
    slots.push(...item);
    return at;
  });
  starts.push(slots.length);
  slots.push(...epilogue);
  return { slots, starts };
}

/** The bytecode of one program. */
export function bytecodeOf(functions: readonly RandomFunction[]): Uint8Array {
  const laid = functions.map(layOut);
  const begins = laid.map((_, index) => laid.slice(0, index).reduce((sum, { slots }) => sum + slots.length, 0));
  const bytes = new Uint8Array(laid.reduce((sum, { slots }) => sum + slots.length, 0) * BPF_INSN_SIZE);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [index, { slots, starts }] of laid.entries()) {
    let isSecond = false;
    for (const [place, { insn, dst, src, off, imm, to, calls }] of slots.entries()) {
      const distance = to === undefined ? 0 : (starts[to] as number) - place - 1;
      const absolute = (begins[index] as number) + place;
      bytes[at] = isSecond ? 0 : insn.code;
      bytes[at + 1] = dst | (src << 4);
      view.setInt16(at + 2, to !== undefined && insn.off === 'target' ? distance : off, true);
      const called = calls === undefined ? undefined : (begins[calls] as number) - absolute - 1;
      view.setInt32(at + 4, called ?? (to !== undefined && insn.imm === 'target' ? distance : imm), true);
      isSecond = insn.meaning.kind === 'ld-imm64' && !isSecond;
      at += BPF_INSN_SIZE;
    }
  }
  return bytes;
}

/** The family without one item: jumps beyond it are moved, calls stay. */
export function withoutItem(family: Family, program: number, fn: number, item: number): Family {
  const shorter = (each: RandomFunction): RandomFunction => ({
    ...each,
    items: each.items
      .filter((_, index) => index !== item)
      .map((slots) =>
        slots.map((slot) => (slot.to === undefined || slot.to <= item ? slot : { ...slot, to: slot.to - 1 })),
      ),
  });
  return {
    ...family,
    programs: family.programs.map((functions, p) =>
      p !== program ? functions : functions.map((each, f) => (f === fn ? shorter(each) : each)),
    ),
  };
}
