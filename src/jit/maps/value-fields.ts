/** Values whose lock is nobody's to copy: copy_map_value, check_and_init_map_value (include/linux/bpf.h, 6.12). */
import type { MapArea } from './area.ts';
import { BPF_EXIST, BPF_F_LOCK, type MapSpec } from './map-spec.ts';

/** sizeof(struct bpf_spin_lock), which is its alignment, too. */
export const SPIN_LOCK_SIZE = 4;

/** A value with its lock left as it is. */
export function copyValue(area: MapArea, at: number, bytes: Uint8Array, { spinLock }: Pick<MapSpec, 'spinLock'>): void {
  if (spinLock === undefined) area.write(at, bytes);
  else {
    area.write(at, bytes.subarray(0, spinLock));
    area.write(at + spinLock + SPIN_LOCK_SIZE, bytes.subarray(spinLock + SPIN_LOCK_SIZE));
  }
}

/** A value as the system call shows it: its lock is 0. */
export function shownValue(bytes: Uint8Array, { spinLock }: Pick<MapSpec, 'spinLock'>): Uint8Array {
  if (spinLock !== undefined) bytes.fill(0, spinLock, spinLock + SPIN_LOCK_SIZE);
  return bytes;
}

/** The flags of an update without BPF_F_LOCK; undefined when they are none that the map takes. */
export function updateFlags(
  flags: bigint,
  { spinLock }: Pick<MapSpec, 'spinLock'>,
): { readonly flags: number; readonly isLocked: boolean } | undefined {
  const isLocked = (flags & BigInt(BPF_F_LOCK)) !== 0n;
  const rest = flags & ~BigInt(BPF_F_LOCK);
  return rest > BigInt(BPF_EXIST) || (isLocked && spinLock === undefined)
    ? undefined
    : { flags: Number(rest), isLocked };
}
