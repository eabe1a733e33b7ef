import { type Fault, invariant } from '../../base/index.ts';
import type { Rule } from './rule.ts';

const common = { range: 'all', strictness: 'both' } as const;

export const MAP_UNKNOWN: Rule = {
  ...common,
  id: 'map.unknown',
  title: 'No such map',
  errno: 'ENOENT',
  what: 'A request names a BPF map that does not exist, or that is another tenant’s.',
  why: 'Maps are made before the programs that use them.',
  linux: 'bpf_map_get_curr_or_next, kernel/bpf/syscall.c (6.12)',
  remedies: ['Make it with `POST /v1/maps`; `GET /v1/maps` lists those that are there.'],
};

export const MAP_IN_USE: Rule = {
  ...common,
  id: 'map.in-use',
  title: 'The map is used',
  errno: 'EBUSY',
  what: 'A map is not deleted while a loaded program uses it.',
  why: 'In Linux each program holds a reference to its maps; here deleting says so instead of waiting.',
  linux: 'bpf_map_put, kernel/bpf/syscall.c (6.12)',
  remedies: ['Unload its programs first.'],
};

export const MAP_LIMIT: Rule = {
  ...common,
  id: 'map.limit',
  title: 'Too many maps, or too large',
  errno: 'ENOMEM',
  what: 'A map is refused because it has more than 64 MiB, because the maps of its client then have more than 128 MiB, those of everybody more than 512 MiB, or because there are 1,000.',
  why: 'A map’s memory is counted in full when it is made, as Linux charges it, so that no client fills the service’s memory later.',
  linux: 'bpf_map_area_alloc, kernel/bpf/syscall.c (6.12); the limits are this service’s',
  remedies: ['Ask for fewer entries; a ring buffer takes twice its size.', 'Delete maps that are no longer needed.'],
};

const ATTRIBUTES: Rule = {
  ...common,
  id: 'bpf.map.attributes',
  title: 'No map can be made of this',
  errno: 'EINVAL',
  what: 'A map is refused because of its sizes or flags: EINVAL what its type does not take, E2BIG an element that is too large, ENOTSUPP an LRU map without preallocation.',
  why: 'What can be asked for depends on the type.',
  linux: 'map_create and map_alloc_check of the type, kernel/bpf (6.12)',
  remedies: ['docs/maps.md has the sizes and flags of each type.'],
};

export const MAP_ELEMENT: Rule = {
  ...common,
  id: 'bpf.map.element',
  title: 'The map does not do that to this element',
  errno: 'EINVAL',
  what: 'Reading, writing or deleting an element is refused: ENOENT it is not there, EEXIST it is (BPF_NOEXIST), E2BIG the map is full or the index too large, ENOMEM an LRU map has nothing to let go, EINVAL the type does not do it or the flags do not exist.',
  why: 'It is what bpf(2) answers.',
  linux: 'map_update_elem, map_delete_elem, kernel/bpf/syscall.c (6.12)',
  remedies: ['docs/maps.md says for each type what it answers.'],
};

export const MAP_ACCESS: Rule = {
  ...common,
  id: 'bpf.map.access',
  title: 'The map is not to be written or read from here',
  errno: 'EPERM',
  what: 'An element is not written because the map is frozen or has BPF_F_RDONLY, or not read because it has BPF_F_WRONLY.',
  why: 'Constants of a program stay what its verifier saw.',
  linux: 'map_get_sys_perms, kernel/bpf/syscall.c (6.12)',
  remedies: [],
};

export const MAP_SIZES: Rule = {
  ...common,
  id: 'map.sizes',
  title: 'Not as many bytes as a key or a value has',
  errno: 'EINVAL',
  what: 'A key, a value or the initial contents do not have as many bytes as the map says, or there is not one value for each CPU.',
  why: 'bpf(2) copies as many bytes as the map says from where it is told; here they are counted.',
  linux: 'no counterpart: the system call is given no lengths',
  remedies: ['`GET /v1/maps/{id}` has `keySize`, `valueSize` and `cpus`.'],
};

const REFERENCE: Rule = {
  ...common,
  id: 'bpf.map.reference',
  title: 'An instruction’s map is not there, or not of the kind it needs',
  errno: 'EINVAL',
  what: 'A program is refused because a 64-bit immediate names a map by an index that the list given with the program does not have, or asks for an address in the value of a map that is not an array of one element.',
  why: 'Instructions name maps by their place in the list `maps` of the request (BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE).',
  linux: 'resolve_pseudo_ldimm64, kernel/bpf/verifier.c (6.12)',
  remedies: ['Give the ids of the maps in `maps`, in the order in which the instructions count them.'],
};

export const MAP_RULES: readonly Rule[] = [
  MAP_UNKNOWN,
  MAP_IN_USE,
  MAP_LIMIT,
  ATTRIBUTES,
  MAP_ELEMENT,
  MAP_ACCESS,
  MAP_SIZES,
  REFERENCE,
];

/** A fault of the compiler's room about a map, with what its rule advises. */
export function mapFault(fault: Fault): Fault {
  const rule = MAP_RULES.find(({ id }) => id === fault.rule);
  invariant(rule !== undefined, () => `${fault.rule} has no page`);
  return { ...fault, detail: `${fault.detail}.`, linux: rule.linux, remedies: rule.remedies };
}
