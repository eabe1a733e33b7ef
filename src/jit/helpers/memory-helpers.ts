/** Helpers that copy memory which may not be there. Source: kernel/trace/bpf_trace.c, mm/maccess.c (6.12). */
import { failed, u32, write } from './access.ts';
import type { HelperArgs, HelperBody, HelperContext } from './helper-context.ts';

/** copy_from_kernel_nofault_allowed: user addresses and the page behind them are refused without a look. */
const KERNEL_START = 0x7fff_ffff_f000n + 0x1000n;
const isKernel = (address: bigint): boolean => address >= KERNEL_START;

function fault(context: HelperContext, [to, size]: HelperArgs): bigint {
  write(context, to, new Uint8Array(u32(size)));
  return failed('EFAULT');
}

const probeReadKernel: HelperBody = (args, context) => {
  const [to, size, from] = args;
  const bytes = isKernel(from) ? context.memory.read(from, u32(size)) : undefined;
  if (bytes === undefined) return fault(context, args);
  write(context, to, bytes);
  return 0n;
};

/** Answers the length with its NUL. */
const probeReadKernelStr: HelperBody = (args, context) => {
  const [to, sizeArg, from] = args;
  const size = u32(sizeArg);
  if (size === 0) return 0n;
  const text: number[] = [];
  for (let at = from; text.length < size - 1; at += 1n) {
    const byte = isKernel(at) ? context.memory.read(at, 1)?.[0] : undefined;
    if (byte === undefined) return fault(context, args);
    if (byte === 0) break;
    text.push(byte);
  }
  write(context, to, Uint8Array.from([...text, 0]));
  return BigInt(text.length + 1);
};

/** Simulated tasks have no user memory. */
const probeReadUser: HelperBody = (args, context) => fault(context, args);

/** What is there of nobody's is nothing, too. */
const copyFromUser: HelperBody = (args, context) => (u32(args[1]) === 0 ? 0n : fault(context, args));

const copyFromUserTask: HelperBody = (args, context) =>
  args[4] === 0n ? copyFromUser(args, context) : failed('EINVAL');

/** bpf_probe_write_user, bpf_send_signal: not in kernel threads. */
const notInKernelThreads: HelperBody = () => failed('EPERM');

export const MEMORY_HELPERS: readonly (readonly [number, HelperBody])[] = [
  [4, probeReadKernel],
  [36, notInKernelThreads],
  [45, probeReadKernelStr],
  [109, notInKernelThreads],
  [112, probeReadUser],
  [113, probeReadKernel],
  [114, probeReadUser],
  [115, probeReadKernelStr],
  [117, notInKernelThreads],
  [148, copyFromUser],
  [191, copyFromUserTask],
];
