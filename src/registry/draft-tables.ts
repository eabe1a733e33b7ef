import type { ArenaState, KernelState } from './model/state.ts';

interface Table<Self> {
  asMutable(): Self;
  asImmutable(): Self;
  wasAltered(): boolean;
}

/** The table of the next state: the one before when nobody wrote to its draft, so that who compares the two sees that nothing changed. */
const kept = <Self extends Table<Self>>(draft: Self | undefined, before: Self): Self =>
  draft?.wasAltered() === true ? draft.asImmutable() : before;

/** What a decision replaces instead of writing into. */
export type Undrafted = Pick<
  KernelState,
  | 'modules'
  | 'ftrace'
  | 'isKprobesOptimization'
  | 'graphTracers'
  | 'optimizer'
  | 'maps'
  | 'nextMap'
  | 'livepatching'
  | 'nextFrame'
>;

/** Drafts of the tables of a state, each made when it is first asked for: most decisions look at a few of them. */
export class DraftTables {
  readonly #state: KernelState;
  protected readonly reads: boolean;
  #records: KernelState['records'] | undefined;
  #opsTable: KernelState['ops'] | undefined;
  #opsBySite: KernelState['opsBySite'] | undefined;
  #directFunctions: KernelState['directFunctions'] | undefined;
  #kprobes: KernelState['kprobes'] | undefined;
  #kprobeTable: KernelState['kprobeTable'] | undefined;
  #trampolines: KernelState['trampolines'] | undefined;
  #programs: KernelState['programs'] | undefined;
  #bpfProgs: KernelState['bpfProgs'] | undefined;
  #livepatches: KernelState['livepatches'] | undefined;
  #lingering: KernelState['lingering'] | undefined;
  #tasks: KernelState['tasks'] | undefined;
  #staticKeys: KernelState['staticKeys'] | undefined;
  #staticCalls: KernelState['staticCalls'] | undefined;
  #tracepoints: KernelState['tracepoints'] | undefined;
  #kgdb: KernelState['kgdb'] | undefined;
  #attachments: KernelState['attachments'] | undefined;
  #revisions: KernelState['revisions'] | undefined;
  #quarantined: KernelState['quarantined'] | undefined;
  #arena: ArenaState | undefined;

  constructor(state: KernelState, reads: boolean) {
    this.#state = state;
    this.reads = reads;
  }

