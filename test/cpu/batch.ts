/** A batch: many sequences with their states in one image that both CPUs run from the same entry, and what of its memory is compared. */
import { type Prng, seededPrng } from '../../src/base/index.ts';
import type { Form } from '../../src/cpu/form.ts';
import { CodeWriter, flagBits, type LogEntry } from './code-writer.ts';
import { emitTested } from './composites.ts';
import {
  CASES,
  CODE,
  CODE_BYTES,
  DATA,
  DATA_BYTES,
  IN,
  IN_FLAGS,
  OUT,
  OUT_FLAGS,
  SAVED_RSP,
  SCRATCH,
  SCRATCH_BYTES,
  STACK_TOP,
  slotOf,
} from './layout.ts';

export interface Tested {
  readonly form: Form;
  /** Of the code written for it: setup and instruction. */
  readonly at: number;
  readonly length: number;
}

export interface Case {
  readonly tested: readonly Tested[];
  readonly log: readonly LogEntry[];
  /** Flags that are undefined at the end. */
  readonly ignored: number;
}

export interface Batch {
  readonly code: Uint8Array;
  readonly data: Uint8Array;
  readonly cases: readonly Case[];
}

/** Instructions tested in one case. */
export const CASE_LENGTH = 24;

function registerValue(prng: Prng): bigint {
  const word = (): bigint => BigInt(prng.u32());
  switch (prng.below(6)) {
    case 0:
      return BigInt(prng.below(256));
    case 1:
      return BigInt.asUintN(64, -BigInt(prng.below(256)));
    case 2:
      return 1n << BigInt(prng.below(64));
    case 3:
      return word();
    default:
      return (word() << 32n) | word();
  }
}

function fillSlot(data: Uint8Array, slot: number, prng: Prng): void {
  const view = new DataView(data.buffer, slot - DATA);
  for (let reg = 0; reg < 16; reg++) view.setBigUint64(IN + reg * 8, registerValue(prng), true);
  view.setUint32(IN_FLAGS, (prng.u32() & 0x8d5) | 0x202, true);
  for (let i = 0; i < SCRATCH_BYTES; i += 4) view.setUint32(SCRATCH + i, prng.below(4) === 0 ? 0 : prng.u32(), true);
}

function prologue(w: CodeWriter): void {
  w.rip([0xff], 6, w.slot + IN_FLAGS);
  w.raw(0x9d);
  for (let reg = 0; reg < 16; reg++) if (reg !== 4) w.rip([0x48 | ((reg >> 3) << 2), 0x8b], reg, w.slot + IN + reg * 8);
  w.movImm(4, w.slot + STACK_TOP);
}

function epilogue(w: CodeWriter): void {
  for (let reg = 0; reg < 16; reg++) w.rip([0x48 | ((reg >> 3) << 2), 0x89], reg, w.slot + OUT + reg * 8);
  w.rip([0x48, 0x8b], 4, SAVED_RSP);
  w.raw(0x9c);
  w.rip([0x8f], 0, w.slot + OUT_FLAGS);
}

/** One sequence; `limit` cuts it after that many tested instructions, the ones before stay the same. */
function emitCase(w: CodeWriter, forms: readonly Form[], first: number, limit: number): Case {
  const tested: Tested[] = [];
  let ignored = 0;
  prologue(w);
  for (let i = 0; i < Math.min(CASE_LENGTH, limit); i++) {
    const form = forms[(first + i) % forms.length];
    if (form === undefined) break;
    const at = w.here;
    const undefinedLetters = emitTested(w, form);
    tested.push({ form, at, length: w.here - at });
    ignored = flagBits(undefinedLetters);
    if (ignored !== 0 || w.chance(40)) w.logFlags(ignored);
    if (ignored === 0 || i === CASE_LENGTH - 1) continue;
    // What is undefined must not flow into what follows: cmp defines all six.
    w.raw(0x48, 0x39, 0xc0 | (w.prng.below(8) << 3) | w.prng.below(8));
    ignored = 0;
  }
  epilogue(w);
  return { tested, log: w.log, ignored };
}

/** Saves what the caller needs, runs the sequences, gives it back. */
const SAVED = [[0x53], [0x55], [0x41, 0x54], [0x41, 0x55], [0x41, 0x56], [0x41, 0x57]];
const RESTORED = [[0x41, 0x5f], [0x41, 0x5e], [0x41, 0x5d], [0x41, 0x5c], [0x5d], [0x5b]];

/** @param forms in which order they are tried, over and over @param only the one case whose code is to be there, cut after `limit` */
export function makeBatch(
  seed: number,
  forms: readonly Form[],
  count = CASES,
  only?: { readonly index: number; readonly limit: number },
): Batch {
  const prng = seededPrng(seed);
  const order = shuffled(forms, prng);
  const code: number[] = [];
  const data = new Uint8Array(DATA_BYTES);
  const cases: Case[] = [];
  const start = new CodeWriter(prng, CODE, DATA);
  for (const bytes of SAVED) start.raw(...bytes);
  start.rip([0x48, 0x89], 4, SAVED_RSP);
  code.push(...start.bytes);
  for (let index = 0; index < count; index++) {
    const slot = slotOf(index);
    const own = seededPrng(prng.u32());
    fillSlot(data, slot, own);
    if (only !== undefined && only.index !== index) {
      cases.push({ tested: [], log: [], ignored: 0 });
      continue;
    }
    const w = new CodeWriter(own, CODE + code.length, slot);
    const made = emitCase(w, order, index * CASE_LENGTH, only?.limit ?? CASE_LENGTH);
    cases.push(made);
    code.push(...w.bytes);
  }
  const end = new CodeWriter(prng, CODE + code.length, DATA);
  end.rip([0x48, 0xc7], 0, SAVED_RSP, 4);
  end.imm32(0);
  for (const bytes of RESTORED) end.raw(...bytes);
  end.raw(0xc3);
  code.push(...end.bytes);
  if (code.length > CODE_BYTES) throw new RangeError('the batch is longer than its code area');
  return { code: Uint8Array.from(code), data, cases };
}

function shuffled<T>(items: readonly T[], prng: Prng): readonly T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}
