/** Programs that may sleep: who may be one, and what such a one may not use (kernel/bpf/verifier.c, 6.12). */
import type { Env } from './env.ts';
import type { VerifierMap } from './request.ts';

/** can_be_sleepable; of kprobe programs those that are for uprobes. */
const SLEEPABLE_TYPES: ReadonlySet<string> = new Set(['fentry', 'fexit', 'fmod_ret', 'lsm', 'kprobe']);

/** Maps whose contents outlive a program that sleeps (check_map_prog_compatibility). */
const SLEEPABLE_MAPS: ReadonlySet<string> = new Set([
  'hash',
  'lru_hash',
  'array',
  'percpu_hash',
  'percpu_array',
  'lru_percpu_hash',
  'ringbuf',
]);

/** check_attach_btf_id: a program that sleeps is of a type, and for a function, in which one may. */
export function checkSleepable(env: Env): void {
  const { isSleepable, type, target } = env.request;
  if (isSleepable !== true) return;
  if (!SLEEPABLE_TYPES.has(type))
    env.reject('EINVAL', 'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable');
  if (target !== undefined && target.maySleep !== true) env.reject('EINVAL', `${target.name} is not sleepable`);
}

export function checkSleepableMap(env: Env, map: VerifierMap): void {
  if (env.request.isSleepable === true && !SLEEPABLE_MAPS.has(map.type))
    env.reject('EINVAL', 'Sleepable programs can only use array, hash, ringbuf and local storage maps');
}
