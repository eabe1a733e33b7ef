/** BPF programs loaded for tests: a main function that calls a global one, as in the recordings. */
import { loadProg, type ProgramToLoad } from '../../src/registry/index.ts';
import type { RegistryLab } from './registry-lab.ts';

/** `f30f1efa 0f1f440000 …`: an ENDBR and the NOP that others put their call or jump over. */
const SUB = 'f30f1efa0f1f4400000f1f00554889e5f30f1efa4889f84883c025c9c3';

export interface TestProgram {
  readonly main?: string;
  readonly sub?: string;
  readonly hasBtf?: boolean;
  readonly type?: ProgramToLoad['type'];
  readonly attachType?: ProgramToLoad['attachType'];
  readonly isGlobal?: boolean;
}

/** Loads it under this id, behind the lab's back: programs come with no request of their own yet. */
export function loadTestProgram(lab: RegistryLab, id: string, program: TestProgram = {}): void {
  const { main = SUB, sub = SUB, hasBtf = true, type = 'other', attachType, isGlobal = true } = program;
  const code = (name: string, hex: string, args: readonly ('ctx' | 'int')[], isGlobalOne: boolean) => {
    const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
    return { name, args, isGlobal: isGlobalOne, size: bytes.length, generate: () => bytes };
  };
  const functions = [code('main', main, ['ctx'], true), code('sub', sub, ['int'], isGlobal)];
  lab.change((txn) => {
    loadProg(txn, { id, type, attachType, hasBtf, tracesTracing: false, isSleepable: false, functions });
  });
}
