import { err, type Fault, ok, type Result } from '../../base/index.ts';
import type { Insn } from './insn.ts';
import { ISA } from './isa.ts';
import { BPF_INSN_SIZE } from './opcodes.ts';

/** One statement of the source, labels taken off. */
interface Statement {
  readonly line: number;
  readonly slot: number;
  readonly mnemonic: string;
  readonly operands: readonly string[];
}

/** The fields of an instruction while it is assembled; `high` is the second half of a 64-bit immediate. */
interface Fields {
  dst: number;
  src: number;
  off: number;
  imm: number;
  high?: number;
}

class SyntaxFault extends Error {}

/** Other spellings that the suite uses. */
const ALIASES: ReadonlyMap<string, string> = new Map([16, 32, 64].map((size) => [`swap${size}`, `bswap${size}`]));

const NAMES: ReadonlyMap<string, readonly Insn[]> = new Map(
  ISA.filter((insn) => insn.since !== undefined).map(({ name }) => [name, ISA.filter((insn) => insn.name === name)]),
);
/** Mnemonics of two and three words, longest first. */
const WORDS = [...NAMES.keys()].filter((name) => name.includes(' ')).sort((a, b) => b.length - a.length);

/**
 * Assembles the syntax of the bpf_conformance suite: `add32 %r0, %r1`, `ldxw %r2, [%r1+4]`, `lock fetch add [%r10-8], %r1`, `jeq %r1, 0, done`,
 * `call local f`, labels with a colon, jumps also by `+N`, comments behind `#` and `;`. Answers the bytecode.
 *
 * Faults: EINVAL with the line in the detail: unknown mnemonic, operands it does not take, a label that is missing or defined twice, a number
 * that does not fit.
 */
