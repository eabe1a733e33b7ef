/** BPF programs of the coordinator for tests of the edge. */
import { err, ok } from '../../src/base/index.ts';
import type { Caller, Coordinator, ProgramCalls, ProgramView } from '../../src/coordinator/index.ts';

type Programs = Pick<Coordinator, keyof ProgramCalls>;

export function fakePrograms(callers: Caller[]): Programs {
  const programs = new Map<string, ProgramView>();
  const found = (id: string) => {
    const program = programs.get(id);
    return program === undefined
      ? err({ errno: 'ENOENT' as const, rule: 'program.unknown', detail: `${id} is not a loaded program.` })
      : ok(program);
  };
  return {
    async loadProgram(caller, { type, bytecode, name, attachTo }) {
      callers.push(caller);
      const view: ProgramView = {
        id: `prog_${programs.size + 1}`,
        name: name ?? type,
        type,
        attachTo: attachTo ?? null,
        client: caller.client,
        since: '2026-01-01T00:00:00.000Z',
        insns: bytecode.length / 16,
        jited: { bytes: 'c3', size: 1, address: '0xffffffffc0000000' },
        maps: [],
        attachments: [],
      };
      programs.set(view.id, view);
      return ok(view);
    },
    async loadObject(caller, { bytes, name = 'object', section, all }) {
      callers.push(caller);
      const view: ProgramView = {
        id: `prog_${programs.size + 1}`,
        name,
        type: 'fentry',
        attachTo: section ?? null,
        client: caller.client,
        since: '2026-01-01T00:00:00.000Z',
        insns: bytes.length,
        jited: { bytes: 'c3', size: 1, address: '0xffffffffc0000000' },
        maps: [],
        attachments: [],
      };
      programs.set(view.id, view);
      return ok(all === true ? { items: [view] } : view);
    },
    async unloadProgram(_caller, id) {
      const program = found(id);
      programs.delete(id);
      return program;
    },
    programs: () => ok({ items: [...programs.values()], nextCursor: null }),
    program: (_caller, id) => found(id),
    programListing: (_caller, id, view) => {
      const program = found(id);
      return program.ok ? ok({ ...program.value, view, listing: '   0: (95) exit\n' }) : program;
    },
    async runProgram(_caller, id, { input = '', via = 'jit' }) {
      const program = found(id);
      if (!program.ok) return program;
      return ok({ returnValue: '0x0', instructions: 1, output: input, via, log: [], fault: null, exceeded: null });
    },
  };
}
