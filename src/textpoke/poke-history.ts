import { type Clock, invariant, toHex } from '../base/index.ts';

/** Who poked, and why. One object may stand for a whole batch. */
export interface PokeAuthor {
  readonly client: string;
  /** Id of the attachment on whose behalf. */
  readonly attachment?: string;
  /** Owner kind, as `fentry`. */
  readonly kind: string;
  /** `"attach"`, `"detach"`, `"chain"`: one phrase for people. */
  readonly reason: string;
}

/** One poke that landed. */
export interface PokeRecord {
  /** 1, 2, 3 …, in the order of writing, without gaps. */
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly at: number;
  readonly length: number;
  /** Hex, of the first {@link POKE_HISTORY_BYTES_MAX} bytes: `length` tells when there were more. */
  readonly before: string;
  readonly after: string;
  readonly by: PokeAuthor;
}

export const POKE_HISTORY_BYTES_MAX = 64;
/** Records kept of one site, the newest. */
export const POKE_HISTORY_SITE_MAX = 32;
/** Records kept in all; past it the oldest goes. About 200 bytes each. */
export const POKE_HISTORY_MAX = 131_072;

/** A record as kept: six bytes fit a double exactly and cost an eighth of an array, longer ones are hex. */
interface Kept extends Omit<PokeRecord, 'before' | 'after'> {
  readonly before: number | string;
  readonly after: number | string;
}

interface Site {
  readonly records: Kept[];
  /** Longest record, for finding the site from a place in its middle. */
  span: number;
  dropped: number;
}

/** A record that made room for a newer one, and how many of its site had done so before it. */
interface Evicted {
  readonly site: Site;
  readonly record: Kept;
  readonly dropped: number;
}

interface Mark {
  readonly sequence: number;
  readonly oldest: number;
  readonly dropped: number;
  readonly evicted: Evicted[];
}

const PAGE = 4096;

export interface PokeHistoryOptions {
  readonly clock: Clock;
  readonly siteMax?: number;
  readonly totalMax?: number;
  /** Called with what a listener threw; without it that is thrown again, uncaught, when the poke is over. */
  readonly onListenerError?: (error: unknown) => void;
}

const throwLater = (error: unknown): void =>
  queueMicrotask(() => {
    throw error;
  });

/** Every poke with who, why, before and after, in bounded memory. */
export class PokeHistory {
  readonly #clock: Clock;
  readonly #siteMax: number;
  readonly #totalMax: number;
  readonly #onListenerError: (error: unknown) => void;
  readonly #onPoke = new Set<(record: PokeRecord) => void>();
  /** By the offset a poke starts at. */
  readonly #sites = new Map<number, Site>();
  /** Sites by page of text they reach into. */
  readonly #pages = new Map<number, Set<number>>();
  /** Site and sequence of each record by age, from `#oldest` on; some of a busy site are dropped already. */
  #age: number[] = [];
  #oldest = 0;
  #sequence = 0;
  #records = 0;
  #dropped = 0;
  #mark: Mark | undefined;

  constructor(options: PokeHistoryOptions) {
    this.#clock = options.clock;
    this.#siteMax = options.siteMax ?? POKE_HISTORY_SITE_MAX;
    this.#totalMax = options.totalMax ?? POKE_HISTORY_MAX;
    this.#onListenerError = options.onListenerError ?? throwLater;
  }

