import { type Errno, err, type Fault, ok, type Result } from '../../base/index.ts';
import { MAP_FLAGS, type MapSpec, type MapType } from './map-spec.ts';
import { SPIN_LOCK_SIZE } from './value-fields.ts';

const F = MAP_FLAGS;
const ACCESS_MASK = F.BPF_F_RDONLY | F.BPF_F_WRONLY | F.BPF_F_RDONLY_PROG | F.BPF_F_WRONLY_PROG;
const HASH = F.BPF_F_NO_PREALLOC | F.BPF_F_NO_COMMON_LRU | F.BPF_F_NUMA_NODE | F.BPF_F_ZERO_SEED | ACCESS_MASK;
const ARRAY = F.BPF_F_NUMA_NODE | ACCESS_MASK;

/** Flags that a type takes (ARRAY_CREATE_FLAG_MASK, HTAB_CREATE_FLAG_MASK, …). */
const FLAGS: Readonly<Record<MapType, number>> = {
  array: ARRAY | F.BPF_F_MMAPABLE | F.BPF_F_INNER_MAP,
  percpu_array: ACCESS_MASK,
  prog_array: F.BPF_F_NUMA_NODE | F.BPF_F_RDONLY | F.BPF_F_WRONLY,
  perf_event_array: F.BPF_F_NUMA_NODE | F.BPF_F_RDONLY | F.BPF_F_WRONLY | F.BPF_F_PRESERVE_ELEMS,
  hash: HASH & ~F.BPF_F_NO_COMMON_LRU,
  percpu_hash: HASH & ~(F.BPF_F_NO_COMMON_LRU | F.BPF_F_NUMA_NODE),
  lru_hash: HASH & ~F.BPF_F_NO_PREALLOC,
  lru_percpu_hash: HASH & ~(F.BPF_F_NO_PREALLOC | F.BPF_F_NUMA_NODE),
  stack_trace: F.BPF_F_NUMA_NODE | F.BPF_F_RDONLY | F.BPF_F_WRONLY,
  ringbuf: F.BPF_F_NUMA_NODE,
};

/** PCPU_MIN_UNIT_SIZE (include/linux/percpu.h, 6.12). */
const PCPU_MIN_UNIT_SIZE = 32 << 10;
/** KMALLOC_MAX_SIZE of x86-64 with 4 KiB pages, less sizeof(struct htab_elem). */
const ELEMENT_MAX = (4 << 20) - 48;
const PAGE_SIZE = 4096;
/** sysctl_perf_event_max_stack. */
export const PERF_MAX_STACK_DEPTH = 127;
const INT_MAX = 0x7fff_ffff;

export const isPerCpu = (type: MapType): boolean =>
  type === 'percpu_array' || type === 'percpu_hash' || type === 'lru_percpu_hash';
export const isLru = (type: MapType): boolean => type === 'lru_hash' || type === 'lru_percpu_hash';

export const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

const SOURCE: Readonly<Record<MapType, string>> = {
  array: 'array_map_alloc_check, kernel/bpf/arraymap.c (6.12)',
  percpu_array: 'array_map_alloc_check, kernel/bpf/arraymap.c (6.12)',
  prog_array: 'fd_array_map_alloc_check, kernel/bpf/arraymap.c (6.12)',
  perf_event_array: 'fd_array_map_alloc_check, kernel/bpf/arraymap.c (6.12)',
  hash: 'htab_map_alloc_check, kernel/bpf/hashtab.c (6.12)',
  percpu_hash: 'htab_map_alloc_check, kernel/bpf/hashtab.c (6.12)',
  lru_hash: 'htab_map_alloc_check, kernel/bpf/hashtab.c (6.12)',
  lru_percpu_hash: 'htab_map_alloc_check, kernel/bpf/hashtab.c (6.12)',
  stack_trace: 'stack_map_alloc, kernel/bpf/stackmap.c (6.12)',
  ringbuf: 'ringbuf_map_alloc, kernel/bpf/ringbuf.c (6.12)',
};

type Problem = readonly [errno: Errno, detail: string];

