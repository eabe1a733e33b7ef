/** Programs that call helpers, run by the interpreter and as machine code on the simulated CPU, which have to agree. */
import assert from 'node:assert/strict';
import { type ProgramRun, type ProgramRunDone, runProgramHere } from '../../../src/coordinator/program-run.ts';
import { initMap, type MapSpec, PagedArea, type RunMap } from '../../../src/jit/index.ts';
import { addImm, mov, program } from '../../support/bpf-code.ts';
import { SIMULATED_CPU } from './three-ways.ts';

export const BASE = 0xffff_ffff_8100_0000n;

export const spec = (type: MapSpec['type'], more: Partial<MapSpec> = {}): MapSpec => ({
  name: type,
  type,
  keySize: 4,
  valueSize: 8,
  maxEntries: 4,
  flags: 0,
  ...more,
});

/** A map as it is made, at an address of its own. */
export function made(index: number, of: MapSpec, change: (area: PagedArea) => void = () => undefined): RunMap {
  const area = new PagedArea();
  initMap(of, area, 1);
  change(area);
  return {
    id: `map_${index}`,
    address: 0xffff_c910_0000_0000n + BigInt(index << 24),
    spec: of,
    pages: [...area.written],
  };
}

export const RUN: Omit<ProgramRun, 'bytecode' | 'via'> = {
  maps: [],
  prog: 0xffff_c900_0000_1000n,
  input: '',
  maxInstructions: 200_000,
  base: BASE as ProgramRun['base'],
  cpu: SIMULATED_CPU,
  isRaw: false,
  contents: [],
  callees: [],
};

/** By the interpreter alone: what differs from time to time. */
export const one = (bytecode: string): string | null =>
  runProgramHere({ ...RUN, bytecode, via: 'interpreter' }).answer.returnValue;

export function run(bytecode: string, contents: readonly RunMap[], more: Partial<ProgramRun> = {}): ProgramRunDone {
  const one = (via: ProgramRun['via']): ProgramRunDone =>
    runProgramHere({ ...RUN, bytecode, maps: contents, via, contents, ...more });
  const [interpreted, jited] = [one('interpreter'), one('jit')];
  const plain = ({ answer, writes }: ProgramRunDone) => ({
    value: answer.returnValue,
    fault: answer.fault?.reason,
    address: answer.fault?.address,
    log: answer.log,
    output: answer.output,
    writes,
  });
  assert.deepEqual(plain(jited), plain(interpreted));
  return jited;
}

export const value = (done: ProgramRunDone): bigint => BigInt.asIntN(64, BigInt(done.answer.returnValue ?? 'no value'));
/** R2 = R10 + off */
export const stackAt = (register: number, off: number): string => program(mov(register, 10), addImm(register, off));
