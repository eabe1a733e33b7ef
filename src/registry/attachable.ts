/** Which kinds of owner a function can take at all, before anybody holds it: what `GET /v1/symbols` answers. */
import type { KernelSymbol } from '../image/index.ts';
import { isEndbr, NOP5, prepareKprobeInsn } from '../insn/index.ts';
import { functionProblem, programProblem } from './bpf/attach-target.ts';
import { KPROBE_INSNS } from './kernels/kprobe-facts.ts';
import { unsafeAddress } from './kprobe/address-safe.ts';
import { recoveredBytes } from './kprobe/recovered.ts';
import { initialState } from './model/initial-state.ts';
import type { KernelState } from './model/state.ts';
import { ftraceLocation, isWeakLeftover, type World } from './world.ts';

export interface Attachable {
  readonly kprobe: boolean;
  readonly ftrace: boolean;
  readonly fentry: boolean;
  readonly fmodRet: boolean;
  readonly livepatch: boolean;
  /** For each kind that is not possible, why, in one sentence. */
  readonly why: Readonly<Record<string, string>>;
}

const NO_KPROBES = new WeakMap<World, KernelState['kprobeTable']>();

function noKprobes(world: World): KernelState['kprobeTable'] {
  let table = NO_KPROBES.get(world);
  if (table === undefined) {
    table = initialState(world).kprobeTable;
    NO_KPROBES.set(world, table);
  }
  return table;
}

function kprobeProblem(world: World, entry: number, name: string): string | undefined {
  const hasEndbr = world.pristine.contains(entry, 4) && isEndbr(world.pristine.bytes(entry, 4));
  const addr = hasEndbr ? entry + 4 : entry;
  const unsafe = unsafeAddress(world, addr, name);
  if (unsafe !== undefined) return unsafe.detail;
  if (ftraceLocation(world, addr) === addr) return undefined;
  const bytes = recoveredBytes(world, noKprobes(world), world.pristine, addr);
  const prepared = prepareKprobeInsn(bytes, addr, addr, { rules: world.fact(KPROBE_INSNS) });
  return prepared.kind === 'refused'
    ? `${name} starts with an instruction that cannot be probed: ${prepared.fault.detail}.`
    : undefined;
}

function fentryProblem(world: World, entry: number, name: string): string | undefined {
  const problem = functionProblem(world, name);
  if (problem !== undefined) return problem.detail;
  if (ftraceLocation(world, entry) !== undefined) return undefined;
  const at = world.pristine.contains(entry, 4) && isEndbr(world.pristine.bytes(entry, 4)) ? entry + 4 : entry;
  if (at < world.coreText.start || at >= world.coreText.end) return `${name} is not core kernel text.`;
  const isNop = world.pristine.contains(at, 5) && Buffer.compare(world.pristine.bytes(at, 5), NOP5) === 0;
  return isNop ? undefined : `${name} has no ftrace site and no five-byte NOP at its entry.`;
}

export function attachable(world: World, symbol: KernelSymbol): Attachable {
  const why: Record<string, string> = {};
  const entry = symbol.offset;
  if (entry === undefined || !/^[TtWw]$/.test(symbol.type)) {
    const reason = `${symbol.name} is not kernel text.`;
    for (const kind of ['kprobe', 'ftrace', 'fentry', 'fmodRet', 'livepatch']) why[kind] = reason;
    return { kprobe: false, ftrace: false, fentry: false, fmodRet: false, livepatch: false, why };
  }
  const site = ftraceLocation(world, entry);
  const hasSite = world.ftrace !== undefined && site !== undefined && !isWeakLeftover(world, site);
  const noSite = `${symbol.name} has no ftrace site: it is notrace, assembly or init code.`;
  const kprobe = kprobeProblem(world, entry, symbol.name);
  if (kprobe !== undefined) why['kprobe'] = kprobe;
  if (!hasSite) why['ftrace'] = noSite;
  const fentry = fentryProblem(world, entry, symbol.name);
  if (fentry !== undefined) why['fentry'] = fentry;
  const fmodRet = fentry ?? programProblem(world, symbol.name, { kind: 'fmod_ret', sleepable: false })?.detail;
  if (fmodRet !== undefined) why['fmodRet'] = fmodRet;
  const namesakes = world.image.symbols.byName(symbol.name).length;
  const livepatch = !hasSite ? noSite : namesakes > 1 ? `${namesakes} symbols are called ${symbol.name}.` : undefined;
  if (livepatch !== undefined) why['livepatch'] = livepatch;
  return {
    kprobe: kprobe === undefined,
    ftrace: hasSite,
    fentry: fentry === undefined,
    fmodRet: fmodRet === undefined,
    livepatch: livepatch === undefined,
    why,
  };
}