function flagsProblem({ type, flags }: MapSpec): Problem | undefined {
  const unknown = flags & ~FLAGS[type];
  if (unknown !== 0) {
    const isNoPrealloc = isLru(type) && unknown === F.BPF_F_NO_PREALLOC;
    const names = Object.entries(F).filter(([, bit]) => (unknown & bit) !== 0);
    const said = names.length === 0 ? `0x${(unknown >>> 0).toString(16)}` : names.map(([name]) => name).join(', ');
    return [isNoPrealloc ? 'ENOTSUPP' : 'EINVAL', `a map of type ${type} does not take ${said}`];
  }
  const both = (a: number, b: number): boolean => (flags & a) !== 0 && (flags & b) !== 0;
  if (both(F.BPF_F_RDONLY_PROG, F.BPF_F_WRONLY_PROG))
    return ['EINVAL', 'BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other'];
  if (both(F.BPF_F_RDONLY, F.BPF_F_WRONLY)) return ['EINVAL', 'BPF_F_RDONLY and BPF_F_WRONLY exclude each other'];
  return both(F.BPF_F_NO_COMMON_LRU, F.BPF_F_NUMA_NODE)
    ? ['EINVAL', 'BPF_F_NO_COMMON_LRU and BPF_F_NUMA_NODE exclude each other']
    : undefined;
}

function sizesProblem({ type, keySize, valueSize, maxEntries }: MapSpec): Problem | undefined {
  if (type === 'ringbuf') {
    if (keySize !== 0 || valueSize !== 0) return ['EINVAL', 'a ring buffer has neither keys nor values'];
    const isPowerOf2 = maxEntries > 0 && (maxEntries & (maxEntries - 1)) === 0;
    return isPowerOf2 && maxEntries % PAGE_SIZE === 0
      ? undefined
      : ['EINVAL', `the size of a ring buffer is a power of 2 and whole pages, not ${maxEntries}`];
  }
  if (maxEntries === 0) return ['EINVAL', 'max_entries is 0'];
  const isHash = type === 'hash' || type === 'percpu_hash' || isLru(type);
  if (!isHash && keySize !== 4) return ['EINVAL', `keys of type ${type} have 4 bytes, not ${keySize}`];
  if (keySize === 0) return ['EINVAL', 'key_size is 0'];
  if (valueSize === 0) return ['EINVAL', 'value_size is 0'];
  return valueProblem(type, keySize, valueSize, isHash);
}

function valueProblem(type: MapType, keySize: number, valueSize: number, isHash: boolean): Problem | undefined {
  if ((type === 'prog_array' || type === 'perf_event_array') && valueSize !== 4)
    return ['EINVAL', `values of type ${type} have 4 bytes, not ${valueSize}`];
  if (type === 'stack_trace' && (valueSize % 8 !== 0 || valueSize / 8 > PERF_MAX_STACK_DEPTH))
    return ['EINVAL', `a stack trace has 1 to ${PERF_MAX_STACK_DEPTH} addresses of 8 bytes, not ${valueSize} bytes`];
  if (valueSize > INT_MAX || (isHash && keySize + valueSize >= ELEMENT_MAX))
    return ['E2BIG', `an element with ${keySize} + ${valueSize} bytes is too large`];
  return isPerCpu(type) && roundUp(valueSize, 8) > PCPU_MIN_UNIT_SIZE
    ? ['E2BIG', `a value of each CPU has at most ${PCPU_MIN_UNIT_SIZE} bytes, not ${valueSize}`]
    : undefined;
}

/** map_check_btf (kernel/bpf/syscall.c, 6.12): why values of a map have no locks. */
export function whyNoLocks({ type, flags }: Pick<MapSpec, 'type' | 'flags'>): Problem | undefined {
  if ((flags & (F.BPF_F_RDONLY_PROG | F.BPF_F_WRONLY_PROG)) !== 0)
    return ['EACCES', 'values with struct bpf_spin_lock are for programs to read and to write'];
  return type === 'hash' || type === 'array'
    ? undefined
    : ['EOPNOTSUPP', `values of type ${type} have no struct bpf_spin_lock`];
}

function lockProblem(spec: MapSpec): Problem | undefined {
  const { valueSize, spinLock } = spec;
  if (spinLock === undefined) return undefined;
  if (spinLock % SPIN_LOCK_SIZE !== 0 || spinLock + SPIN_LOCK_SIZE > valueSize)
    return ['EINVAL', `a value of ${valueSize} bytes has no struct bpf_spin_lock at offset ${spinLock}`];
  return whyNoLocks(spec);
}

/** What BPF_MAP_CREATE refuses whatever memory there is: EINVAL, E2BIG, ENOTSUPP, and EACCES and EOPNOTSUPP for locks, as Linux has them (rule `bpf.map.attributes`). */
export function checkMapSpec(spec: MapSpec): Result<MapSpec> {
  const problem = flagsProblem(spec) ?? sizesProblem(spec) ?? lockProblem(spec);
  if (problem === undefined) return ok(spec);
  const [errno, detail] = problem;
  const fault: Fault = {
    errno,
    rule: 'bpf.map.attributes',
    detail: `${spec.name}: ${detail}`,
    linux: SOURCE[spec.type],
  };
  return err(fault);
}
