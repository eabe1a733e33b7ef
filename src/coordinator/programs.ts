/** BPF programs: loaded and unloaded under text_mutex, since their code goes into the arena; shown and run beside it. */
import { err, formatAddress, ok, type Result, toAddress } from '../base/index.ts';
import { disassemble } from '../insn/index.ts';
import { HELPER_FUNCTIONS, listBpf, RUN_CODE } from '../jit/index.ts';
import {
  type BpfProgram,
  bpfJitCpu,
  decideLoadProgram,
  decideUnloadProgram,
  jitedProgram,
  type LoadProgramRequest,
  type ProgramDecision,
  preparedProgram,
  programUnknown,
  reachable,
  verificationJob,
} from '../registry/index.ts';
import { announcePokes } from './announce-pokes.ts';
import type { Command, CommandTurn } from './command.ts';
import { reject } from './commands.ts';
import type { Kernel } from './kernel.ts';

import type { MapTurn } from './map-turn.ts';
import { WRITE_MAPS } from './maps.ts';

import { loadObject } from './objects.ts';

import { pageOf } from './paging.ts';
import type { ProgramRun, RunnableProgram } from './program-run.ts';
import type { ProgramRuns } from './program-runs.ts';
import { programView } from './program-view.ts';
import type { Caller } from './service.ts';
import type {
  ProgramCalls,
  ProgramListing,
  ProgramRunAnswer,
  ProgramRunRequest,
  ProgramView,
} from './service-programs.ts';
import type { Verifications } from './verifications.ts';

/** Budgets of a run: what is taken when the caller says nothing, and the most that it may ask for. */
const INSTRUCTIONS = { default: 10_000_000, max: 1_000_000_000 } as const;
const MILLISECONDS = { default: 5_000, max: 60_000 } as const;

function listingOf(kernel: Kernel, program: BpfProgram, view: ProgramListing): string {
  if (view === 'xlated') {
    const helper = program.type === 'raw' ? {} : { helper: (id: number) => HELPER_FUNCTIONS.get(id)?.name };
    return listBpf(preparedProgram(program).xlated.code, helper);
  }
  const { bytes } = jitedProgram(kernel.world, program);
  const { base } = kernel.world.image;
  return disassemble(bytes, program.image?.at ?? RUN_CODE, base, () => undefined)
    .map((insn) => `${formatAddress(toAddress(base, insn.offset))}:  ${insn.text}\n`)
    .join('');
}

/** Programs are shared by a tenant and invisible to others; an administrator sees all. */
function own(kernel: Kernel, caller: Caller, id: string): Result<BpfProgram> {
  const program = kernel.state.programs.get(id);
  const isMine = program !== undefined && (caller.isAdmin || program.tenant === caller.tenant);
  return isMine ? ok(program) : err(programUnknown(id));
}

function take(turn: CommandTurn, decision: ProgramDecision, what: 'loaded' | 'unloaded'): Result<ProgramView> {
  const { kernel, held, caller } = turn;
  // Of a program that goes, the view is made while it is still there.
  const { outcome } = decision;
  const before = outcome.kind === 'granted' && what === 'unloaded' ? programView(kernel, outcome.program) : undefined;
  kernel.apply(held, decision, { client: caller.client, kind: 'program' });
  if (outcome.kind === 'refused') return reject(kernel, caller, { program: what }, outcome.fault);
  const { id, name, type, insns, client } = outcome.program;
  kernel.events.append('program', { program: id, name, type, insns, client, by: caller.client, what });
  announcePokes(kernel, caller, null, decision.ops);
  return ok(before ?? programView(kernel, outcome.program));
}

export const LOAD_PROGRAM: Command<LoadProgramRequest, ProgramView> = {
  kind: 'load-program',
  describe: () => 'load a program',
  run(turn, request) {
    const { kernel, caller, now } = turn;
    const identity = { id: now.newId('prog'), client: caller.client, tenant: caller.tenant, nowMs: now.ms };
    return take(turn, decideLoadProgram(kernel.world, kernel.state, kernel.text, { request, identity }), 'loaded');
  },
};

