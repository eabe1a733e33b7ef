/** One tested instruction with what must stand before it so that the real CPU does not fault: addresses, counts, divisors. */
import { type Encoding, type Form, parseEncoding } from '../../src/cpu/form.ts';
import { type CodeWriter, flagBits } from './code-writer.ts';
import { type Choice, encodeForm, type Memory } from './encode-form.ts';
import { GS, SCRATCH } from './layout.ts';

type Size = 2 | 4 | 8;

const RCX = 1;
const RDX = 2;
const RSP = 4;

const INTERESTING = [0, 1, -1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, -0x8000_0000];

export const randomWord = (w: CodeWriter): number => (w.chance(40) ? w.pick(INTERESTING) : w.prng.u32() | 0);

/** What is known of the instruction before its operands are chosen. */
export interface Shape {
  readonly form: Form;
  readonly encoding: Encoding;
  readonly codes: readonly string[];
  readonly size: Size;
}

export function shapeOf(w: CodeWriter, form: Form): Shape {
  const encoding = parseEncoding(form.encoding);
  const sizes: readonly Size[] = encoding.isVex ? [4, 8] : /(?:^| )\wy/.test(form.operands) ? [4, 8] : [2, 4, 4, 8, 8];
  let size: Size = encoding.w === 1 ? 8 : encoding.w === 0 ? w.pick([2, 4]) : w.pick(sizes);
  // Results that are not defined: bswap of 16 bits. cmpxchg8b with 66 is not told apart.
  if ((form.name === 'bswap' || form.name === 'cmpxchg8b') && size === 2) size = 4;
  return { form, encoding, codes: form.operands.split(' '), size };
}

/** Chooses a memory operand in the scratch area and emits what sets its registers. Not in `busy`: registers that hold other operands. */
export function memory(
  w: CodeWriter,
  busy: readonly number[],
  max: number,
  align = 1,
): { rm: Memory; gs: boolean; address32: boolean } {
  const target = w.slot + SCRATCH + ((0xa0 + w.prng.below(0x50)) & -align);
  const address32 = w.chance(8);
  const gs = w.chance(8);
  const from = gs ? target - GS : target;
  const kind = w.prng.below(10);
  if (kind === 0 && !gs) return { rm: { kind: 'rip', target }, gs, address32: false };
  if (kind === 1) return { rm: { kind: 'absolute', address: from }, gs, address32 };
  const base = w.register(busy, max);
  const displacement = w.chance(30) ? 0 : w.chance(60) ? w.prng.below(256) - 128 : w.prng.below(0x2_0000) - 0x1_0000;
  const wide = w.chance(15);
  if (w.chance(50)) {
    w.movImm(base, from - displacement);
    return { rm: { kind: 'based', base, shift: 0, displacement, wide }, gs, address32 };
  }
  const index = w.register([...busy, base], max);
  const shift = w.prng.below(4);
  const by = w.prng.below(0x200) - 0x100;
  w.movImm(index, by);
  w.movImm(base, from - displacement - (by << shift));
  return { rm: { kind: 'based', base, index, shift, displacement, wide }, gs, address32 };
}

/** Letters of the flags that are undefined behind the instruction. */
export function undefinedFlags(form: Form, size: number, count: number | undefined): string {
  const rule = form.undefinedFlags ?? '';
  if (count === undefined || !['shift', 'sar', 'rotate', 'double'].includes(rule)) return rule;
  const n = count & (size === 8 ? 63 : 31);
  if (n === 0) return '';
  if (rule === 'rotate') return n > 1 ? 'o' : '';
  return `a${n > 1 ? 'o' : ''}${rule === 'shift' && n >= size * 8 ? 'c' : ''}`;
}

const operandSize = (code: string | undefined, size: number): number => (code?.endsWith('b') ? 1 : size);

/** How often something is shifted; a 16-bit shld by more than 16 has no defined result. */
function chooseCount(w: CodeWriter, shape: Shape): number | undefined {
  const { codes, form, size } = shape;
  if (codes.includes('1b')) return 1;
  if (!['shift', 'sar', 'rotate', 'double'].includes(form.undefinedFlags ?? '')) return undefined;
  const count = w.chance(50) ? w.prng.below(10) : w.prng.below(256);
  return form.undefinedFlags === 'double' && size === 2 ? count % 17 : count;
}

interface Plan {
  /** Registers that setup has filled and that memory operands must leave alone. */
  readonly busy: readonly number[];
  /** Registers that the ModRM.rm operand must not be. */
  readonly notRm: readonly number[];
}

const BIT_TESTS = ['bt', 'bts', 'btr', 'btc'];

/** What a form needs before its operands are addressed. */
function prepare(w: CodeWriter, shape: Shape, count: number | undefined): Plan {
  const { codes, form } = shape;
  if (codes.includes('Cb')) {
    w.raw(0xb1, count ?? 0);
    return { busy: [RCX], notRm: [] };
  }
  if (form.name === 'div' || form.name === 'idiv') return { busy: [0, RDX], notRm: [0, RDX] };
  return { busy: [], notRm: [] };
}

