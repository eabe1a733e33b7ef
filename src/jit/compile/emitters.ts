import { type Insn, ISA } from '../bpf/index.ts';
import { type Emit, type EmitOptions, emitAlu, emitMov, emitMovsx, emitNeg, emitSwap } from './emit-alu.ts';
import { emitComparison, JCC } from './emit-jump.ts';
import { emitAtomic, emitLoad, emitStore } from './emit-memory.ts';

/** How the compiler's loop treats an instruction. */
export const SIMPLE = 0;
export const JUMP = 1;
export const JA = 2;
export const EXIT = 3;
/** Looked at one by one: calls, 64-bit immediates, loads that may fault. */
export const OTHER = 4;

export const TREATMENT = Uint8Array.from(ISA, ({ meaning }) => {
  switch (meaning.kind) {
    case 'jump':
      return JUMP;
    case 'ja':
      return JA;
    case 'exit':
      return EXIT;
    case 'call':
    case 'tail-call':
    case 'ld-imm64':
      return OTHER;
    case 'load':
      return meaning.isProbe ? OTHER : SIMPLE;
    default:
      return SIMPLE;
  }
});

/** Opcode of the short conditional jump, by place in ISA. */
export const CONDITION = Uint8Array.from(ISA, ({ meaning }) => (meaning.kind === 'jump' ? JCC[meaning.op] : 0));

const nothing: Emit = () => undefined;

function emitterOf({ meaning }: Insn, options: EmitOptions): Emit {
  switch (meaning.kind) {
    case 'alu':
      return emitAlu(meaning, options);
    case 'mov':
      return emitMov(meaning);
    case 'movsx':
      return emitMovsx(meaning);
    case 'neg':
      return emitNeg(meaning);
    case 'swap':
      return emitSwap(meaning);
    case 'load':
      return emitLoad(meaning);
    case 'store':
      return emitStore(meaning);
    case 'atomic':
      return emitAtomic(meaning);
    case 'jump':
      return emitComparison(meaning);
    case 'nospec':
      // lfence
      return (b) => b.put3(0x0f, 0xae, 0xe8);
    default:
      return nothing;
  }
}

const table = (options: EmitOptions): readonly Emit[] => ISA.map((insn) => emitterOf(insn, options));
const TABLES = [false, true].map((keepsR11) => [false, true].map((bmi2) => table({ bmi2, keepsR11 })));

/** What writes each instruction, by its place in ISA. */
export const emittersFor = ({ bmi2, keepsR11 }: EmitOptions): readonly Emit[] =>
  (TABLES[Number(keepsR11)] as (readonly Emit[])[])[Number(bmi2)] as readonly Emit[];
