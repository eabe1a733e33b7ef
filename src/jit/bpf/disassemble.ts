import { unreachable } from '../../base/index.ts';
import { type BpfCode, immediate64, SECOND_SLOT } from './code.ts';
import type { AluOp, Insn, JumpOp, SignedOp, Width } from './insn.ts';
import { ISA } from './isa.ts';

/** Names that the listing uses for what numbers stand for. */
export interface BpfNames {
  /** Name of a helper, without `bpf_`; undefined prints `unknown`. */
  readonly helper?: (id: number) => string | undefined;
  /** Name of the function that begins at a slot. */
  readonly function?: (slot: number) => string | undefined;
}

/** One line of a listing: `   3: (b7) r0 = 0`. */
export interface BpfLine {
  readonly slot: number;
  readonly text: string;
}

const ALU: Readonly<Record<AluOp | SignedOp, string>> = {
  add: '+=',
  sub: '-=',
  mul: '*=',
  div: '/=',
  sdiv: 's/=',
  or: '|=',
  and: '&=',
  lsh: '<<=',
  rsh: '>>=',
  mod: '%=',
  smod: 's%=',
  xor: '^=',
  arsh: 's>>=',
};
const COMPARE: Readonly<Record<JumpOp, string>> = {
  jeq: '==',
  jgt: '>',
  jge: '>=',
  jset: '&',
  jne: '!=',
  jsgt: 's>',
  jsge: 's>=',
  jlt: '<',
  jle: '<=',
  jslt: 's<',
  jsle: 's<=',
};

const signed = (value: number): string => (value < 0 ? `${value}` : `+${value}`);
const hex32 = (value: number): string => `0x${(value >>> 0).toString(16)}`;
const letter = (width: Width): string => (width === 64 ? 'r' : 'w');

/** Every instruction as the kernel's print_bpf_insn (kernel/bpf/disasm.c, 6.12) writes it, which is what `bpftool prog dump xlated` shows. */
export function disassembleBpf(code: BpfCode, names: BpfNames = {}): readonly BpfLine[] {
  const lines: BpfLine[] = [];
  for (let slot = 0; slot < code.length; slot++) {
    if (code.insn[slot] === SECOND_SLOT) continue;
    const opcode = (code.code[slot] as number).toString(16).padStart(2, '0');
    lines.push({ slot, text: `(${opcode}) ${textOf(code, slot, names)}` });
  }
  return lines;
}

/** The listing as text, slot numbers as `bpftool prog dump xlated` sets them. */
export function listBpf(code: BpfCode, names: BpfNames = {}): string {
  return disassembleBpf(code, names)
    .map(({ slot, text }) => `${String(slot).padStart(4)}: ${text}\n`)
    .join('');
}

function textOf(code: BpfCode, slot: number, names: BpfNames): string {
  const insn = ISA[code.insn[slot] as number] as Insn;
  const dst = code.dst[slot] as number;
  const src = code.src[slot] as number;
  const off = code.off[slot] as number;
  const imm = code.imm[slot] as number;
  const { meaning } = insn;
  const source = (width: Width): string =>
    'from' in meaning && meaning.from === 'imm' ? `${imm}` : `${letter(width)}${src}`;
  const at = (register: number, size: string): string => `*(${size} *)(r${register} ${signed(off)})`;

  switch (meaning.kind) {
    case 'alu':
      return `${letter(meaning.width)}${dst} ${ALU[meaning.op]} ${source(meaning.width)}`;
    case 'mov':
      return `${letter(meaning.width)}${dst} = ${source(meaning.width)}`;
    case 'movsx':
      return `${letter(meaning.width)}${dst} = (s${meaning.size})${letter(meaning.width)}${src}`;
    case 'neg':
      return `${letter(meaning.width)}${dst} = -${letter(meaning.width)}${dst}`;
    case 'swap':
      return `r${dst} = ${meaning.op}${meaning.size} r${dst}`;
    case 'load':
      return `r${dst} = ${at(src, `${meaning.isSigned ? 's' : 'u'}${meaning.size}`)}`;
    case 'store':
      return `${at(dst, `u${meaning.size}`)} = ${source(64)}`;
    case 'atomic':
      return atomicText(meaning, dst, src, off);
    case 'ja':
      return meaning.from === 'off' ? `goto pc${signed(off)}` : `gotol pc${signed(imm)}`;
    case 'jump': {
      const left = `${letter(meaning.width)}${dst}`;
      const right = meaning.from === 'imm' ? hex32(imm) : `${letter(meaning.width)}${src}`;
      return `if ${left} ${COMPARE[meaning.op]} ${right} goto pc${signed(off)}`;
    }
    case 'call':
      return callText(meaning.callee, slot, dst, imm, names);
    case 'tail-call':
      return `call bpf_tail_call#${imm}`;
    case 'exit':
      return 'exit';
    case 'ld-imm64':
      return `r${dst} = ${immediateText(code, slot, meaning.is, names)}`;
    case 'nospec':
      return 'nospec';
    default:
      return unreachable(meaning);
  }
}

function atomicText(
  meaning: Insn['meaning'] & { readonly kind: 'atomic' },
  dst: number,
  src: number,
  off: number,
): string {
  const size = `u${meaning.width}`;
  const name = `atomic${meaning.width === 64 ? '64' : ''}`;
  const at = `(${size} *)(r${dst} ${signed(off)})`;
  if (meaning.op === 'cmpxchg') return `r0 = ${name}_cmpxchg(${at}, r0, r${src})`;
  if (meaning.op === 'xchg') return `r${src} = ${name}_xchg(${at}, r${src})`;
  if (meaning.isFetch) return `r${src} = ${name}_fetch_${meaning.op}(${at}, r${src})`;
  return `lock *${at} ${ALU[meaning.op]} r${src}`;
}

type Callee = (Insn['meaning'] & { readonly kind: 'call' })['callee'];

function callText(callee: Callee, slot: number, dst: number, imm: number, names: BpfNames): string {
  if (callee === 'function') {
    const name = names.function?.(slot + 1 + imm);
    return `call pc${signed(imm)}${name === undefined ? '' : `#${name}`}`;
  }
  if (callee === 'register') return `callx r${dst}`;
  const name = callee === 'helper' ? names.helper?.(imm) : 'kernel-function';
  return `call ${name === undefined ? 'unknown' : callee === 'helper' ? `bpf_${name}` : name}#${imm}`;
}

function immediateText(code: BpfCode, slot: number, is: string, names: BpfNames): string {
  const low = code.imm[slot] as number;
  const high = code.imm[slot + 1] as number;
  switch (is) {
    case 'map-fd':
      return `map[id:${low}]`;
    case 'map-value':
      return `map[id:${low}][0]+${high}`;
    case 'map-index':
      return `map[idx:${low}]`;
    case 'map-index-value':
      return `map[idx:${low}]+${high}`;
    case 'function': {
      const name = names.function?.(slot + 1 + low);
      return `subprog[${signed(low)}]${name === undefined ? '' : `#${name}`}`;
    }
    default:
      return `0x${immediate64(code, slot).toString(16)}`;
  }
}