export function assembleBpf(source: string): Result<Uint8Array> {
  const labels = new Map<string, number>();
  let line = 0;
  try {
    const statements: Statement[] = [];
    let slot = 0;
    for (const text of source.split('\n')) {
      line += 1;
      let rest = text.replace(/[#;].*$/, '').trim();
      for (let label = /^(\w+):\s*/.exec(rest); label !== null; label = /^(\w+):\s*/.exec(rest)) {
        const name = label[1] as string;
        if (labels.has(name)) throw new SyntaxFault(`label ${name} is defined twice`);
        labels.set(name, slot);
        rest = rest.slice(label[0].length);
      }
      if (rest === '') continue;
      const statement = readStatement(rest, line, slot);
      statements.push(statement);
      slot += statement.mnemonic.startsWith('lddw') ? 2 : 1;
    }
    // The suite lets `exit` name the program's first exit.
    const exit = statements.find(({ mnemonic }) => mnemonic === 'exit');
    if (exit !== undefined && !labels.has('exit')) labels.set('exit', exit.slot);
    const bytes = new Uint8Array(slot * BPF_INSN_SIZE);
    for (const statement of statements) {
      line = statement.line;
      write(bytes, statement, labels);
    }
    return ok(bytes);
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    return err(syntaxFault(line, error.message));
  }
}

const syntaxFault = (line: number, message: string): Fault => ({
  errno: 'EINVAL',
  rule: 'bpf.assembly.syntax',
  detail: `line ${line}: ${message}`,
});

function readStatement(text: string, line: number, slot: number): Statement {
  const words = WORDS.find((name) => text.startsWith(`${name} `));
  const mnemonic = words ?? (/^\S+/.exec(text)?.[0] as string);
  const operands = text
    .slice(mnemonic.length)
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
  const isCallx = mnemonic === 'call' && operands[0]?.startsWith('%');
  return { line, slot, mnemonic: isCallx ? 'callx' : (ALIASES.get(mnemonic) ?? mnemonic), operands };
}

function write(bytes: Uint8Array, statement: Statement, labels: ReadonlyMap<string, number>): void {
  const candidates = NAMES.get(statement.mnemonic);
  if (candidates === undefined) throw new SyntaxFault(`unknown instruction ${statement.mnemonic}`);
  const wantsRegister = statement.operands.at(candidates[0]?.meaning.kind === 'jump' ? 1 : -1)?.startsWith('%');
  const insn =
    candidates.find(({ meaning }) => !('from' in meaning) || (meaning.from === 'reg') === wantsRegister) ??
    (candidates[0] as Insn);
  const fields = fieldsOf(insn, statement, labels);
  const at = statement.slot * BPF_INSN_SIZE;
  const view = new DataView(bytes.buffer);
  bytes[at] = insn.code;
  bytes[at + 1] = fields.dst | (fields.src << 4);
  view.setInt16(at + 2, fields.off, true);
  view.setInt32(at + 4, fields.imm, true);
  if (fields.high !== undefined) view.setInt32(at + BPF_INSN_SIZE + 4, fields.high, true);
}

/** Reads the operands in the order in which the suite writes them for each kind. */
function fieldsOf(insn: Insn, statement: Statement, labels: ReadonlyMap<string, number>): Fields {
  const fields: Fields = {
    dst: 0,
    src: typeof insn.src === 'number' ? insn.src : 0,
    off: typeof insn.off === 'number' ? insn.off : 0,
    imm: typeof insn.imm === 'number' ? insn.imm : 0,
  };
  const operands = [...statement.operands];
  const next = (): string => {
    const operand = operands.shift();
    if (operand === undefined) throw new SyntaxFault(`${statement.mnemonic} takes more operands`);
    return operand;
  };
  const value = (): void => {
    if (insn.src === 'read' || insn.src === 'update') fields.src = register(next());
    else fields.imm = number32(next());
  };
  readOperands(insn, statement, fields, { next, value, labels });
  if (operands.length > 0) throw new SyntaxFault(`${statement.mnemonic} takes no operand ${operands[0]}`);
  return fields;
}

interface Reading {
  readonly next: () => string;
  readonly value: () => void;
  readonly labels: ReadonlyMap<string, number>;
}

function readOperands(insn: Insn, statement: Statement, fields: Fields, { next, value, labels }: Reading): void {
  const displacement = (operand: string): number => target(operand, statement.slot, labels);
  switch (insn.meaning.kind) {
    case 'alu':
    case 'mov':
    case 'movsx':
      fields.dst = register(next());
      value();
      return;
    case 'neg':
    case 'swap':
      fields.dst = register(next());
      return;
    case 'load':
      fields.dst = register(next());
      [fields.src, fields.off] = memory(next());
      return;
    case 'store':
    case 'atomic':
      [fields.dst, fields.off] = memory(next());
      value();
      return;
    case 'jump':
      fields.dst = register(next());
      value();
      fields.off = fits(displacement(next()), 16);
      return;
    case 'ja':
      if (insn.meaning.from === 'off') fields.off = fits(displacement(next()), 16);
      else fields.imm = displacement(next());
      return;
    case 'call':
      if (insn.meaning.callee === 'register') fields.dst = register(next());
      else fields.imm = insn.meaning.callee === 'function' ? displacement(next()) : number32(next());
      return;
    case 'ld-imm64': {
      fields.dst = register(next());
      const wide = number64(next());
      fields.imm = Number(BigInt.asIntN(32, wide));
      fields.high = Number(BigInt.asIntN(32, wide >> 32n));
      return;
    }
    case 'exit':
    case 'nospec':
    case 'tail-call':
      return;
  }
}

function register(operand: string): number {
  const found = /^%r(\d+)$/.exec(operand);
  if (found === null || Number(found[1]) > 10) throw new SyntaxFault(`${operand} is no register`);
  return Number(found[1]);
}

function memory(operand: string): [number, number] {
  const found = /^\[(%r\d+)\s*(?:([+-])\s*(\w+))?\]$/.exec(operand);
  if (found === null) throw new SyntaxFault(`${operand} is no memory operand`);
  const [, base = '', sign = '+', off = '0'] = found;
  return [register(base), fits(Number(number64(`${sign === '-' ? '-' : ''}${off}`)), 16)];
}

function number64(operand: string): bigint {
  const found = /^([+-]?)(0[xX][0-9a-fA-F]+|\d+)$/.exec(operand);
  if (found === null) throw new SyntaxFault(`${operand} is no number`);
  const size = BigInt(found[2] as string);
  return found[1] === '-' ? -size : size;
}

function number32(operand: string): number {
  const value = number64(operand);
  // Written as an unsigned 32-bit or a sign-extended 64-bit number, it is the same field.
  if (value >= -0x8000_0000n && value <= 0xffff_ffffn) return Number(BigInt.asIntN(32, value));
  if (value >= 0xffff_ffff_8000_0000n && value <= 0xffff_ffff_ffff_ffffn) return Number(BigInt.asIntN(32, value));
  throw new SyntaxFault(`${operand} does not fit into 32 bits`);
}

function target(operand: string, slot: number, labels: ReadonlyMap<string, number>): number {
  const label = labels.get(operand);
  if (label !== undefined) return label - slot - 1;
  if (/^[+-]/.test(operand)) return number32(operand);
  throw new SyntaxFault(`no label ${operand}`);
}

function fits(value: number, bits: number): number {
  if (value >= -(2 ** (bits - 1)) && value < 2 ** (bits - 1)) return value;
  throw new SyntaxFault(`${value} does not fit into ${bits} bits`);
}
