/** Forms that need more than operands: branches, the stack, strings. Each emits the form at least once and comes back to where it was. */
import { type Form, parseEncoding } from '../../src/cpu/form.ts';
import type { CodeWriter } from './code-writer.ts';
import { encodeForm } from './encode-form.ts';
import { SCRATCH } from './layout.ts';
import { emitForm, memory, randomWord } from './snippets.ts';

type Emit = (w: CodeWriter, form: Form) => void;

const DEFAULTS = {
  size: 4,
  reg: 0,
  rm: 0,
  vvvv: 0,
  z: 0,
  immediate: 0,
  lock: false,
  gs: false,
  address32: false,
  repeat: 0,
  forceRex: false,
  shortVex: false,
} as const;

/** `inc %reg`, 64 bits, three bytes: what branches skip. */
const inc = (w: CodeWriter): readonly number[] => {
  const reg = w.register();
  return [0x48 | (reg >> 3), 0xff, 0xc0 | (reg & 7)];
};

function branch(w: CodeWriter, form: Form): void {
  const skipped = inc(w);
  w.raw(...encodeForm({ ...DEFAULTS, form, immediate: skipped.length }, w.here), ...skipped);
}

function loop(w: CodeWriter, form: Form): void {
  const isJrcxz = form.name === 'jrcxz';
  w.movImm(1, w.prng.below(isJrcxz ? 2 : 4) + (isJrcxz ? 0 : 1));
  const body = inc(w);
  if (isJrcxz || w.chance(50)) {
    w.raw(...encodeForm({ ...DEFAULTS, form, immediate: body.length, address32: w.chance(30) }, w.here), ...body);
    return;
  }
  // Backwards over an instruction that changes neither %rcx nor, below loope and loopne, what ends the loop too late.
  const reg = w.register([1], 8);
  const back = [0x48, 0x8d, 0x40 | (reg << 3), 1];
  w.raw(...back);
  const length = encodeForm({ ...DEFAULTS, form }, w.here).length;
  w.raw(...encodeForm({ ...DEFAULTS, form, immediate: -(back.length + length) }, w.here));
}

/** Through a register or through memory that holds the address. */
function indirect(w: CodeWriter, form: Form): void {
  const isCall = form.name === 'call';
  const reg = w.register();
  const store = w.slot + SCRATCH + 0xa0;
  const inMemory = w.chance(50);
  // The target is known when the length of everything before it is: emit twice.
  const emit = (into: CodeWriter, target: number): void => {
    if (inMemory) {
      into.rip([0x48, 0xc7], 0, store, 4);
      into.imm32(target);
    } else into.movImm(reg, target);
    const rm = inMemory ? ({ kind: 'rip', target: store } as const) : reg;
    into.raw(...encodeForm({ ...DEFAULTS, form, rm }, into.here));
  };
  const length = (target: number): number => {
    const before = w.bytes.length;
    emit(w, target);
    const size = w.bytes.length - before;
    w.bytes.length = before;
    return size;
  };
  const behind = w.here + length(0);
  if (isCall) {
    emit(w, behind + 2);
    w.raw(0xeb, 4, ...inc(w), 0xc3);
  } else {
    emit(w, behind + 3);
    w.raw(...inc(w));
  }
}

/** call, jmp over the body, body, ret. */
function callReturn(w: CodeWriter, form: Form): void {
  const isPop = form.encoding === 'c2';
  if (isPop) w.raw(0x50, 0x51);
  const ret = isPop ? [0xc2, 16, 0] : [0xc3];
  w.raw(0xe8, 2, 0, 0, 0, 0xeb, 3 + ret.length, ...inc(w), ...ret);
}

/** A push is popped again, a pop has something to pop. */
function stack(w: CodeWriter, form: Form): void {
  const encoding = parseEncoding(form.encoding);
  const size = w.chance(20) ? 2 : 8;
  const wide = size === 2 ? [0x66] : [];
  const isPush = form.name === 'push';
  const z = isPush && w.chance(10) ? 4 : w.register();
  const at = encoding.hasModrm && w.chance(60) ? memory(w, [], 16) : undefined;
  const { rm = w.register(), gs = false, address32 = false } = at ?? {};
  const bytes = (): Uint8Array =>
    encodeForm({ ...DEFAULTS, form, size, z, rm, gs, address32, immediate: randomWord(w) }, w.here);
  if (isPush) {
    w.raw(...bytes());
    const reg = w.register([], 8);
    w.raw(...wide, 0x58 | reg);
  } else {
    w.raw(...wide, 0x50 | w.prng.below(8));
    w.raw(...bytes());
  }
}

function flagsToStack(w: CodeWriter): void {
  w.raw(0x9c, 0x58 | w.register([], 8));
}

/** TF and AC would be felt, IF and IOPL need privilege. */
function flagsFromStack(w: CodeWriter): void {
  w.raw(0x68);
  w.imm32((w.prng.u32() & 0x8d5) | 0x202);
  w.raw(0x9d);
}

function frame(w: CodeWriter): void {
  w.raw(0xc8, w.prng.below(0x20), 0, 0, 0xc9);
}

function string(w: CodeWriter, form: Form): void {
  const size = w.pick([2, 4, 8] as const);
  const middle = w.slot + SCRATCH + 0x100;
  w.movImm(7, middle - 0x40 + w.prng.below(0x30));
  w.movImm(6, middle - 0x40 + w.prng.below(0x30));
  const compares = form.name === 'cmps' || form.name === 'scas';
  const repeat = w.chance(40) ? 0 : compares ? w.pick([0xf2, 0xf3] as const) : 0xf3;
  if (repeat !== 0) w.movImm(1, w.prng.below(9));
  const backwards = w.chance(30);
  // What is compared is to be equal sometimes for longer than an element.
  if (compares && w.chance(50))
    w.raw(0x57, 0x51, 0x50, 0x48, 0x31, 0xc0, 0xb9, 0x40, 0, 0, 0, 0xf3, 0xaa, 0x58, 0x59, 0x5f);
  if (backwards) w.raw(0xfd);
  w.raw(...encodeForm({ ...DEFAULTS, form, size, repeat }, w.here));
  if (backwards) w.raw(0xfc);
}

function xlat(w: CodeWriter, form: Form): void {
  w.movImm(3, w.slot + SCRATCH);
  w.raw(...encodeForm({ ...DEFAULTS, form }, w.here));
}

function direction(w: CodeWriter): void {
  w.raw(0xfd);
  w.logFlags(0);
  w.raw(0xfc);
}

const BY_NAME: ReadonlyMap<string, Emit> = new Map<string, Emit>([
  ['ret', callReturn],
  ['push', stack],
  ['pop', stack],
  ['pushf', flagsToStack],
  ['popf', flagsFromStack],
  ['enter', frame],
  ['leave', frame],
  ...['movs', 'cmps', 'stos', 'lods', 'scas'].map((name): [string, Emit] => [name, string]),
  ...['loop', 'loope', 'loopne', 'jrcxz'].map((name): [string, Emit] => [name, loop]),
  ['xlat', xlat],
  ['std', direction],
  ['cld', direction],
]);

/** Emits a form with all it needs; the letters of the flags that it leaves undefined. */
export function emitTested(w: CodeWriter, form: Form): string {
  const emit = BY_NAME.get(form.name);
  if (emit !== undefined) emit(w, form);
  else if (form.operands === 'Eq' && form.encoding.startsWith('ff')) indirect(w, form);
  else if (form.encoding === 'e8') callReturn(w, form);
  else if (form.operands.startsWith('J')) branch(w, form);
  else return emitForm(w, form);
  return '';
}