  /** Records a poke that has landed. `before` and `after` have one length and are not kept. Returns its sequence number. */
  append(at: number, before: Uint8Array, after: Uint8Array, by: PokeAuthor): number {
    const sequence = ++this.#sequence;
    const timeMs = this.#clock.now();
    const kept = { sequence, timeMs, at, length: after.length, before: pack(before), after: pack(after), by };
    this.#store(kept);
    if (this.#onPoke.size > 0) {
      const record = unpack(kept);
      for (const listener of this.#onPoke) this.#tell(listener, record);
    }
    return sequence;
  }

  /** The pokes that touched [offset, offset + length), oldest first, and how many of their sites were forgotten. */
  at(offset: number, length: number): { readonly records: readonly PokeRecord[]; readonly dropped: number } {
    const records: Kept[] = [];
    let dropped = 0;
    if (length <= 0) return { records: [], dropped };
    for (const start of this.#sitesIn(offset, length)) {
      const site = this.#sites.get(start);
      if (site === undefined) continue;
      const touching = site.records.filter((r) => r.at < offset + length && r.at + r.length > offset);
      if (touching.length > 0) dropped += site.dropped;
      records.push(...touching);
    }
    return { records: records.sort((a, b) => a.sequence - b.sequence).map(unpack), dropped };
  }

  /** Calls back at each poke, before it is complete: not the moment to poke again. The returned function ends that. */
  onPoke(listener: (record: PokeRecord) => void): () => void {
    this.#onPoke.add(listener);
    return () => this.#onPoke.delete(listener);
  }

  /** The newest records, oldest of them first. */
  newest(limit: number): readonly PokeRecord[] {
    const records =
      this.#records <= 2 * limit ? [...this.#sites.values()].flatMap((site) => site.records) : this.#byAge(limit);
    return records
      .sort((a, b) => a.sequence - b.sequence)
      .slice(-limit)
      .map(unpack);
  }

  /** So many of the newest, newest first: of a long history few are looked at. */
  #byAge(limit: number): Kept[] {
    const found: Kept[] = [];
    const left = new Map<number, number>();
    for (let i = this.#age.length - 2; i >= this.#oldest && found.length < limit; i -= 2) {
      const start = this.#age[i] ?? 0;
      const records = this.#sites.get(start)?.records ?? [];
      const index = (left.get(start) ?? records.length) - 1;
      const record = records[index];
      // A busy site has dropped its older ones.
      if (record?.sequence !== this.#age[i + 1] || record === undefined) continue;
      left.set(start, index);
      found.push(record);
    }
    return found;
  }

  /** Takes over records of an earlier run, oldest first; nobody is told. `sequence` is the number of the last poke of that run. */
  restore(records: readonly PokeRecord[], sequence: number): void {
    invariant(this.#sequence === 0, 'a history that has begun');
    for (const { before, after, ...record } of records)
      this.#store({ ...record, before: repack(before), after: repack(after) });
    this.#sequence = sequence;
  }

  /** From here on {@link backToMark} is possible, until {@link forgetMark}. One mark at a time: whoever sets it holds text_mutex. */
  mark(): void {
    invariant(this.#mark === undefined, 'a history with two marks');
    this.#mark = { sequence: this.#sequence, oldest: this.#oldest, dropped: this.#dropped, evicted: [] };
  }

  forgetMark(): void {
    this.#mark = undefined;
  }

  /** Forgets the pokes since the mark: they have been undone, and the next one gets their numbers. What had made room for them is there again. */
  backToMark(): void {
    const mark = this.#mark;
    invariant(mark !== undefined, 'a history without a mark');
    for (const evicted of mark.evicted.reverse()) this.#putBack(evicted);
    this.#oldest = mark.oldest;
    while (this.#age.length > this.#oldest && (this.#age.at(-1) ?? 0) > mark.sequence) {
      const [start = 0, last = 0] = this.#age.splice(-2);
      const site = this.#sites.get(start);
      if (site === undefined || site.records.at(-1)?.sequence !== last) continue;
      site.records.pop();
      this.#records--;
      if (site.records.length === 0) this.#leaveSite(start, site);
    }
    this.#sequence = mark.sequence;
    this.#dropped = mark.dropped;
    mark.evicted.length = 0;
  }

  #putBack({ site, record, dropped }: Evicted): void {
    const { at } = record;
    const there = this.#sites.get(at) ?? site;
    this.#sites.set(at, there);
    there.span = Math.max(there.span, site.span);
    this.#enterPages(at, there.span);
    there.records.unshift(record);
    there.dropped = dropped;
    this.#records++;
  }

  state(): { readonly sequence: number; readonly records: number; readonly sites: number; readonly dropped: number } {
    return { sequence: this.#sequence, records: this.#records, sites: this.#sites.size, dropped: this.#dropped };
  }

  /** A listener that throws must not leave an instruction half written. */
  #tell(listener: (record: PokeRecord) => void, record: PokeRecord): void {
    try {
      listener(record);
    } catch (error) {
      this.#onListenerError(error);
    }
  }

  #store(record: Kept): void {
    const site = this.#sites.get(record.at) ?? { records: [], span: 0, dropped: 0 };
    if (site.records.length === 0) this.#sites.set(record.at, site);
    site.records.push(record);
    this.#records++;
    if (record.length > site.span) {
      site.span = record.length;
      this.#enterPages(record.at, record.length);
    }
    this.#age.push(record.at, record.sequence);
    if (site.records.length > this.#siteMax) this.#forget(site);
    while (this.#records > this.#totalMax) this.#forgetOldest();
    if (this.#mark === undefined && this.#age.length > 4 * this.#totalMax + 4) this.#compactAge();
  }

  #forget(site: Site): void {
    const record = site.records.shift();
    if (record !== undefined) this.#mark?.evicted.push({ site, record, dropped: site.dropped });
    site.dropped++;
    this.#records--;
    this.#dropped++;
  }

  #forgetOldest(): void {
    invariant(this.#oldest < this.#age.length, 'the history counts records that it does not have');
    const start = this.#age[this.#oldest] ?? 0;
    const sequence = this.#age[this.#oldest + 1];
    this.#oldest += 2;
    const site = this.#sites.get(start);
    // A busy site has dropped its share already.
    if (site?.records[0]?.sequence !== sequence || site === undefined) return;
    this.#forget(site);
    if (site.records.length === 0) this.#leaveSite(start, site);
  }

  #enterPages(start: number, span: number): void {
    for (const page of pagesOf(start, span)) {
      const starts = this.#pages.get(page);
      if (starts === undefined) this.#pages.set(page, new Set([start]));
      else starts.add(start);
    }
  }

  #leaveSite(start: number, site: Site): void {
    this.#sites.delete(start);
    for (const page of pagesOf(start, site.span)) this.#leavePage(page, start);
  }

  /** Takes out what was dropped meanwhile; leaves at most two numbers a record. */
  #compactAge(): void {
    const kept: number[] = [];
    for (let i = this.#oldest; i < this.#age.length; i += 2) {
      const [start, sequence] = [this.#age[i] ?? 0, this.#age[i + 1] ?? 0];
      const first = this.#sites.get(start)?.records[0]?.sequence;
      if (first !== undefined && sequence >= first) kept.push(start, sequence);
    }
    this.#age = kept;
    this.#oldest = 0;
  }

  #leavePage(page: number, start: number): void {
    const starts = this.#pages.get(page);
    starts?.delete(start);
    if (starts?.size === 0) this.#pages.delete(page);
  }

