import type { Insn } from '../insn/index.ts';
import type { Op, Operand, Size } from './operand.ts';

/** A decoded instruction with its operands, as a form's `build` gets it. */
export interface Instruction {
  readonly form: Form;
  readonly insn: Insn;
  readonly operands: readonly Operand[];
  /** Operand size of the `v` operands: 2, 4 or 8 bytes. */
  readonly size: Size;
  readonly bytes: Uint8Array;
  /** The address behind the instruction. */
  readonly nextHigh: number;
  readonly nextLow: number;
  /** The address of its first byte. */
  readonly high: number;
  readonly low: number;
}

/**
 * One implemented encoding. The table of forms is read by the decoder (what bytes mean), the documentation (docs/cpu-forms.md) and the
 * comparison with the real CPU (which sequences to try, which flags to compare).
 *
 * `encoding`: `[np|66|f2|f3] opcode bytes [+r] [/r | /digit]`, or `vex.MAP.PP[.w0|.w1] opcode [/r | /digit]` (all with L = 0).
 *
 * `operands`: space-separated codes, a kind and a size. Kinds: E register or memory (ModRM.rm), M memory only, R register only (ModRM.rm), G
 * register (ModRM.reg), B register (VEX.vvvv), Z register (opcode), A accumulator, C %cl, I immediate, J branch displacement, O absolute
 * address, 1 the constant. Sizes: b 1, w 2, d 4, q 8, v 2/4/8 by operand size, y 4/8, s 2/8 (stack), z immediate of 2 or 4 bytes.
 */
export interface Form {
  readonly name: string;
  readonly encoding: string;
  readonly operands: string;
  readonly build: (instruction: Instruction) => Op;
  /** It may have a lock prefix when its first operand is memory. */
  readonly lock?: true;
  /**
   * It sets %rip itself, or ends with an exit. `alone`: and it looks at or changes what is brought up to date between blocks (the count of
   * instructions, the interrupt shadow).
   */
  readonly ends?: true | 'alone';
  /** Letters of the arithmetic flags that the SDM leaves undefined (`oszapc`), or the rule by which that depends on a count. */
  readonly undefinedFlags?: string;
  /** Why it is not compared with the real CPU; what is not given is compared. */
  readonly notCompared?: string;
}

/** What an encoding string says. */
export interface Encoding {
  /** 0 one-byte, 1 `0f`, 2 `0f 38`, 3 `0f 3a`. */
  readonly map: 0 | 1 | 2 | 3;
  readonly isVex: boolean;
  /** Mandatory prefix: 0 whatever there is, -1 none allowed (`np`), else 0x66, 0xf2, 0xf3. */
  readonly prefix: number;
  /** 0 or 1 when W (VEX.W or REX.W) is fixed, else -1. */
  readonly w: number;
  readonly opcode: number;
  /** `+r`: the low three bits of the opcode are a register. */
  readonly isPlusR: boolean;
  readonly hasModrm: boolean;
  /** ModRM.reg when it is part of the opcode, else -1. */
  readonly digit: number;
  /** A whole ModRM byte that is part of the opcode (`0f 01 c1`), else -1. */
  readonly modrm: number;
}

const VEX_MAPS: Readonly<Record<string, 1 | 2 | 3>> = { '0f': 1, '0f38': 2, '0f3a': 3 };
const VEX_PREFIXES: Readonly<Record<string, number>> = { np: 0, '66': 0x66, f2: 0xf2, f3: 0xf3 };

const PARSED = new Map<string, Encoding>();

/** Reads an encoding string; the answer is kept. */
export function parseEncoding(text: string): Encoding {
  const known = PARSED.get(text) ?? parse(text);
  PARSED.set(text, known);
  return known;
}

function parse(text: string): Encoding {
  const tokens = text.split(' ');
  const slash = tokens.find((t) => t.startsWith('/'));
  const digit = slash !== undefined && slash !== '/r' ? Number(slash.slice(1)) : -1;
  const shared = { hasModrm: slash !== undefined, digit, modrm: -1 };
  const first = tokens[0] ?? '';
  if (first.startsWith('vex.')) {
    const [, map = '', prefix = '', w] = first.split('.');
    return {
      ...shared,
      map: VEX_MAPS[map] ?? 1,
      isVex: true,
      prefix: VEX_PREFIXES[prefix] ?? 0,
      w: w === undefined ? -1 : Number(w.slice(1)),
      opcode: Number.parseInt(tokens[1] ?? '', 16),
      isPlusR: false,
    };
  }
  const bytes = tokens.filter((t) => /^[0-9a-f]{2}(?:\+r)?$/.test(t));
  const numbers = bytes.map((t) => Number.parseInt(t, 16));
  const hasPrefix = numbers.length > 1 && [0x66, 0xf2, 0xf3].includes(numbers[0] ?? 0);
  const prefix = hasPrefix ? (numbers.shift() ?? 0) : tokens.includes('np') ? -1 : 0;
  const third = numbers.length > 1 && numbers[0] === 0x0f ? [0x38, 0x3a].indexOf(numbers[1] ?? 0) + 1 : -1;
  const hasThird = third > 0 && numbers.length > 2;
  const map = third < 0 ? 0 : !hasThird ? 1 : third === 1 ? 2 : 3;
  numbers.splice(0, map === 0 ? 0 : map === 1 ? 1 : 2);
  const [opcode = 0, modrm = -1] = numbers;
  const isPlusR = text.includes('+r');
  const w = tokens.includes('w1') ? 1 : tokens.includes('w0') ? 0 : -1;
  return { ...shared, map, isVex: false, prefix, w, opcode, isPlusR, modrm, hasModrm: shared.hasModrm || modrm >= 0 };
}
