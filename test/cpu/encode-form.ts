import { type Encoding, type Form, parseEncoding } from '../../src/cpu/form.ts';

/** A memory operand; registers by number. */
export type Memory =
  | { readonly kind: 'rip'; readonly target: number }
  | { readonly kind: 'absolute'; readonly address: number }
  | {
      readonly kind: 'based';
      readonly base: number;
      readonly index?: number;
      /** 0 to 3. */
      readonly shift: number;
      readonly displacement: number;
      readonly wide: boolean;
    };

/** What an encoding leaves open. */
export interface Choice {
  readonly form: Form;
  /** Of `v` operands: 2, 4 or 8. */
  readonly size: 2 | 4 | 8;
  readonly reg: number;
  readonly rm: number | Memory;
  readonly vvvv: number;
  /** Register in the opcode. */
  readonly z: number;
  readonly immediate: number;
  readonly lock: boolean;
  readonly gs: boolean;
  readonly address32: boolean;
  readonly repeat: 0 | 0xf2 | 0xf3;
  /** REX even when no bit of it is needed. */
  readonly forceRex: boolean;
  /** The two-byte VEX prefix where it is possible. */
  readonly shortVex: boolean;
}

const le32 = (value: number): readonly number[] => [
  value & 255,
  (value >> 8) & 255,
  (value >> 16) & 255,
  (value >> 24) & 255,
];

const fitsByte = (value: number): boolean => value >= -128 && value <= 127;

/** ModRM, SIB and displacement. `behind` is the address behind the instruction, for %rip. */
function modrm(reg: number, rm: number | Memory, behind: number): readonly number[] {
  const field = (reg & 7) << 3;
  if (typeof rm === 'number') return [0xc0 | field | (rm & 7)];
  if (rm.kind === 'rip') return [field | 5, ...le32(rm.target - behind)];
  if (rm.kind === 'absolute') return [field | 4, 0x25, ...le32(rm.address)];
  const { base, index, shift, displacement, wide } = rm;
  const mod = displacement === 0 && (base & 7) !== 5 && !wide ? 0 : fitsByte(displacement) && !wide ? 1 : 2;
  const tail = mod === 0 ? [] : mod === 1 ? [displacement & 255] : le32(displacement);
  if (index === undefined && (base & 7) !== 4) return [(mod << 6) | field | (base & 7), ...tail];
  return [(mod << 6) | field | 4, (shift << 6) | (((index ?? 4) & 7) << 3) | (base & 7), ...tail];
}

/** Bytes of the immediate, by the operand code. */
function immediate(choice: Choice, encoding: Encoding): readonly number[] {
  const { form, size, immediate: value } = choice;
  if (form.name === 'enter') return [value & 0x1f, 0, 0];
  const code = form.operands.split(' ').find((c) => /^[IJO]/.test(c));
  if (code === undefined) return [];
  if (code.startsWith('O')) return choice.address32 ? le32(value) : [...le32(value), 0, 0, 0, 0];
  if (isByteImmediate(encoding, code)) return [value & 255];
  if (code === 'Iw') return [value & 255, (value >> 8) & 255];
  if (encoding.opcode >= 0xb8 && encoding.isPlusR && size === 8)
    return [...le32(value), ...le32(Math.imul(value, 0x9e37_79b1))];
  return size === 2 && code !== 'Jz' ? [value & 255, (value >> 8) & 255] : le32(value);
}

/** Opcodes whose immediate has one byte although the operand is longer. */
function isByteImmediate({ map, opcode }: Encoding, code: string): boolean {
  return code.endsWith('b') || (map === 0 && (opcode === 0x83 || opcode === 0x6b || opcode === 0x6a));
}

interface Bits {
  readonly r: number;
  readonly x: number;
  readonly b: number;
}

function extensionBits({ reg, rm, z }: Choice, encoding: Encoding): Bits {
  const memory = typeof rm === 'number' ? undefined : rm;
  const base = encoding.isPlusR ? z : typeof rm === 'number' ? rm : memory?.kind === 'based' ? memory.base : 0;
  const index = memory?.kind === 'based' ? (memory.index ?? 0) : 0;
  const hasModrm = encoding.hasModrm && encoding.modrm < 0;
  return {
    r: hasModrm && encoding.digit < 0 ? reg >> 3 : 0,
    x: hasModrm ? index >> 3 : 0,
    b: hasModrm || encoding.isPlusR ? base >> 3 : 0,
  };
}

const VEX_PP = new Map([
  [0, 0],
  [0x66, 1],
  [0xf3, 2],
  [0xf2, 3],
]);

function vex(choice: Choice, encoding: Encoding): readonly number[] {
  const { r, x, b } = extensionBits(choice, encoding);
  const w = choice.size === 8 ? 1 : 0;
  const vvvv = /(?:^| )B/.test(choice.form.operands) ? choice.vvvv : 0;
  const last = ((~vvvv & 15) << 3) | (VEX_PP.get(encoding.prefix) ?? 0);
  if (choice.shortVex && encoding.map === 1 && w === 0 && x === 0 && b === 0) return [0xc5, ((r ^ 1) << 7) | last];
  return [0xc4, ((r ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | encoding.map, (w << 7) | last];
}

/** Which operand codes REX.W and the operand-size prefix decide. */
const isSized = (form: Form): boolean =>
  /[vszy]/.test(form.operands) || ['98', '99', 'a5', 'a7', 'ab', 'ad', 'af'].includes(form.encoding);

/** The instruction's bytes at an address. */
export function encodeForm(choice: Choice, at: number): Uint8Array {
  const encoding = parseEncoding(choice.form.encoding);
  const { form, size } = choice;
  const prefixes: number[] = [];
  if (choice.gs) prefixes.push(0x65);
  if (choice.address32) prefixes.push(0x67);
  if (choice.lock) prefixes.push(0xf0);
  if (choice.repeat) prefixes.push(choice.repeat);
  const opcode = encoding.opcode | (encoding.isPlusR ? choice.z & 7 : 0);
  if (encoding.isVex) prefixes.push(...vex(choice, encoding), opcode);
  else prefixes.push(...legacy(choice, encoding, isSized(form) ? size : 4), opcode);
  if (!encoding.hasModrm) return Uint8Array.from([...prefixes, ...immediate(choice, encoding)]);
  if (encoding.modrm >= 0) return Uint8Array.from([...prefixes, encoding.modrm]);
  const reg = encoding.digit >= 0 ? encoding.digit : choice.reg;
  const tail = immediate(choice, encoding);
  const length = prefixes.length + modrm(reg, choice.rm, 0).length + tail.length;
  return Uint8Array.from([...prefixes, ...modrm(reg, choice.rm, at + length), ...tail]);
}

function legacy(choice: Choice, encoding: Encoding, size: 2 | 4 | 8): readonly number[] {
  const { r, x, b } = extensionBits(choice, encoding);
  const isStack = /(?:^| )\ws/.test(choice.form.operands);
  const w = encoding.w >= 0 ? encoding.w : size === 8 && !isStack ? 1 : 0;
  const rex = (w << 3) | (r << 2) | (x << 1) | b;
  const escapes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][encoding.map] ?? [];
  return [
    ...(size === 2 ? [0x66] : []),
    ...(encoding.prefix > 0 && !(encoding.prefix === 0x66 && size === 2) ? [encoding.prefix] : []),
    ...(rex !== 0 || choice.forceRex ? [0x40 | rex] : []),
    ...escapes,
  ];
}
