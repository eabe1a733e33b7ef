/** What a BPF map is made from: names and numbers of include/uapi/linux/bpf.h (6.12). */

/** enum bpf_map_type, without BPF_MAP_TYPE_ and in lower case. */
export const MAP_TYPE_NUMBERS = {
  hash: 1,
  array: 2,
  prog_array: 3,
  perf_event_array: 4,
  percpu_hash: 5,
  percpu_array: 6,
  stack_trace: 7,
  cgroup_array: 8,
  lru_hash: 9,
  lru_percpu_hash: 10,
  lpm_trie: 11,
  array_of_maps: 12,
  hash_of_maps: 13,
  devmap: 14,
  sockmap: 15,
  cpumap: 16,
  xskmap: 17,
  sockhash: 18,
  cgroup_storage: 19,
  reuseport_sockarray: 20,
  percpu_cgroup_storage: 21,
  queue: 22,
  stack: 23,
  sk_storage: 24,
  devmap_hash: 25,
  struct_ops: 26,
  ringbuf: 27,
  inode_storage: 28,
  task_storage: 29,
  bloom_filter: 30,
  user_ringbuf: 31,
  cgrp_storage: 32,
  arena: 33,
} as const;

/** Every type that Linux has. */
export type MapTypeName = keyof typeof MAP_TYPE_NUMBERS;

/** The types that are built here. */
export const MAP_TYPES = [
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'lru_hash',
  'lru_percpu_hash',
  'ringbuf',
] as const satisfies readonly MapTypeName[];

export type MapType = (typeof MAP_TYPES)[number];

export const isMapType = (name: string): name is MapType => MAP_TYPES.some((each) => each === name);

/** The name of a type by its number, built or not. */
export const mapTypeName = (number: number): MapTypeName | undefined =>
  (Object.keys(MAP_TYPE_NUMBERS) as MapTypeName[]).find((name) => MAP_TYPE_NUMBERS[name] === number);

/** Flags of a map (BPF_F_*, BPF_MAP_CREATE). */
export const MAP_FLAGS = {
  BPF_F_NO_PREALLOC: 1 << 0,
  BPF_F_NO_COMMON_LRU: 1 << 1,
  BPF_F_NUMA_NODE: 1 << 2,
  /** For the system call; programs may still write. */
  BPF_F_RDONLY: 1 << 3,
  BPF_F_WRONLY: 1 << 4,
  BPF_F_STACK_BUILD_ID: 1 << 5,
  BPF_F_ZERO_SEED: 1 << 6,
  /** For programs; the system call may still write, until the map is frozen. */
  BPF_F_RDONLY_PROG: 1 << 7,
  BPF_F_WRONLY_PROG: 1 << 8,
  BPF_F_MMAPABLE: 1 << 10,
  BPF_F_PRESERVE_ELEMS: 1 << 11,
  BPF_F_INNER_MAP: 1 << 12,
} as const;

/** Flags of one update. */
export const BPF_ANY = 0;
export const BPF_NOEXIST = 1;
export const BPF_EXIST = 2;
export const BPF_F_LOCK = 4;

/** BPF_OBJ_NAME_LEN, its NUL included. */
export const MAP_NAME_LENGTH = 16;

/** What BPF_MAP_CREATE is told. Sizes are bytes. */
export interface MapSpec {
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  /** Of one CPU, where each has its own. */
  readonly valueSize: number;
  /** Of a ring buffer: its bytes. */
  readonly maxEntries: number;
  /** BPF_F_* */
  readonly flags: number;
  /** Contents of the one entry of `.data`, `.rodata` and their like; `.bss` has none and is 0. */
  readonly initial?: Uint8Array;
  /** No more writes by the system call once it is filled (BPF_MAP_FREEZE), as libbpf does with `.rodata`. */
  readonly isFrozen?: boolean;
  /** Section of the object that it comes from. */
  readonly section?: string;
  /** Where `struct bpf_spin_lock` is in a value, when it has one: four bytes that no update changes and nobody is shown. */
  readonly spinLock?: number;
  /** Types in the object's BTF. */
  readonly btf?: { readonly keyType: number; readonly valueType: number };
}
