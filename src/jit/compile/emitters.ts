import { type Insn, ISA, insnTable } from '../bpf/index.ts';
import { type Emit, type EmitOptions, emitAlu, emitMovsx8, emitSwap } from './emit-alu.ts';
import { emitAtomic, emitStore } from './emit-memory.ts';
import { hasForm } from './put-run.ts';

/** How the compiler treats an instruction that has no form. */
export const SIMPLE = 0;
export const JA = 1;
export const EXIT = 2;
/** Looked at one by one: calls, 64-bit immediates, loads that may fault. */
export const OTHER = 3;

export const TREATMENT = insnTable(({ meaning }) => {
  switch (meaning.kind) {
    case 'ja':
      return JA;
    case 'exit':
      return EXIT;
    case 'call':
    case 'tail-call':
    case 'ld-imm64':
    case 'load':
      return OTHER;
    default:
      return SIMPLE;
  }
});

const nothing: Emit = () => undefined;

/** What writes an instruction that has no form. */
function emitterOf(insn: Insn, options: EmitOptions): Emit {
  const { meaning } = insn;
  if (hasForm(insn)) return nothing;
  switch (meaning.kind) {
    case 'alu':
      return emitAlu(meaning, options);
    case 'movsx':
      return emitMovsx8;
    case 'swap':
      return emitSwap(meaning);
    case 'store':
      return emitStore(meaning);
    case 'atomic':
      return emitAtomic(meaning);
    case 'nospec':
      // lfence
      return (b) => b.put3(0x0f, 0xae, 0xe8);
    default:
      return nothing;
  }
}

const table = (options: EmitOptions): readonly Emit[] => ISA.map((insn) => emitterOf(insn, options));
const TABLES = [false, true].map((keepsR11) => [false, true].map((bmi2) => table({ bmi2, keepsR11 })));

/** What writes each simple instruction that has no form, by its place in ISA. */
export const emittersFor = (bmi2: boolean, keepsR11: boolean): readonly Emit[] =>
  (TABLES[Number(keepsR11)] as (readonly Emit[])[])[Number(bmi2)] as readonly Emit[];
