/** Helpers of maps with keys. Source: kernel/bpf/helpers.c, hashtab.c, arraymap.c (6.12). */
import { type KeyedMap, MAP_CPUS, SPIN_LOCK_SIZE } from '../maps/index.ts';
import { answered, failed, mapAt, read, u32, write } from './access.ts';
import {
  type BpfCallback,
  type HelperArgs,
  type HelperBody,
  type HelperContext,
  HelperFault,
  type MappedMap,
} from './helper-context.ts';

/** In the first page of a map: the key that a callback of bpf_for_each_map_elem is given where elements have none in memory. */
const KEY_SCRATCH = 0x7e0;

function keyed(context: HelperContext, address: bigint): { readonly map: MappedMap; readonly keys: KeyedMap } {
  const map = mapAt(context, address);
  // A verifier lets no other type through.
  if (map.shape.kind !== 'keyed') throw new HelperFault(address, 'read');
  return { map, keys: map.shape.map };
}

function lookup(context: HelperContext, [mapArg, keyArg]: HelperArgs, cpu: number): bigint {
  const { map, keys } = keyed(context, mapArg);
  const key = read(context, keyArg, map.spec.keySize);
  const at = keys.lookup(map.area, key, { cpu, isProgram: true });
  return at === undefined ? 0n : map.address + BigInt(at);
}

const lookupElem: HelperBody = (args, context) => lookup(context, args, context.cpu);

/** Answers 0 for a CPU that is not there. */
const lookupPercpuElem: HelperBody = (args, context) => {
  const cpu = u32(args[2]);
  return cpu < MAP_CPUS ? lookup(context, args, cpu) : 0n;
};

const updateElem: HelperBody = ([mapArg, keyArg, valueArg, flags], context) => {
  const { map, keys } = keyed(context, mapArg);
  const key = read(context, keyArg, map.spec.keySize);
  const bytes = read(context, valueArg, map.spec.valueSize);
  return answered(keys.update(map.area, key, { from: 'program', cpu: context.cpu, bytes }, flags));
};

const deleteElem: HelperBody = ([mapArg, keyArg], context) => {
  const { map, keys } = keyed(context, mapArg);
  return answered(keys.delete(map.area, read(context, keyArg, map.spec.keySize)));
};

/** The callback is given map, key, value and its context; anything but 0 ends the loop. Answers the elements that it was called for. */
function* forEachElem(
  [mapArg, callee, argument, flags]: HelperArgs,
  context: HelperContext,
): Generator<BpfCallback, bigint, bigint> {
  const { map, keys } = keyed(context, mapArg);
  if (flags !== 0n) return failed('EINVAL');
  let count = 0n;
  for (const { key, keyAt, at } of keys.elements(map.area)) {
    count += 1n;
    if (keyAt === undefined) map.area.write(KEY_SCRATCH, key);
    const keyAddress = map.address + BigInt(keyAt ?? KEY_SCRATCH);
    const value = map.address + BigInt(at + context.cpu * keys.cpuStride);
    if ((yield { callee, args: [map.address, keyAddress, value, argument] }) !== 0n) break;
  }
  return count;
}

/** One byte of the four says that the lock is taken (struct qspinlock). */
const LOCKED = Uint8Array.of(1, 0, 0, 0);
const UNLOCKED = new Uint8Array(SPIN_LOCK_SIZE);

/** Alone, a program finds every lock free, as its verifier has seen to it. */
const spinLock: HelperBody = ([lock], context) => {
  write(context, lock, LOCKED);
  return 0n;
};

const spinUnlock: HelperBody = ([lock], context) => {
  write(context, lock, UNLOCKED);
  return 0n;
};

export const MAP_HELPERS: readonly (readonly [number, HelperBody])[] = [
  [1, lookupElem],
  [2, updateElem],
  [3, deleteElem],
  [93, spinLock],
  [94, spinUnlock],
  [164, forEachElem],
  [195, lookupPercpuElem],
];
