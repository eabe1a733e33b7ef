import type {
  EnteredCode,
  Runtime,
  RuntimeExtension,
  RuntimeKprobe,
  RuntimeOps,
  RuntimeProgram,
} from '../registry/index.ts';
import type { MachineImage } from './machine-image.ts';

/** True when an ascending array has a value. */
export function hasSorted(sorted: Uint32Array, value: number): boolean {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = sorted[middle] as number;
    if (found === value) return true;
    if (found < value) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}

/** ftrace_ops_test: an empty filter is every function. */
export const opsHasSite = (ops: RuntimeOps, site: number): boolean =>
  ops.sites.length === 0 || hasSorted(ops.sites, site);

/** Code whose entry is all that says that it ran. */
export type WatchedCode = EnteredCode & {
  /** Of a freplace program. */
  readonly extension?: RuntimeExtension;
};

/** A runtime with its look-ups. */
export class RuntimeIndex {
  readonly runtime: Runtime;
  readonly image: MachineImage;
  readonly #ops = new Map<bigint, RuntimeOps>();
  readonly #kprobes = new Map<number, RuntimeKprobe>();
  readonly #optprobes = new Map<bigint, RuntimeKprobe>();
  readonly #kprobesByFunction = new Map<number, RuntimeKprobe[]>();
  readonly #programs = new Map<bigint, RuntimeProgram>();
  readonly #counted = new Map<number, WatchedCode>();
  readonly #breakpoints: ReadonlyMap<number, Runtime['breakpoints'][number]>;

  constructor(runtime: Runtime, image: MachineImage) {
    this.runtime = runtime;
    this.image = image;
    for (const ops of runtime.ops) this.#ops.set(ops.pointer, ops);
    for (const probe of runtime.kprobes) {
      this.#kprobes.set(probe.addr, probe);
      if (probe.optimized !== undefined) this.#optprobes.set(probe.optimized.op, probe);
      this.#kprobesByFunction.set(probe.func, [...(this.#kprobesByFunction.get(probe.func) ?? []), probe]);
    }
    for (const program of runtime.programs) this.#programs.set(program.prog, program);
    const entered = new Set(runtime.programs.filter(({ layout }) => layout === 'linux').map(({ entry }) => entry));
    for (const code of runtime.counted) if (!entered.has(code.entry)) this.#counted.set(code.entry, code);
    for (const { attachment, entry } of runtime.programs)
      if (!entered.has(entry) && !this.#counted.has(entry))
        this.#counted.set(entry, { attachment, entry, what: 'bpf_prog' });
    for (const extension of runtime.extensions)
      this.#counted.set(extension.entry, { ...extension, what: 'bpf_ext', extension });
    this.#breakpoints = new Map(runtime.breakpoints.map((each) => [each.at, each]));
  }

  symbol(name: string): bigint | undefined {
    return this.image.symbols[name];
  }

  /** Offset from `_text`, as a plain number. */
  offset(address: bigint): number {
    return Number(BigInt.asUintN(64, address - this.image.base));
  }

  address(offset: number): bigint {
    return this.image.base + BigInt(offset);
  }

  ops(pointer: bigint): RuntimeOps | undefined {
    return this.#ops.get(pointer);
  }

  kprobeAt(addr: number): RuntimeKprobe | undefined {
    return this.#kprobes.get(addr);
  }

  /** By address of its struct optimized_kprobe. */
  optprobe(op: bigint): RuntimeKprobe | undefined {
    return this.#optprobes.get(op);
  }

  kprobesIn(func: number): readonly RuntimeKprobe[] {
    return this.#kprobesByFunction.get(func) ?? [];
  }

  program(prog: bigint): RuntimeProgram | undefined {
    return this.#programs.get(prog);
  }

  /** Code that only its own first instruction announces, by entry. */
  get counted(): ReadonlyMap<number, WatchedCode> {
    return this.#counted;
  }

  breakpointAt(at: number): Runtime['breakpoints'][number] | undefined {
    return this.#breakpoints.get(at);
  }
}
