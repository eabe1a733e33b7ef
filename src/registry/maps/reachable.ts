import { mapShape, PagedArea, type RunMap } from '../../jit/index.ts';
import type { BpfProgram, KernelState } from '../model/state.ts';
import type { BpfMap } from './state.ts';

/** What a program can get at: maps with what they hold, and the programs that tail calls lead to. */
export interface Reachable {
  readonly contents: readonly RunMap[];
  readonly callees: readonly BpfProgram[];
}

const runMap = ({ id, address, spec, pages }: BpfMap): RunMap => ({ id, address, spec, pages: [...pages] });

/** Addresses of struct bpf_prog in an array of programs. */
function progsIn({ spec, pages }: BpfMap): readonly bigint[] {
  const shape = mapShape(spec);
  if (shape.kind !== 'programs') return [];
  const area = new PagedArea(pages);
  return [...shape.map.indexes(area)].map((index) => shape.map.get(area, index));
}

/** From these programs on, through arrays of programs to their maps, and so on. */
export function reachableFrom(state: KernelState, start: readonly BpfProgram[]): Reachable {
  const programs = new Set(start);
  const maps = new Set<BpfMap>();
  for (const program of programs)
    for (const { id } of program.maps) {
      const map = state.maps.get(id);
      if (map === undefined || maps.has(map)) continue;
      maps.add(map);
      const progs = new Set(progsIn(map));
      if (progs.size > 0) for (const each of state.programs.values()) if (progs.has(each.prog)) programs.add(each);
    }
  const callees = [...programs].filter((program) => [...maps].some((map) => progsIn(map).includes(program.prog)));
  return { contents: [...maps].map(runMap), callees };
}

export const reachable = (state: KernelState, program: BpfProgram): Reachable => reachableFrom(state, [program]);
