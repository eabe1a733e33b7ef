/** What this boot does to returns and calls, as far as static calls have to follow; read from pristine text. */
import { CALL_INSN_OPCODE, JMP32_INSN_OPCODE, relTarget } from '../../insn/index.ts';
import { isKernelText, type World } from '../world.ts';

/** Returns looked at before it is settled that they stay plain. */
const RETURNS_TRIED = 256;
const CALLS_TRIED = 4096;
const CALL_THUNK_MAX = 32;
/** Addresses where ITS leaves returns alone have this bit set (cpu_wants_rethunk_at, 6.12). */
const ITS_SAFE_HALF = 0x20;

interface CallThunk {
  /** Bytes of accounting code in front of a function. */
  readonly size: number;
  /** How that code starts. */
  readonly start: Uint8Array;
}

interface BootCpu {
  readonly returnThunk: number | undefined;
  readonly isIts: boolean;
  readonly callThunk: CallThunk | undefined;
}

const KNOWN = new WeakMap<World, BootCpu>();

function findReturnThunk(world: World): number | undefined {
  let tried = 0;
  for (const site of world.image.returnSites) {
    if ((site & ITS_SAFE_HALF) !== 0 || site < world.coreText.start || site >= world.coreText.end) continue;
    if (!world.pristine.contains(site, 5)) continue;
    const bytes = world.pristine.bytes(site, 5);
    if (bytes[0] === JMP32_INSN_OPCODE) {
      const target = relTarget(bytes, site);
      if (target !== undefined && /return_thunk$/.test(world.image.symbols.containing(target)?.name ?? ''))
        return target;
    }
    tried += 1;
    if (tried === RETURNS_TRIED) break;
  }
  return undefined;
}

/** With call depth tracking calls of functions go to the padding in front of them: some call shows how far in front. */
function findCallThunk(world: World): CallThunk | undefined {
  const { pristine, image } = world;
  if (image.symbols.offsetOf('skl_call_thunk_template') === undefined) return undefined;
  for (const site of image.callSites.subarray(0, CALLS_TRIED)) {
    if (!pristine.contains(site, 5)) continue;
    const bytes = pristine.bytes(site, 5);
    const target = bytes[0] === CALL_INSN_OPCODE ? relTarget(bytes, site) : undefined;
    const symbol = target === undefined ? undefined : image.symbols.containing(target);
    if (target === undefined || symbol?.name.startsWith('__pfx_') !== true || symbol.offset === undefined) continue;
    const size = symbol.offset + symbol.size - target;
    if (size > 0 && size <= CALL_THUNK_MAX) return { size, start: pristine.bytes(target, 4) };
  }
  return undefined;
}

function bootCpu(world: World): BootCpu {
  let cpu = KNOWN.get(world);
  if (cpu === undefined) {
    const returnThunk = findReturnThunk(world);
    const name = returnThunk === undefined ? '' : (world.image.symbols.containing(returnThunk)?.name ?? '');
    cpu = { returnThunk, isIts: name === 'its_return_thunk', callThunk: findCallThunk(world) };
    KNOWN.set(world, cpu);
  }
  return cpu;
}

/** x86_return_thunk when returns go through one (cpu_wants_rethunk). */
export const returnThunk = (world: World): number | undefined => bootCpu(world).returnThunk;

/** The thunk that a return at `at` goes through (cpu_wants_rethunk_at). */
export function returnThunkAt(world: World, at: number): number | undefined {
  const { returnThunk: thunk, isIts } = bootCpu(world);
  return isIts && (at & ITS_SAFE_HALF) !== 0 ? undefined : thunk;
}

/** callthunks_translate_call_dest: the accounting code in front of a function, when there is some; 6.1 has none. */
export function translateCallDestination(world: World, func: number): number {
  const thunk = bootCpu(world).callThunk;
  if (thunk === undefined || !isKernelText(world, func)) return func;
  const pad = func - thunk.size;
  if (!world.pristine.contains(pad, thunk.start.length)) return func;
  return Buffer.compare(world.pristine.bytes(pad, thunk.start.length), thunk.start) === 0 ? pad : func;
}
