/** Calls of functions of a kernel where it is linked, below 2 GiB, on the real CPU, and with everything attached that they take. */
import { type Prng, seededPrng } from '../../../src/base/index.ts';
import type { FunctionPrototype, KernelImage } from '../../../src/image/index.ts';
import type { CallArgument, CallOutcome } from '../../../src/machine/index.ts';
import type { KernelState } from '../../../src/registry/index.ts';
import { RegistryLab } from '../registry-lab.ts';
import { attachAll } from './attached.ts';
import { type ComparedKernel, compareCall, resultBits } from './compare.ts';
import { lowKernel } from './low-memory.ts';
import { LowSimulated } from './low-simulated.ts';
import { NativeKernel } from './native-kernel.ts';
import { type PristineCall, PristineKernel } from './pristine-kernel.ts';
import { readRelocatable } from './relocations.ts';
import { sampleArguments } from './sample-arguments.ts';
import { UserMode } from './user-mode.ts';

export type Verdict =
  | { readonly kind: 'equal' }
  /** Equal to the real CPU, but not asked further, and why. */
  | { readonly kind: 'only-native'; readonly reason: string }
  | { readonly kind: 'not-compared'; readonly reason: string }
  | { readonly kind: 'different'; readonly detail: string };

const hexOf = ({ buffers }: CallOutcome): string =>
  buffers.map(({ arg, bytes }) => `${arg}: ${Buffer.from(bytes).toString('hex')}`).join();

export class ComparedFunctions {
  readonly image: KernelImage;
  readonly #kernel: ComparedKernel;
  readonly #lab: RegistryLab;
  readonly #pristineState: KernelState;

  private constructor(image: KernelImage, kernel: ComparedKernel) {
    this.image = image;
    this.#kernel = kernel;
    this.#lab = new RegistryLab(image, 'linux');
    this.#pristineState = this.#lab.state;
  }

  static async of(image: KernelImage): Promise<ComparedFunctions> {
    const pristine = await PristineKernel.of(image);
    const { regions } = pristine.machine.space;
    const perCpuLoad = image.symbols.byName('__per_cpu_load')[0]?.address;
    const perCpu = regions.find(({ name }) => name === 'per-CPU area of CPU 0')?.start;
    if (perCpuLoad === undefined || perCpu === undefined) throw new Error('a kernel without per-CPU data');
    const relocatable = await readRelocatable(image.source);
    const kernel = lowKernel(pristine.machine.image, regions, relocatable, perCpuLoad);
    const gs = kernel.map.toLow(perCpu) ?? 0n;
    return new ComparedFunctions(image, {
      pristine,
      low: new LowSimulated(kernel, gs),
      native: new NativeKernel(kernel, gs),
      userMode: new UserMode(image, kernel),
    });
  }

  /** How an attached call differs from the pristine one; undefined when it does not. */
  #attached(name: string, args: readonly CallArgument[], pristine: PristineCall, bits: number): string | undefined {
    const { machine } = this.#kernel.pristine;
    const attached = attachAll(this.#lab, this.#pristineState, machine, name);
    if (attached.ids.length === 0) return 'nothing can be attached';
    const outcome = attached.call(args);
    const { end } = outcome;
    if (end.kind !== 'returned') return `attached: ${end.kind} ${end.kind === 'fault' ? end.fault.detail : ''}`;
    const was = pristine.outcome.end.kind === 'returned' ? pristine.outcome.end.value : 0n;
    if (BigInt.asUintN(bits, end.value) !== BigInt.asUintN(bits, was))
      return `attached: returned ${end.value.toString(16)}, not ${was.toString(16)}`;
    if (hexOf(outcome) !== hexOf(pristine.outcome)) return 'attached: buffers differ';
    const silent = attached.ids.filter((id) => !outcome.fired.some(({ attachment }) => attachment === id));
    return silent.length === 0 ? undefined : `attached: ${silent.length} of ${attached.ids.length} did not fire`;
  }

  async compare(name: string, args: readonly CallArgument[], prototype?: FunctionPrototype): Promise<Verdict> {
    const [symbol] = this.image.symbols.byName(name);
    if (symbol === undefined) return { kind: 'not-compared', reason: 'is not in this kernel' };
    const compared = await compareCall(this.#kernel, symbol.address, args, prototype);
    if (compared.kind !== 'equal') return compared;
    if (!compared.isPortable) return { kind: 'only-native', reason: 'depends on where memory is' };
    const attached = this.#attached(name, args, compared.call, resultBits(prototype));
    if (attached === undefined) return { kind: 'equal' };
    if (attached === 'nothing can be attached') return { kind: 'only-native', reason: attached };
    return { kind: 'different', detail: attached };
  }

  /** Functions with a prototype that boot has not freed, one of `stride`, picked by the seed. */
  *sample(seed: number, stride: number): Generator<{ readonly name: string; readonly prototype: FunctionPrototype }> {
    const random = seededPrng(seed);
    const seen = new Set<string>();
    for (const { name, offset } of this.image.symbols.matching('*')) {
      if (random.below(stride) !== 0 || seen.has(name) || offset === undefined) continue;
      seen.add(name);
      const prototype = this.image.btf?.prototype(name);
      if (prototype !== undefined) yield { name, prototype };
    }
  }

  arguments(name: string, prototype: FunctionPrototype, random?: Prng): readonly CallArgument[] | undefined {
    return this.image.btf === undefined ? undefined : sampleArguments(this.image.btf, name, prototype, random);
  }

  /** The simulated CPU below 2 GiB sees other bytes there than the real one: for canaries. */
  mistake(symbol: string, at: number, bytes: Uint8Array): void {
    const address = this.image.symbols.byName(symbol)[0]?.address;
    const low = address === undefined ? undefined : this.#kernel.native.kernel.map.toLow(address + BigInt(at));
    if (low === undefined) throw new Error(`no ${symbol}`);
    this.#kernel.low.mistake(low, bytes);
  }

  close(): void {
    this.#kernel.native.close();
  }
}
