import type { MemoryId } from './text-memory.ts';

/** What all actors share, beside the CPUs' own state. Immutable; numbered by an Interner. */
export interface Shared {
  readonly memory: MemoryId;
  /** Owners that a call which begins now must run. */
  readonly attached: number;
  /** The kprobe table: place → owner. */
  readonly kprobes: Readonly<Record<number, number>>;
  /** Optimized kprobes: place → where who trapped goes on. */
  readonly detours: Readonly<Record<number, number>>;
  readonly variables: Readonly<Record<string, string | readonly string[]>>;
  /** Generated code that does not exist (yet, or any more). */
  readonly absent: readonly string[];
  /** Lock → one bit for each patcher that has it, or, for a writer, waits for its readers to leave. */
  readonly locks: Readonly<Record<string, number>>;
  /** Sites whose first sync is over: place → [old, new], hex. Nobody may execute the old instruction there any more. */
  readonly over: Readonly<Record<number, readonly [string, string]>>;
}

/** A copy of a record with one entry more, in the order of keys, so that equal records print alike. */
export function withEntry<V>(record: Readonly<Record<string, V>>, key: string | number, value: V): Record<string, V> {
  return Object.fromEntries(
    Object.entries({ ...record, [key]: value }).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  );
}

export function withoutEntry<V>(record: Readonly<Record<string, V>>, key: string | number): Record<string, V> {
  return Object.fromEntries(Object.entries(record).filter(([other]) => other !== String(key)));
}