  #sitesIn(offset: number, length: number): ReadonlySet<number> {
    // A range wider than what is known is walked the other way round.
    const pages = length / PAGE > this.#pages.size ? this.#pages.keys() : pagesOf(offset, length);
    const found = new Set<number>();
    for (const page of pages) for (const start of this.#pages.get(page) ?? []) found.add(start);
    return found;
  }
}

const PACKED_MAX = 6;

function pack(bytes: Uint8Array): number | string {
  if (bytes.length > PACKED_MAX) return toHex(bytes.subarray(0, POKE_HISTORY_BYTES_MAX));
  let packed = 0;
  for (const byte of bytes) packed = packed * 256 + byte;
  return packed;
}

const repack = (hex: string): number | string => (hex.length > 2 * PACKED_MAX ? hex : Number.parseInt(hex, 16));

function unpack(kept: Kept): PokeRecord {
  const hex = (packed: number | string): string =>
    typeof packed === 'string' ? packed : packed.toString(16).padStart(2 * kept.length, '0');
  return { ...kept, before: hex(kept.before), after: hex(kept.after) };
}

function* pagesOf(offset: number, length: number): Generator<number, void> {
  const last = Math.floor((offset + length - 1) / PAGE);
  for (let page = Math.floor(offset / PAGE); page <= last; page++) yield page;
}