export const UNLOAD_PROGRAM: Command<{ readonly id: string }, ProgramView> = {
  kind: 'unload-program',
  describe: () => 'unload a program',
  run(turn, { id }) {
    const { kernel, caller } = turn;
    const program = own(kernel, caller, id);
    if (!program.ok) return reject(kernel, caller, { program: id }, program.fault);
    return take(turn, decideUnloadProgram(kernel.world, kernel.state, kernel.text, id), 'unloaded');
  },
};

/** A run of a program on the maps as they are now. */
function programRun(kernel: Kernel, program: BpfProgram, request: ProgramRunRequest): ProgramRun {
  const { world, state } = kernel;
  const { input = '', via = 'jit', maxInstructions } = request;
  const { contents, callees } = reachable(state, program);
  return {
    ...runnable(program),
    input,
    via,
    maxInstructions: capped(maxInstructions, INSTRUCTIONS),
    base: world.image.base,
    cpu: bpfJitCpu(world),
    isRaw: program.type === 'raw',
    contents,
    callees: callees.map(runnable),
  };
}

const runnable = ({ bytecode, verified, maps, prog }: BpfProgram): RunnableProgram =>
  verified === undefined
    ? { bytecode, maps, prog }
    : { bytecode: verified.code, stackDepths: verified.stackDepths, maps, prog };

const capped = (asked: number | undefined, limit: { readonly default: number; readonly max: number }): number =>
  Math.min(asked ?? limit.default, limit.max);

/** Verified beside the kernel's commands, then loaded by one. */
async function loadProgram(
  kernel: Kernel,
  verifications: Verifications,
  caller: Caller,
  request: LoadProgramRequest,
): Promise<Result<ProgramView>> {
  const identity = { id: '', client: caller.client, tenant: caller.tenant, nowMs: kernel.clock.now() };
  const job = verificationJob(kernel.world, kernel.state, request, identity);
  if (!job.ok) return reject(kernel, caller, { program: 'loaded' }, job.fault);
  if (job.value === undefined) return kernel.execute(LOAD_PROGRAM, caller, request);
  const verified = await verifications.verify(job.value);
  if (!verified.ok) return reject(kernel, caller, { program: 'loaded' }, verified.fault);
  return kernel.execute(LOAD_PROGRAM, caller, { ...request, verified: verified.value });
}

/** The threads and turns beside the kernel's commands. */
export interface ProgramThreads {
  readonly runs: ProgramRuns;
  readonly verifications: Verifications;
  readonly turn: MapTurn;
}

export function programCalls(kernel: Kernel, { runs, verifications, turn }: ProgramThreads): ProgramCalls {
  const viewOf = <T>(caller: Caller, id: string, view: (program: BpfProgram) => T): Result<T> => {
    const program = own(kernel, caller, id);
    return program.ok ? ok(view(program.value)) : program;
  };
  return {
    loadProgram: (caller, request) => loadProgram(kernel, verifications, caller, request),
    loadObject: (caller, request) => loadObject(kernel, verifications, caller, request),
    unloadProgram: (caller, id) => kernel.execute(UNLOAD_PROGRAM, caller, { id }),
    programs: (caller, page) => {
      const mine = [...kernel.state.programs.values()].filter(({ id }) => own(kernel, caller, id).ok);
      return pageOf(mine, page, (program) => programView(kernel, program));
    },
    program: (caller, id) => viewOf(caller, id, (program) => programView(kernel, program)),
    programListing: (caller, id, view) =>
      viewOf(caller, id, (program) => ({
        ...programView(kernel, program),
        view,
        listing: listingOf(kernel, program, view),
      })),
    async runProgram(caller, id, request) {
      const program = own(kernel, caller, id);
      if (!program.ok) return program;
      const run = async (): Promise<Result<ProgramRunAnswer>> => {
        const run = programRun(kernel, program.value, request);
        const ran = await runs.run(run, capped(request.maxMs, MILLISECONDS));
        if (!ran.ok) return ran;
        const { answer, writes, traced } = ran.value;
        const kept = writes.length === 0 ? ok(null) : await kernel.execute(WRITE_MAPS, caller, { writes });
        if (!kept.ok) return kept;
        kernel.traces.append(
          caller.tenant,
          traced.map((each) => ({ ...each, attachment: undefined, program: id, cpu: 0 })),
        );
        return ok(answer);
      };
      return program.value.maps.length === 0 ? run() : turn.run(run);
    },
  };
}
