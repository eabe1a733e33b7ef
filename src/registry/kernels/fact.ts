/**
 * What kernel versions decide differently, as data: a fact has a value from one release on until the next value, and each value says where that
 * is known from. Decisions read facts through their World and never compare versions themselves.
 */
import type { KernelVersion } from '../../image/index.ts';
import { isAtLeast } from './versions.ts';

/** No source at hand settles it for these releases. */
export const UNKNOWN = 'unknown';
export type Unknown = typeof UNKNOWN;

export interface FactValue<T> {
  /** The first release (`6.4`, or `6.1.160` where a stable release brought it) that has this value. */
  readonly since: string;
  readonly is: T;
  /** Commit, source at a tag, or recording. */
  readonly source: string;
}

export interface KernelFact<T> {
  readonly name: string;
  /** What is asked, one line. */
  readonly title: string;
  /** Function and file in Linux that decide. */
  readonly linux: string;
  /** Ids of the rules that rest on it. */
  readonly rules: readonly string[];
  /** Oldest first; the first one also holds for what is older. */
  readonly values: readonly [FactValue<T>, ...FactValue<T>[]];
}

/** Reads a fact for the kernel whose rules decide. */
export type FactReader = <T>(fact: KernelFact<T>) => T;

export function factAt<T>(fact: KernelFact<T>, version: KernelVersion): FactValue<T> {
  return fact.values.findLast(({ since }) => isAtLeast(version, since)) ?? fact.values[0];
}

/** Facts are asked for at every step of a decision: each is looked up once. */
export function readerFor(version: KernelVersion): FactReader {
  const known = new Map<KernelFact<unknown>, unknown>();
  return <T>(fact: KernelFact<T>): T => {
    if (!known.has(fact)) known.set(fact, factAt(fact, version).is);
    return known.get(fact) as T;
  };
}
