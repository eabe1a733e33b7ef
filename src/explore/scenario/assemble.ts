import { fromHex, invariant } from '../../base/index.ts';
import { callRel32, decodeInsn, jccRel32, jmpRel8, jmpRel32, nop } from '../../insn/index.ts';

/** A mistake in a scenario, in words for its author. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
}

export type Places = ReadonlyMap<string, number>;

/** `name`, `name+0x5`, or `0x1000`. */
export function resolvePlace(places: Places, text: string): number {
  const parts = /^(?:(0x[0-9a-f]+)|([A-Za-z_][\w.]*)(?:\+(0x[0-9a-f]+|\d+))?)$/.exec(text);
  if (parts === null) throw new ScenarioError(`${text} is no place`);
  if (parts[1] !== undefined) return Number(parts[1]);
  const start = places.get(parts[2] ?? '');
  if (start === undefined) throw new ScenarioError(`no text is called ${parts[2]}`);
  return start + Number(parts[3] ?? 0);
}

/** The length of an instruction of a scenario: known without knowing where names are. */
export function codeLength(code: readonly string[]): number {
  return code.reduce((sum, line) => sum + assembleOne(line, 0, () => 0).length, 0);
}

/** The bytes of a list of instructions that stands at a place. */
export function assemble(code: readonly string[], at: number, places: Places): Uint8Array {
  const bytes: number[] = [];
  for (const line of code) {
    const target = (name: string): number => resolvePlace(places, name);
    bytes.push(...assembleOne(line, at + bytes.length, target));
  }
  return Uint8Array.from(bytes);
}

function assembleOne(line: string, at: number, target: (name: string) => number): Uint8Array {
  const [word = '', name] = line.split(/\s+/);
  if (name !== undefined) return assembleBranch(word, at, target(name), line);
  const nops = /^nop(\d{1,2})$/.exec(word);
  if (nops !== null) return nop(Number(nops[1]));
  if (word === 'ret') return Uint8Array.of(0xc3);
  if (word === 'int3') return Uint8Array.of(0xcc);
  const bytes = fromHex(word);
  if (bytes === undefined || bytes.length === 0) throw new ScenarioError(`${line} is no instruction`);
  return bytes;
}

const JE = 4;

function assembleBranch(word: string, at: number, to: number, line: string): Uint8Array {
  switch (word) {
    case 'call':
      return callRel32(at, to);
    case 'jmp':
      return jmpRel32(at, to);
    case 'jmp8':
      return jmpRel8(at, to);
    case 'je':
      return jccRel32(JE, at, to);
    case 'je8':
      return Uint8Array.of(0x70 | JE, jmpRel8(at, to)[1] ?? 0);
    default:
      throw new ScenarioError(`${line} is no instruction`);
  }
}

export interface PlacedInsn {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The instructions one after the other in a piece of text; what does not decode ends it. */
export function sweep(bytes: Uint8Array, at: number): readonly PlacedInsn[] {
  const insns: PlacedInsn[] = [];
  for (let index = 0; index < bytes.length; ) {
    const insn = decodeInsn(bytes, at + index, index);
    if (insn === undefined || index + insn.length > bytes.length) break;
    invariant(insn.length > 0, 'an instruction of no length');
    insns.push({ at: at + index, bytes: bytes.slice(index, index + insn.length) });
    index += insn.length;
  }
  return insns;
}
