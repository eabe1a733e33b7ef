import { invariant, toHex } from '../../base/index.ts';
import { insnLength } from '../../insn/index.ts';
import { FETCH_UNIT, type FetchModelName, isAtomicStore, type TextStore } from './fetch-model.ts';

/** Number of a content that text has had; equal contents have equal numbers. */
export type TextId = number;
/** Number of what one CPU may fetch; equal possibilities have equal numbers. */
export type ViewId = number;

/** The longest instruction. */
const INSN_MAX = 15;
/** Up to here all orders in which the bytes of a copy may arrive are told apart within a unit, above only the ascending one. */
const ORDERED_BYTES_MAX = 8;

interface Text {
  /** Bytes that differ from the base, by place. */
  readonly changed: ReadonlyMap<number, number>;
}

interface View {
  readonly text: TextId;
  /** By unit: further contents that may be fetched, hex, ascending, without the present one. */
  readonly stale: ReadonlyMap<number, readonly string[]>;
}

/**
 * What CPUs may fetch while text changes. A CPU's view is the present text and, for each unit of the model, the other contents it has had since
 * the CPU last serialised. That is all there is to know: *when* a unit had which content changes nothing, so histories that leave the same
 * possibilities are one view. Views and texts are numbers, so that an explorer compares and stores them as such.
 *
 * Pure in effect: a view never changes. {@link store} is what a store of another CPU does to it, {@link fresh} what serialising does.
 */
export class VisibleText {
  readonly model: FetchModelName;
  readonly #unit: number;
  readonly #base: (at: number) => number;
  readonly #texts: Text[] = [];
  readonly #textIds = new Map<string, TextId>();
  readonly #views: View[] = [];
  readonly #viewIds = new Map<string, ViewId>();
  readonly #fetches: Map<number, readonly Uint8Array[]>[] = [];

  /** @param base the byte at a place before the first store */
  constructor(model: FetchModelName, base: (at: number) => number) {
    this.model = model;
    this.#unit = FETCH_UNIT[model];
    this.#base = base;
    this.#internText(new Map());
    this.fresh(0);
  }

  /** The base, and the view of a CPU that has fetched nothing before: both 0. */
  static readonly START = 0;

  /** The text that a view's CPU would fetch after serialising. */
  textOf(view: ViewId): TextId {
    return this.#view(view).text;
  }

  byte(text: TextId, at: number): number {
    return this.#texts[text]?.changed.get(at) ?? this.#base(at);
  }

