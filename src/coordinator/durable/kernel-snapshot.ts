import type { Steps } from '../../base/index.ts';
import { type KernelState, type ModuleRecord, moduleRecord, restoreModules } from '../../registry/index.ts';
import { loadText, type PokeRecord, type TextMutexHeld } from '../../textpoke/index.ts';
import type { Kernel } from '../kernel.ts';
import type { Leases } from '../sessions.ts';
import { decodeValue, encodeSteps, type Json } from './value-codec.ts';

/** Pokes that a snapshot carries, so that the newest changes still have their author after a restart. */
const HISTORY_KEPT = 2_048;

/** A kernel between two commands. */
export interface KernelSnapshot {
  /** Modules as what they were made of. */
  readonly state: Json;
  /** Sessions, and what they hold. */
  readonly leases: Json;
  /** Text that is not pristine. */
  readonly text: Json;
  readonly history: Json;
  readonly pokes: number;
  /** Number of the newest event. */
  readonly lastEvent: number;
}

/**
 * The kernel as it is now, as JSON, in steps. All that it is made of is taken at the call: tables are values, and commands may change the kernel
 * while the steps go on.
 */
export function takeSnapshot(kernel: Kernel): Steps<string> {
  const { text } = kernel;
  return snapshotText({
    state: { ...kernel.state, modules: kernel.state.modules.map(moduleRecord) },
    leases: kernel.leases,
    text: text.changedRanges().map(({ at, length }) => ({ at, bytes: text.bytes(at, length) })),
    history: text.history.newest(HISTORY_KEPT),
    pokes: text.history.state().sequence,
    lastEvent: kernel.events.next - 1,
  });
}

function* snapshotText(snapshot: { readonly [Field in keyof KernelSnapshot]: unknown }): Steps<string> {
  const pieces: string[] = [];
  yield* encodeSteps(snapshot, pieces);
  return pieces.join('');
}

/** Makes a kernel that nobody has used yet what it was. The events are restored from the records. */
export function restoreSnapshot(kernel: Kernel, held: TextMutexHeld, snapshot: KernelSnapshot): void {
  const state = decodeValue(snapshot.state) as Omit<KernelState, 'modules'> & {
    readonly modules: readonly ModuleRecord[];
  };
  kernel.state = { ...state, modules: restoreModules(kernel.world, state.modules) };
  kernel.leases = decodeValue(snapshot.leases) as Leases;
  loadText(held, kernel.text, decodeValue(snapshot.text) as { readonly at: number; readonly bytes: Uint8Array }[]);
  kernel.text.history.restore(snapshot.history as unknown as readonly PokeRecord[], snapshot.pokes);
}
