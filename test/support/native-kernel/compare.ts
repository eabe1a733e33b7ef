import type { FunctionPrototype } from '../../../src/image/index.ts';
import type { CallArgument, CallOutcome } from '../../../src/machine/index.ts';
import { NativeCrash } from '../native-process/native-process.ts';
import type { LowMap } from './low-memory.ts';
import type { LowCall, LowSimulated } from './low-simulated.ts';
import type { NativeKernel } from './native-kernel.ts';
import type { MemoryPage, PristineCall, PristineKernel } from './pristine-kernel.ts';
import type { UserMode } from './user-mode.ts';

export type Comparison =
  /** `isPortable`: and where it really is linked, too, addresses aside. */
  | { readonly kind: 'equal'; readonly call: PristineCall; readonly isPortable: boolean }
  /** Not asked the real CPU, and why. */
  | { readonly kind: 'not-compared'; readonly reason: string }
  | { readonly kind: 'different'; readonly detail: string };

export interface ComparedKernel {
  readonly pristine: PristineKernel;
  readonly low: LowSimulated;
  readonly native: NativeKernel;
  readonly userMode: UserMode;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** The first aligned word that is neither the same nor, for `isSame`, as good as the same. */
function differingWord(
  { address, bytes }: MemoryPage,
  other: Uint8Array | undefined,
  isSame: (a: bigint, b: bigint) => boolean,
): string | undefined {
  if (other === undefined) return `${hex(address)} was not written`;
  if (Buffer.compare(bytes, other) === 0) return undefined;
  const [a, b] = [bytes, other].map((each) => new DataView(each.buffer, each.byteOffset)) as [DataView, DataView];
  for (let i = 0; i + 8 <= bytes.length; i += 8) {
    const [x, y] = [a.getBigUint64(i, true), b.getBigUint64(i, true)];
    if (x !== y && !isSame(x, y)) return `at ${hex(address + BigInt(i))} is ${hex(x)}, really ${hex(y)}`;
  }
  return undefined;
}

/** As many bits of a result as the function's type has. */
export function resultBits(prototype: FunctionPrototype | undefined): number {
  const { kind = 'int', size = 8 } = prototype?.result ?? {};
  return kind === 'void' ? 0 : kind === 'pointer' ? 64 : Math.min(size, 8) * 8;
}

/** Whether the same came of a call at the addresses of the kernel and at those of the process. */
function isPortable(map: LowMap, bits: number, high: PristineCall, low: LowCall): boolean {
  const { end } = high.outcome;
  if (end.kind !== 'returned') return false;
  const isSame = (a: bigint, b: bigint): boolean => map.toHigh(b) === a;
  const isEqual = BigInt.asUintN(bits, end.value) === BigInt.asUintN(bits, low.value);
  if (!isEqual && !isSame(end.value, low.value)) return false;
  const pages = new Map(low.written.map(({ address, bytes }) => [address, bytes]));
  if (pages.size !== high.written.length) return false;
  return high.written.every(
    (page) => differingWord(page, pages.get(map.toLow(page.address) ?? 0n), isSame) === undefined,
  );
}

function whyNot(call: LowCall | CallOutcome): string | undefined {
  const end = 'exit' in call ? call.exit : call.end;
  if (end.kind === 'returned') return undefined;
  if (end.kind === 'budget') return 'takes more than 100,000 instructions';
  if (end.kind !== 'fault') return `ends with ${end.kind}`;
  const { name } = end.fault;
  if (name !== 'not-implemented') return `faults: ${name}`;
  return 'detail' in end.fault ? end.fault.detail : `the simulated CPU does not execute ${end.fault.mnemonic}`;
}

/**
 * Calls a function where it is linked, and below 2 GiB on the simulated CPU and, when that returned and did nothing that a process may not do, on
 * the real one. The last two have the same addresses, so that the result and every page that was written must be equal to the bit.
 */
export async function compareCall(
  { pristine, low, native, userMode }: ComparedKernel,
  address: bigint,
  args: readonly CallArgument[],
  prototype: FunctionPrototype | undefined,
): Promise<Comparison> {
  const high = pristine.call(address, args);
  const { map } = native.kernel;
  const toLow = (at: bigint): bigint => map.toLow(at) ?? at;
  const given = high.given.map(({ address: at, bytes }) => ({ address: toLow(at), bytes: map.lowered(bytes, true) }));
  const words = high.words.map(toLow);
  const reason =
    whyNot(high.outcome) ??
    (high.outcome.log.length > 0 ? 'traps: WARN' : undefined) ??
    whyNot(low.call(toLow(address), words, given, false));
  if (reason !== undefined) return { kind: 'not-compared', reason };
  const call = low.call(toLow(address), words, given, true);
  const why = userMode.why(call.executed);
  if (why !== undefined) return { kind: 'not-compared', reason: why };
  try {
    const real = await native.call({
      function: toLow(address),
      args: words,
      before: given.map(({ address: at, bytes }) => ({ at, bytes })),
      after: call.written.map(({ address: at }) => ({ at, restored: low.initial(at) })),
    });
    const bits = resultBits(prototype);
    if (BigInt.asUintN(bits, call.value) !== BigInt.asUintN(bits, real.value))
      return { kind: 'different', detail: `returned ${hex(call.value)}, really ${hex(real.value)}` };
    for (const [i, page] of call.written.entries()) {
      const detail = differingWord(page, real.memory[i], () => false);
      if (detail !== undefined) return { kind: 'different', detail };
    }
    return { kind: 'equal', call: high, isPortable: isPortable(map, bits, high, call) };
  } catch (error) {
    if (!(error instanceof NativeCrash)) throw error;
    return { kind: 'different', detail: error.message };
  }
}
