/** What the kernel takes of a map's types. Where it refuses the map with them, libbpf makes it without. */
import { BTF_KIND, stripBtf } from '../../image/index.ts';
import { MAP_FLAGS, type MapSpec, whyNoLocks } from '../maps/index.ts';
import type { ObjectBtf } from './object-btf.ts';
import { refuseBy } from './object-fault.ts';
import { spinLockOf } from './special-fields.ts';

type Typed = Pick<MapSpec, 'type' | 'flags'>;

/** The types of a map of `.maps`; 0: not given. */
export function definedTypes(
  { types }: ObjectBtf,
  map: Typed,
  keyType: number,
  valueType: number,
): Pick<MapSpec, 'btf' | 'spinLock'> {
  if (keyType === 0 || valueType === 0) return {};
  // array_map_check_btf: the key is a number.
  if (map.type === 'array' && types.kind(stripBtf(types, keyType)) !== BTF_KIND.INT) return {};
  const spinLock = spinLockOf(types, [{ type: stripBtf(types, valueType), offset: 0 }]);
  if (spinLock !== undefined && whyNoLocks(map) !== undefined) return {};
  return { btf: { keyType, valueType }, ...(spinLock === undefined ? {} : { spinLock }) };
}

/** The types of a section of data. */
export function sectionTypes(btf: ObjectBtf, map: Typed, section: string): Pick<MapSpec, 'btf' | 'spinLock'> {
  const described = btf.dataSections.get(section);
  if (described === undefined) return {};
  const spinLock = spinLockOf(btf.types, described.variables);
  // bpf_map_mmap: whoever maps memory could write to the lock.
  if (spinLock !== undefined && (map.flags & MAP_FLAGS.BPF_F_MMAPABLE) !== 0)
    refuseBy(
      'bpf.object.map',
      'ENOTSUPP',
      { section, offset: spinLock },
      'what others see is mapped, and a lock may not be: make all variables here static or __hidden',
    );
  if (spinLock !== undefined && whyNoLocks(map) !== undefined) return {};
  return { btf: { keyType: 0, valueType: described.id }, ...(spinLock === undefined ? {} : { spinLock }) };
}