  bytes(text: TextId, at: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.byte(text, at + i));
  }

  /** The text after a store. */
  storeText(text: TextId, { at, bytes }: TextStore): TextId {
    const changed = new Map(this.#texts[text]?.changed);
    for (const [i, byte] of bytes.entries()) {
      if (byte === this.#base(at + i)) changed.delete(at + i);
      else changed.set(at + i, byte);
    }
    return this.#internText(changed);
  }

  /** The view of a CPU that has just serialised. */
  fresh(text: TextId): ViewId {
    return this.#internView({ text, stale: new Map() });
  }

  /** True when the CPU can fetch nothing but the present text. */
  isFresh(view: ViewId): boolean {
    return this.#view(view).stale.size === 0;
  }

  /** The view after a store that another CPU made. */
  store(view: ViewId, store: TextStore): ViewId {
    const { text, stale } = this.#view(view);
    const after = this.storeText(text, store);
    if (this.#unit === 0) return this.fresh(after);
    const next = new Map(stale);
    const first = Math.floor(store.at / this.#unit);
    const last = Math.floor((store.at + store.bytes.length - 1) / this.#unit);
    for (let unit = first; unit <= last; unit++) {
      const present = this.#content(after, unit);
      const seen = new Set([...(stale.get(unit) ?? []), ...this.#passed(text, store, unit)]);
      seen.delete(present);
      if (seen.size === 0) next.delete(unit);
      else next.set(unit, [...seen].sort());
    }
    return this.#internView({ text: after, stale: next });
  }

  /**
   * Every instruction that a CPU with this view may decode at a place, once each, the one that stands there now first. Bytes behind the
   * instruction are not told apart. One that does not decode comes with 15 bytes.
   */
  fetch(view: ViewId, at: number): readonly Uint8Array[] {
    this.#fetches[view] ??= new Map();
    const known = this.#fetches[view];
    let fetched = known.get(at);
    if (fetched === undefined) {
      const found = new Map<string, Uint8Array>();
      this.#extend(this.#view(view), { at, taken: new Map(), bytes: [] }, found);
      fetched = [...found.values()];
      known.set(at, fetched);
    }
    return fetched;
  }

  /** Bytes of a place that a view's CPU may fetch, for people: the present one first. */
  possible(view: ViewId, at: number): readonly number[] {
    const { text, stale } = this.#view(view);
    const unit = this.#unit === 0 ? 0 : Math.floor(at / this.#unit);
    const others = this.#unit === 0 ? [] : (stale.get(unit) ?? []);
    const inUnit = at - unit * this.#unit;
    return [...new Set([this.byte(text, at), ...others.map((content) => byteOf(content, inUnit))])];
  }

  #extend(view: View, so: Fetching, found: Map<string, Uint8Array>): void {
    const bytes = Uint8Array.from(so.bytes);
    const length = bytes.length === 0 ? 0 : insnLength(bytes);
    if ((length > 0 && length <= bytes.length) || bytes.length === INSN_MAX) {
      const insn = length > 0 ? bytes.subarray(0, length) : bytes;
      found.set(toHex(insn), insn);
      return;
    }
    const place = so.at + bytes.length;
    const unit = this.#unit === 0 ? place : Math.floor(place / this.#unit);
    const stale = this.#unit === 0 ? undefined : view.stale.get(unit);
    if (stale === undefined) {
      this.#extend(view, { ...so, bytes: [...so.bytes, this.byte(view.text, place)] }, found);
      return;
    }
    const taken = so.taken.get(unit);
    for (const content of taken === undefined ? [this.#content(view.text, unit), ...stale] : [taken]) {
      const next = new Map(so.taken).set(unit, content);
      const byte = byteOf(content, place - unit * this.#unit);
      this.#extend(view, { at: so.at, taken: next, bytes: [...so.bytes, byte] }, found);
    }
  }

  /** Contents that a unit passes through while a store arrives, the one before it included, the one after it not necessarily. */
  #passed(text: TextId, store: TextStore, unit: number): readonly string[] {
    const before = this.#content(text, unit);
    const from = Math.max(store.at, unit * this.#unit);
    const to = Math.min(store.at + store.bytes.length, (unit + 1) * this.#unit);
    const pieces: (readonly [number, number])[] = [];
    for (let at = from; at < to; at++) {
      const byte = store.bytes[at - store.at] ?? 0;
      if (byte !== this.byte(text, at)) pieces.push([at - unit * this.#unit, byte]);
    }
    if (pieces.length < 2 || isAtomicStore(store)) return [before];
    const apply = (some: readonly (readonly [number, number])[]): string => {
      const content = Buffer.from(before, 'hex');
      for (const [index, byte] of some) content[index] = byte;
      return content.toString('hex');
    };
    if (pieces.length > ORDERED_BYTES_MAX) return pieces.map((_, n) => apply(pieces.slice(0, n)));
    return Array.from({ length: 2 ** pieces.length - 1 }, (_, set) => apply(pieces.filter((_p, n) => (set >> n) & 1)));
  }

  #content(text: TextId, unit: number): string {
    if (this.#unit === 1) return (this.byte(text, unit) + 256).toString(16).slice(1);
    return toHex(this.bytes(text, unit * this.#unit, this.#unit));
  }

  #view(view: ViewId): View {
    const found = this.#views[view];
    invariant(found !== undefined, () => `no view ${view}`);
    return found;
  }

  #internText(changed: ReadonlyMap<number, number>): TextId {
    const sorted = [...changed].sort(([a], [b]) => a - b);
    return intern(this.#textIds, this.#texts, sorted.map(([at, byte]) => `${at}=${byte}`).join(), { changed });
  }

  #internView(view: View): ViewId {
    const units = [...view.stale].sort(([a], [b]) => a - b).map(([unit, contents]) => `${unit}=${contents.join('/')}`);
    return intern(this.#viewIds, this.#views, `${view.text}:${units.join()}`, view);
  }
}

interface Fetching {
  readonly at: number;
  /** Units from which a byte has been taken already, and which content it was. */
  readonly taken: ReadonlyMap<number, string>;
  readonly bytes: readonly number[];
}

const byteOf = (content: string, index: number): number => Number.parseInt(content.slice(2 * index, 2 * index + 2), 16);

/** The number of a value by its key; a new one is added to the list. */
function intern<T>(ids: Map<string, number>, values: T[], key: string, value: T): number {
  const known = ids.get(key);
  if (known !== undefined) return known;
  ids.set(key, values.length);
  values.push(value);
  return values.length - 1;
}