  #draft<Self extends Table<Self>>(table: Self): Self {
    return this.reads ? table : table.asMutable();
  }

  get records(): KernelState['records'] {
    this.#records ??= this.#draft(this.#state.records);
    return this.#records;
  }

  get opsTable(): KernelState['ops'] {
    this.#opsTable ??= this.#draft(this.#state.ops);
    return this.#opsTable;
  }

  get opsBySite(): KernelState['opsBySite'] {
    this.#opsBySite ??= this.#draft(this.#state.opsBySite);
    return this.#opsBySite;
  }

  get directFunctions(): KernelState['directFunctions'] {
    this.#directFunctions ??= this.#draft(this.#state.directFunctions);
    return this.#directFunctions;
  }

  get kprobes(): KernelState['kprobes'] {
    this.#kprobes ??= this.#draft(this.#state.kprobes);
    return this.#kprobes;
  }

  get kprobeTable(): KernelState['kprobeTable'] {
    this.#kprobeTable ??= this.#draft(this.#state.kprobeTable);
    return this.#kprobeTable;
  }

  get trampolines(): KernelState['trampolines'] {
    this.#trampolines ??= this.#draft(this.#state.trampolines);
    return this.#trampolines;
  }

  get programs(): KernelState['programs'] {
    this.#programs ??= this.#draft(this.#state.programs);
    return this.#programs;
  }

  get bpfProgs(): KernelState['bpfProgs'] {
    this.#bpfProgs ??= this.#draft(this.#state.bpfProgs);
    return this.#bpfProgs;
  }

  get livepatches(): KernelState['livepatches'] {
    this.#livepatches ??= this.#draft(this.#state.livepatches);
    return this.#livepatches;
  }

  get lingering(): KernelState['lingering'] {
    this.#lingering ??= this.#draft(this.#state.lingering);
    return this.#lingering;
  }

  get tasks(): KernelState['tasks'] {
    this.#tasks ??= this.#draft(this.#state.tasks);
    return this.#tasks;
  }

  get staticKeys(): KernelState['staticKeys'] {
    this.#staticKeys ??= this.#draft(this.#state.staticKeys);
    return this.#staticKeys;
  }

  get staticCalls(): KernelState['staticCalls'] {
    this.#staticCalls ??= this.#draft(this.#state.staticCalls);
    return this.#staticCalls;
  }

  get tracepoints(): KernelState['tracepoints'] {
    this.#tracepoints ??= this.#draft(this.#state.tracepoints);
    return this.#tracepoints;
  }

  get kgdb(): KernelState['kgdb'] {
    this.#kgdb ??= this.#draft(this.#state.kgdb);
    return this.#kgdb;
  }

  get attachments(): KernelState['attachments'] {
    this.#attachments ??= this.#draft(this.#state.attachments);
    return this.#attachments;
  }

  get revisions(): KernelState['revisions'] {
    this.#revisions ??= this.#draft(this.#state.revisions);
    return this.#revisions;
  }

  get quarantined(): KernelState['quarantined'] {
    this.#quarantined ??= this.#draft(this.#state.quarantined);
    return this.#quarantined;
  }

  get arena(): ArenaState {
    const { arena } = this.#state;
    this.#arena ??= {
      next: arena.next,
      free: this.#draft(arena.free),
      allocations: this.#draft(arena.allocations),
      nextData: arena.nextData,
    };
    return this.#arena;
  }

  set arena(arena: ArenaState) {
    this.#arena = arena;
  }

  /** The next state, one literal: tables as they are now, the rest as given. The drafts must not be used afterwards. */
  protected finished(rest: Undrafted): KernelState {
    const state = this.#state;
    const arena = this.#arena;
    return {
      modules: rest.modules,
      ftrace: rest.ftrace,
      isKprobesOptimization: rest.isKprobesOptimization,
      graphTracers: rest.graphTracers,
      optimizer: rest.optimizer,
      maps: rest.maps,
      nextMap: rest.nextMap,
      livepatching: rest.livepatching,
      nextFrame: rest.nextFrame,
      records: kept(this.#records, state.records),
      ops: kept(this.#opsTable, state.ops),
      opsBySite: kept(this.#opsBySite, state.opsBySite),
      directFunctions: kept(this.#directFunctions, state.directFunctions),
      kprobes: kept(this.#kprobes, state.kprobes),
      kprobeTable: kept(this.#kprobeTable, state.kprobeTable),
      trampolines: kept(this.#trampolines, state.trampolines),
      programs: kept(this.#programs, state.programs),
      bpfProgs: kept(this.#bpfProgs, state.bpfProgs),
      livepatches: kept(this.#livepatches, state.livepatches),
      lingering: kept(this.#lingering, state.lingering),
      tasks: kept(this.#tasks, state.tasks),
      staticKeys: kept(this.#staticKeys, state.staticKeys),
      staticCalls: kept(this.#staticCalls, state.staticCalls),
      tracepoints: kept(this.#tracepoints, state.tracepoints),
      kgdb: kept(this.#kgdb, state.kgdb),
      attachments: kept(this.#attachments, state.attachments),
      revisions: kept(this.#revisions, state.revisions),
      quarantined: kept(this.#quarantined, state.quarantined),
      arena:
        arena === undefined
          ? state.arena
          : {
              next: arena.next,
              free: kept(arena.free, state.arena.free),
              allocations: kept(arena.allocations, state.arena.allocations),
              nextData: arena.nextData,
            },
    };
  }
}
