import { SECOND_SLOT } from '../bpf/index.ts';
import type { Env } from './env.ts';
import { checkKernelName } from './kernel-names.ts';
import type { VerifierMap } from './request.ts';
import { checkSleepableMap } from './sleeping.ts';
import { checkLocksOf } from './spin-lock.ts';

/** BPF_MAX_VAR_OFF: no offset of a pointer reaches it. */
const MAX_VAR_OFF = 1 << 29;

/** The address of what is in a map's value: arrays have one, of one element (array_map_direct_value_addr, kernel/bpf/arraymap.c, 6.12). */
function checkValueOffset(env: Env, map: VerifierMap, off: number): void {
  if (off >= MAX_VAR_OFF) env.reject('EINVAL', `direct value offset of ${off} is not allowed`);
  if (map.type !== 'array') env.reject('EINVAL', 'no direct value access support for this map type');
  if (map.maxEntries === 1 && off < map.valueSize) return;
  const errno = map.maxEntries === 1 ? 'EINVAL' : 'ENOTSUPP';
  env.reject(errno, `invalid access to map value pointer, value_size=${map.valueSize} off=${off}`);
}

/**
 * Refuses 64-bit immediates that name what is not there, also where no path leads to (resolve_pseudo_ldimm64, kernel/bpf/verifier.c, 6.12).
 */
export function checkImmediates(env: Env): void {
  const { code, request } = env;
  for (let slot = 0; slot < code.length; slot++) {
    if (code.insn[slot] === SECOND_SLOT) continue;
    const { meaning } = env.insnAt(slot);
    if (meaning.kind !== 'ld-imm64' || meaning.is === 'number' || meaning.is === 'function') continue;
    const { is } = meaning;
    env.insn = slot;
    const named = code.imm[slot] as number;
    const second = (code.imm[slot + 1] as number) >>> 0;
    if (is === 'btf-id') {
      checkKernelName(env, slot);
      continue;
    }
    const isValue = is === 'map-value' || is === 'map-index-value';
    if (!isValue && second !== 0) env.reject('EINVAL', 'unrecognized bpf_ld_imm64 insn');
    const map = request.map(code.src[slot] as number, named);
    if (map === undefined) env.reject('EBADF', `fd ${named} is not pointing to valid bpf_map`);
    checkLocksOf(env, map);
    checkSleepableMap(env, map);
    if (isValue) checkValueOffset(env, map, second);
  }
  env.insn = 0;
}