/** Makes a division come out: rdx:rax below the divisor, the divisor not 0. */
function prepareDivision(w: CodeWriter, choice: Choice, shape: Shape): void {
  const isByte = shape.codes[0] === 'Eb';
  const again = (form: Form, immediate: number): void => {
    w.raw(...encodeForm({ ...choice, form, immediate }, w.here));
  };
  const dummy = { build: choice.form.build };
  const or = { ...dummy, name: 'or', encoding: isByte ? '80 /1' : '83 /1', operands: isByte ? 'Eb Ib' : 'Ev Ib' };
  const width = shape.size === 2 ? [0x66] : shape.size === 8 ? [0x48] : [];
  if (isByte) w.raw(0xb8, w.prng.below(0x80), 0, 0, 0);
  else if (shape.form.name === 'idiv') w.raw(...width, 0xd1, 0xe8, ...width, 0x99);
  else if (w.chance(50)) w.raw(0x31, 0xd2);
  else {
    w.movImm(RDX, w.prng.below(0x7fff));
    again({ ...dummy, name: 'bts', encoding: '0f ba /5', operands: 'Ev Ib' }, shape.size * 8 - 1);
  }
  again(or, 1);
}

/** Half of the comparisons of cmpxchg are to succeed. */
function prepareExchange(w: CodeWriter, choice: Choice, shape: Shape): void {
  if (!w.chance(50)) return;
  const load = (
    form: { readonly encoding: string; readonly operands: string },
    reg: number,
    size: Size,
    rm: Choice['rm'],
  ): void => {
    const whole: Form = { ...form, name: 'mov', build: choice.form.build };
    w.raw(...encodeForm({ ...choice, form: whole, reg, rm, size, lock: false }, w.here));
  };
  const wide = { encoding: '8b /r', operands: 'Gv Ev' };
  if (shape.form.name === 'cmpxchg') {
    load(shape.codes[0] === 'Eb' ? { encoding: '8a /r', operands: 'Gb Eb' } : wide, 0, shape.size, choice.rm);
    return;
  }
  if (typeof choice.rm === 'number') return;
  const step = shape.size === 8 ? 8 : 4;
  const behind: Memory =
    choice.rm.kind === 'rip'
      ? { kind: 'rip', target: choice.rm.target + step }
      : choice.rm.kind === 'absolute'
        ? { kind: 'absolute', address: choice.rm.address + step }
        : { ...choice.rm, displacement: choice.rm.displacement + step };
  load(wide, RDX, step, behind);
  load(wide, 0, step, choice.rm);
}

/** Emits the instruction of a form with random operands; the letters of the flags that it leaves undefined. */
export function emitForm(w: CodeWriter, form: Form): string {
  const shape = shapeOf(w, form);
  const { codes, encoding, size } = shape;
  const count = chooseCount(w, shape);
  const plan = prepare(w, shape, count);
  // ah, ch, dh and bh exist only without REX, and so only beside the first eight registers.
  const hasByte = codes.some((code) => /^[EGRZ]b$/.test(code));
  const highBytes = hasByte && !encoding.isVex && !(size === 8 && codes.some((c) => c.endsWith('v'))) && w.chance(35);
  const max = highBytes ? 8 : 16;
  const choose = (code: string | undefined, not: readonly number[]): number =>
    highBytes && code?.endsWith('b') ? pickNot(w, 8, not) : w.register(not, max);
  const rmCode = codes.find((code) => /^[EMR]/.test(code));
  const isPair = form.name.startsWith('cmpxchg') && form.name !== 'cmpxchg';
  const wantsMemory = rmCode !== undefined && (rmCode.startsWith('M') || (rmCode.startsWith('E') && w.chance(45)));
  const bitByRegister = BIT_TESTS.includes(form.name) && codes[1] === 'Gv' && wantsMemory;
  const reg = choose(
    codes.find((code) => code.startsWith('G')),
    bitByRegister ? [] : [],
  );
  if (bitByRegister) w.movImm(reg, w.prng.below(0x280) - 0x140);
  const busy = [...plan.busy, ...(bitByRegister ? [reg] : []), ...(isPair ? [0, RDX] : [])];
  const isExchange = form.name === 'cmpxchg';
  const at = wantsMemory ? memory(w, isExchange ? [...busy, 0] : busy, max, isPair && size === 8 ? 16 : 1) : undefined;
  const choice: Choice = {
    form,
    size,
    reg,
    rm: at?.rm ?? choose(rmCode, plan.notRm),
    vvvv: w.register(),
    z: choose(
      codes.find((code) => code.startsWith('Z')),
      [],
    ),
    immediate: immediateOf(w, shape, count),
    lock: wantsMemory && form.lock === true && w.chance(30),
    gs: at?.gs ?? false,
    address32: at?.address32 ?? false,
    repeat: 0,
    forceRex: !highBytes && !encoding.isVex && (hasByte || w.chance(10)),
    shortVex: w.chance(50),
  };
  if (form.name === 'div' || form.name === 'idiv') prepareDivision(w, choice, shape);
  if (form.name.startsWith('cmpxchg')) prepareExchange(w, choice, shape);
  w.raw(...encodeForm(choice, w.here));
  return undefinedFlags(form, operandSize(codes[0], size), count);
}

function pickNot(w: CodeWriter, max: number, not: readonly number[]): number {
  for (;;) {
    const reg = w.prng.below(max);
    // Registers 4 to 7 are the high bytes of 0 to 3 here.
    if (!not.includes(reg & 3)) return reg;
  }
}

/** Absolute addresses are immediates, too. */
function immediateOf(w: CodeWriter, { codes }: Shape, count: number | undefined): number {
  if (codes.some((code) => code.startsWith('O'))) return w.slot + SCRATCH + 0xa0 + w.prng.below(0x50);
  return count ?? randomWord(w);
}

/** The flags that a log entry does not compare. */
export const ignoredBits = (letters: string): number => flagBits(letters);

export { RCX, RDX, RSP };
