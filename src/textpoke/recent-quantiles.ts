/** The last `capacity` samples, for quantiles that follow what happens now instead of averaging over the process's life. */
export class RecentQuantiles {
  readonly #samples: Float64Array;
  #count = 0;

  constructor(capacity: number) {
    this.#samples = new Float64Array(capacity);
  }

  add(sample: number): void {
    this.#samples[this.#count % this.#samples.length] = sample;
    this.#count++;
  }

  /** Nearest-rank quantiles in the samples' unit; null while there is no sample. */
  read(): Quantiles {
    const sorted = this.#samples.slice(0, Math.min(this.#count, this.#samples.length)).sort();
    const rank = (q: number): number | null => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null;
    return { p50: rank(0.5), p99: rank(0.99) };
  }
}

export interface Quantiles {
  readonly p50: number | null;
  readonly p99: number | null;
}
