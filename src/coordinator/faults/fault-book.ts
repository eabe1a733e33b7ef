/** The faults that are armed, how often each has happened, and whether one happens now. What is at a seam asks here, and does what is asked of it. */
import { type Clock, err, idMaker, invariant, ok, type Prng, type Result } from '../../base/index.ts';
import { refuse } from '../../registry/index.ts';
import type { FaultName, FaultView } from '../service-faults.ts';
import type { CheckedFault } from './fault-kinds.ts';
import { FAULT_TOO_MANY, FAULT_UNKNOWN } from './rules.ts';

/** Faults that are kept, those that are over included. */
export const FAULTS_MAX = 100;

/** One that is armed. */
export interface ArmedFault extends CheckedFault {
  readonly id: string;
  /** Where `options.place` is, counted from `_text`. */
  readonly at: number | undefined;
}

interface Entry extends ArmedFault {
  readonly client: string;
  readonly since: string;
  readonly times: number;
  seen: number;
  fired: number;
  /** Lets go what it holds up. */
  readonly release: Set<() => void>;
}

const remaining = ({ times, fired }: Entry): number => times - fired;

const viewOf = (entry: Entry): FaultView => {
  const { id, name, options, client, since, seen, fired } = entry;
  return { id, name, options, client, since, seen, fired, remaining: remaining(entry) };
};

export interface FaultBookOptions {
  /** Of the machine: it does not jump. */
  readonly clock: Clock;
  readonly prng: Prng;
  /** Ends the process, as a power cut would: nothing is closed, nobody is told. */
  readonly crash: (fault: FaultView) => never;
}

type Listener = (what: 'armed' | 'fired' | 'removed', fault: FaultView) => void;

export class FaultBook {
  readonly #clock: Clock;
  readonly #crash: (fault: FaultView) => never;
  readonly #newId: (prefix: string) => string;
  /** Oldest first. */
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<Listener>();
  readonly #totals: Partial<Record<FaultName, number>> = {};
  #jumpedMs = 0;

  constructor({ clock, prng, crash }: FaultBookOptions) {
    this.#clock = clock;
    this.#crash = crash;
    this.#newId = idMaker(clock, prng);
  }

  get totals(): Readonly<Partial<Record<FaultName, number>>> {
    return this.#totals;
  }

  /** By how much the time of day is wrong now. */
  get jumpedMs(): number {
    return this.#jumpedMs;
  }

  list(): readonly FaultView[] {
    return [...this.#entries.values()].map(viewOf);
  }

  /** A clock jumps at once; all else waits until it is asked for. */
  arm(fault: CheckedFault & { readonly at?: number | undefined }, client: string): Result<FaultView> {
    if (this.#entries.size >= FAULTS_MAX && !this.#forgetOneThatIsOver())
      return err(refuse(FAULT_TOO_MANY, { detail: `${FAULTS_MAX} faults are armed and have yet to happen.` }));
    const entry: Entry = {
      id: this.#newId('flt'),
      name: fault.name,
      options: fault.options,
      at: fault.at,
      client,
      since: new Date(this.#clock.now()).toISOString(),
      times: fault.options.times ?? 1,
      seen: 0,
      fired: 0,
      release: new Set(),
    };
    this.#entries.set(entry.id, entry);
    this.#tell('armed', entry);
    if (entry.name === 'clock-jump' && this.take('clock-jump', ({ id }) => id === entry.id) !== undefined)
      this.#jumpedMs += entry.options.ms ?? 0;
    return ok(viewOf(entry));
  }

  remove(id: string): Result<FaultView> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return err(refuse(FAULT_UNKNOWN, { detail: `${id} is not a fault.` }));
    this.#entries.delete(id);
    if (entry.name === 'clock-jump') this.#jumpedMs -= entry.options.ms ?? 0;
    for (const release of [...entry.release]) release();
    this.#tell('removed', entry);
    return ok(viewOf(entry));
  }

  /** Nothing happens any more, and nothing is held up. */
  clear(): void {
    for (const id of [...this.#entries.keys()]) this.remove(id);
  }

  /** Whether one of these may yet happen. */
  isArmed(names: readonly FaultName[]): boolean {
    for (const entry of this.#entries.values()) if (names.includes(entry.name) && remaining(entry) > 0) return true;
    return false;
  }

  /** The fault of this name that happens now, if one does; `matches` says which of them could. */
  take(name: FaultName, matches: (fault: ArmedFault) => boolean = () => true): ArmedFault | undefined {
    for (const entry of this.#entries.values()) {
      if (entry.name !== name || remaining(entry) === 0 || !matches(entry)) continue;
      entry.seen += 1;
      if (entry.seen <= (entry.options.after ?? 0)) continue;
      entry.fired += 1;
      this.#totals[name] = (this.#totals[name] ?? 0) + 1;
      this.#tell('fired', entry);
      return entry;
    }
    return undefined;
  }

  /** Resolves when a fault's time is over, or when it is removed. */
  async holdUp({ id }: ArmedFault, ms: number): Promise<void> {
    const release = this.#entries.get(id)?.release;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancel();
        release?.delete(done);
        resolve();
      };
      const cancel = this.#clock.after(ms, done);
      release?.add(done);
    });
  }

  /** Does not come back. */
  crash({ id }: ArmedFault): never {
    const entry = this.#entries.get(id);
    invariant(entry !== undefined, 'a fault that is not there ends the process');
    return this.#crash(viewOf(entry));
  }

  onFault(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #forgetOneThatIsOver(): boolean {
    // A clock that has jumped stays where it is until somebody says otherwise.
    for (const [id, entry] of this.#entries)
      if (remaining(entry) === 0 && entry.name !== 'clock-jump') return this.#entries.delete(id);
    return false;
  }

  #tell(what: 'armed' | 'fired' | 'removed', entry: Entry): void {
    for (const listener of this.#listeners) listener(what, viewOf(entry));
  }
}
