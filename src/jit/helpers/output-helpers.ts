/** Helpers that hand something out: ring buffers, perf buffers, stacks. Source: kernel/bpf/ringbuf.c, stackmap.c, kernel/trace/bpf_trace.c (6.12). */
import { BPF_F_FAST_STACK_CMP, BPF_F_REUSE_STACKID, type Ring } from '../maps/index.ts';
import { answered, failed, mapAt, read, u32, write } from './access.ts';
import { type HelperBody, type HelperContext, HelperFault, type MappedMap } from './helper-context.ts';

const BPF_RB_NO_WAKEUP = 1n;
const BPF_RB_FORCE_WAKEUP = 2n;
const BPF_F_INDEX_MASK = 0xffff_ffffn;
const BPF_F_SKIP_FIELD_MASK = 0xffn;
const BPF_F_USER_STACK = 1n << 8n;
const BPF_F_USER_BUILD_ID = 1n << 11n;

function ringAt(context: HelperContext, address: bigint): { readonly map: MappedMap; readonly ring: Ring } {
  const map = mapAt(context, address);
  const ring = map.shape.kind === 'ringbuf' ? map.shape.map.rings[0] : undefined;
  if (ring === undefined) throw new HelperFault(address, 'read');
  return { map, ring };
}

const ringbufOutput: HelperBody = ([mapArg, data, sizeArg, flags], context) => {
  const { map, ring } = ringAt(context, mapArg);
  if ((flags & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) !== 0n) return failed('EINVAL');
  const at = ring.reserve(map.area, Number(sizeArg));
  if (at === undefined) return failed('EAGAIN');
  map.area.write(at, read(context, data, Number(sizeArg)));
  ring.commit(map.area, at, false);
  return 0n;
};

const ringbufReserve: HelperBody = ([mapArg, size, flags], context) => {
  const { map, ring } = ringAt(context, mapArg);
  const at = flags === 0n ? ring.reserve(map.area, Number(size)) : undefined;
  return at === undefined ? 0n : map.address + BigInt(at);
};

const commit =
  (isDiscarded: boolean): HelperBody =>
  ([sample], context) => {
    for (const map of context.maps) {
      const at = Number(sample - map.address);
      const ring = map.shape.kind === 'ringbuf' ? map.shape.map.rings[0] : undefined;
      if (ring === undefined || at < 0 || !ring.isReserved(map.area, at)) continue;
      ring.commit(map.area, at, isDiscarded);
      return 0n;
    }
    throw new HelperFault(sample, 'write');
  };

/** BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_CONS_POS, BPF_RB_PROD_POS; 0 for anything else. */
const ringbufQuery: HelperBody = ([mapArg, flags], context) => {
  const { map, ring } = ringAt(context, mapArg);
  switch (flags) {
    case 0n:
      return ring.available(map.area);
    case 1n:
      return BigInt(ring.places.size);
    case 2n:
      return ring.consumer(map.area);
    case 3n:
      return ring.producer(map.area);
    default:
      return 0n;
  }
};

const perfEventOutput: HelperBody = ([, mapArg, flags, data, size], context) => {
  const map = mapAt(context, mapArg);
  if (map.shape.kind !== 'perf') throw new HelperFault(mapArg, 'read');
  if ((flags & ~BPF_F_INDEX_MASK) !== 0n) return failed('EINVAL');
  const index = flags === BPF_F_INDEX_MASK ? context.cpu : Number(flags);
  const bytes = read(context, data, Number(size));
  return answered(map.shape.map.output(map.area, { index, cpu: context.cpu }, bytes));
};

/** The kernel's stack without its first `skip` addresses; the user's is empty: simulated tasks have none. Undefined when fewer are there. */
function stackOf(context: HelperContext, flags: bigint): readonly bigint[] | undefined {
  const skip = Number(flags & BPF_F_SKIP_FIELD_MASK);
  const all = (flags & BPF_F_USER_STACK) === 0n ? context.stack() : [];
  return all.length < skip ? undefined : all.slice(skip);
}

const getStackid: HelperBody = ([, mapArg, flags], context) => {
  const map = mapAt(context, mapArg);
  if (map.shape.kind !== 'stacks') throw new HelperFault(mapArg, 'read');
  const known = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID;
  if ((flags & ~known) !== 0n) return failed('EINVAL');
  const ips = stackOf(context, flags);
  if (ips === undefined || ips.length === 0) return failed('EFAULT');
  const id = map.shape.map.put(map.area, ips, flags);
  return typeof id === 'number' ? BigInt(id) : failed(id);
};

/** Answers the bytes that were written; what is behind them in the buffer is 0. */
const getStack: HelperBody = ([, to, sizeArg, flags], context) => {
  const size = u32(sizeArg);
  const out = new Uint8Array(size);
  const known = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_USER_BUILD_ID;
  const isKnown = (flags & ~known) === 0n && (flags & BPF_F_USER_BUILD_ID) === 0n && size % 8 === 0;
  const ips = isKnown ? stackOf(context, flags) : undefined;
  const kept = (ips ?? []).slice(0, size / 8);
  for (const [i, ip] of kept.entries()) new DataView(out.buffer).setBigUint64(8 * i, ip, true);
  write(context, to, out);
  if (!isKnown) return failed('EINVAL');
  return ips === undefined ? failed('EFAULT') : BigInt(8 * kept.length);
};

/** The running task's stack; of another one none is kept. */
const getTaskStack: HelperBody = ([task, to, size, flags], context) => {
  if (task === context.task.address) return getStack([0n, to, size, flags, 0n], context);
  write(context, to, new Uint8Array(u32(size)));
  return failed('EFAULT');
};

export const OUTPUT_HELPERS: readonly (readonly [number, HelperBody])[] = [
  [25, perfEventOutput],
  [27, getStackid],
  [67, getStack],
  [130, ringbufOutput],
  [131, ringbufReserve],
  [132, commit(false)],
  [133, commit(true)],
  [134, ringbufQuery],
  [141, getTaskStack],
];
