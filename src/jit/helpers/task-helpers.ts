/** Helpers about where and when a program runs, and what it runs for. Source: kernel/bpf/helpers.c, kernel/trace/bpf_trace.c (6.12). */
import { failed, read64, s32, u32, write, write64 } from './access.ts';
import type { HelperBody } from './helper-context.ts';

/** strscpy_pad: cut to the size with its NUL, the rest 0. */
const getCurrentComm: HelperBody = ([to, sizeArg], context) => {
  const out = new Uint8Array(u32(sizeArg));
  out.set(new TextEncoder().encode(context.task.comm).subarray(0, Math.max(0, out.length - 1)));
  write(context, to, out);
  return 0n;
};

/** Below the context of a trampoline's program: the number of its argument words, and under that the traced function's address. */
const NR_ARGS = 8n;
const FUNC_IP = 16n;

const getFuncArg: HelperBody = ([ctx, n, to], context) => {
  if (u32(n) >= Number(read64(context, ctx - NR_ARGS))) return failed('EINVAL');
  write64(context, to, read64(context, ctx + 8n * BigInt(u32(n))));
  return 0n;
};

const getFuncRet: HelperBody = ([ctx, to], context) => {
  write64(context, to, read64(context, ctx + 8n * read64(context, ctx - NR_ARGS)));
  return 0n;
};

const perCpuPtr: HelperBody = ([address, cpu], { perCpuOffset }) => {
  const offset = perCpuOffset(u32(cpu));
  return offset === undefined ? 0n : BigInt.asUintN(64, address + offset);
};

const thisCpuPtr: HelperBody = ([address], { cpu, perCpuOffset }) =>
  BigInt.asUintN(64, address + (perCpuOffset(cpu) ?? 0n));

/** The root of the default hierarchy, which idle tasks are in. */
const ROOT_CGROUP_ID = 1n;

/** No CPU here records branches. */
const getBranchSnapshot: HelperBody = ([, , flags]) => failed(flags === 0n ? 'ENOENT' : 'EINVAL');

/** Idle tasks have no mappings. */
const findVma: HelperBody = ([, , , , flags]) => failed(flags === 0n ? 'ENOENT' : 'EINVAL');

/** CONFIG_HZ of Debian's kernels. Jiffies wrap for the first time five minutes after boot (INITIAL_JIFFIES, include/linux/jiffies.h). */
const HZ = 250n;
const TICK_NS = 1_000_000_000n / HZ;
const INITIAL_JIFFIES = BigInt.asUintN(32, -300n * HZ);

export const TASK_HELPERS: readonly (readonly [number, HelperBody])[] = [
  [5, (_, { now }) => now()],
  [7, (_, { random }) => BigInt(random() >>> 0)],
  [8, (_, { cpu }) => BigInt(cpu)],
  [14, (_, { task }) => (BigInt(task.tgid) << 32n) | BigInt(task.pid)],
  [15, (_, { task }) => (BigInt(task.gid) << 32n) | BigInt(task.uid)],
  [16, getCurrentComm],
  [35, (_, { task }) => task.address],
  [42, () => 0n],
  [80, () => ROOT_CGROUP_ID],
  [118, (_, { now }) => INITIAL_JIFFIES + now() / TICK_NS],
  [123, ([level]) => (s32(level) === 0 ? ROOT_CGROUP_ID : 0n)],
  [125, (_, { now }) => now()],
  [160, (_, { now }) => (now() / TICK_NS) * TICK_NS],
  [153, perCpuPtr],
  [154, thisCpuPtr],
  [158, (_, { task }) => task.address],
  [173, ([ctx], context) => read64(context, ctx - FUNC_IP)],
  [174, (_, { cookie }) => cookie()],
  [176, getBranchSnapshot],
  [180, findVma],
  [183, getFuncArg],
  [184, getFuncRet],
  [208, (_, { tai }) => tai()],
  [185, ([ctx], context) => read64(context, ctx - NR_ARGS)],
];
