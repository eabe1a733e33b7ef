/**
 * BPF helpers, played where their kernel functions begin: what they need of a booted kernel (clocks, maps, a tracing buffer) is not there to be
 * executed. Those that only read the context of a trampoline, take a lock, or look where a CPU's variables are, are executed.
 */
import {
  BPF_F_LOCK,
  GET_FUNC_IP,
  HELPER_BODIES,
  HELPER_PROTOTYPES,
  HELPER_STUBS_MAX,
  type HelperArgs,
  type HelperContext,
  HelperFault,
  helperStub,
  STUB_CODE,
} from '../../jit/index.ts';
import { AGAIN, type Execution, type GuestCall, type Handler, type Played } from '../execution.ts';
import { GuestFault } from '../guest.ts';
import { percpuStart, STACK_SIZE, stackStart, taskStart } from '../layout.ts';
import { funcIpOfKprobe } from './kprobe-ftrace.ts';

/** spin_lock, spin_unlock, d_path, per_cpu_ptr, this_cpu_ptr, task_pt_regs, get_func_ip, get_func_arg, get_func_ret, get_func_arg_cnt: machine code of the kernel that can be executed. */
const EXECUTED: readonly number[] = [93, 94, 147, 153, 154, 173, 175, 183, 184, 185];

const ARGUMENTS = ['rdi', 'rsi', 'rdx', 'rcx', 'r8'] as const;
const FRAMES_MAX = 127;

/** Whether a call ends right in front of an address: `call rel32`, or an indirect one of 2, 3, 6 or 7 bytes. */
function followsCall(x: Execution, address: bigint): boolean {
  const bytes = x.guest.space.peek(address - 7n, 7);
  if (bytes === undefined) return false;
  const indirect = [2, 3, 6, 7].some((size) => bytes[7 - size] === 0xff && ((bytes[8 - size] ?? 0) & 0x38) === 0x10);
  return bytes[2] === 0xe8 || indirect;
}

/**
 * Return addresses from a helper outwards. Generated code has frame pointers. Behind it every word of the stack that points behind a call in text
 * counts, as for the kernel's guess unwinder: ORC tables are not read.
 */
function stackOf(x: Execution): readonly bigint[] {
  const { guest, index } = x;
  const { kernelText } = x.bpf;
  const isText = (address: bigint): boolean => address >= index.image.base && address < kernelText;
  const ips = [guest.read64(guest.get('rsp'))];
  let frame = guest.get('rbp');
  while (ips.length < FRAMES_MAX && !isText(ips.at(-1) ?? 0n)) {
    ips.push(guest.read64(frame + 8n));
    if (isText(ips.at(-1) ?? 0n)) break;
    frame = guest.read64(frame);
  }
  const end = stackStart(guest.cpu.number) + BigInt(STACK_SIZE);
  for (let at = frame + 16n; at < end && ips.length < FRAMES_MAX; at += 8n) {
    const word = guest.read64(at);
    if (isText(word) && followsCall(x, word)) ips.push(word);
  }
  return ips;
}

function contextOf(x: Execution): HelperContext {
  const { guest, bpf, index } = x;
  const cpu = guest.cpu.number;
  return {
    memory: {
      read: (address, length) => guest.space.peek(BigInt.asUintN(64, address), length),
      write: (address, bytes) => guest.space.poke(BigInt.asUintN(64, address), bytes),
    },
    maps: bpf.maps,
    cpu,
    // The machine's tasks are copies of init_task.
    task: { pid: 0, tgid: 0, uid: 0, gid: 0, comm: `swapper/${cpu}`, address: taskStart(cpu) },
    now: bpf.now,
    tai: bpf.tai,
    random: bpf.random,
    trace: (line, text) => x.trace(line, text),
    perCpuOffset: (number) =>
      number < index.image.cpus ? percpuStart(number) - (index.symbol('__per_cpu_start') ?? 0n) : undefined,
    cookie: () => {
      const running = x.programs.at(-1);
      return running?.runCtx === undefined ? (running?.cookie ?? 0n) : guest.read64(running.runCtx);
    },
    stack: () => stackOf(x),
    symbol: () => undefined,
  };
}

function asGuestFault(error: unknown): unknown {
  return error instanceof HelperFault ? new GuestFault(error.address, error.access) : error;
}

/** A helper that calls functions of its program. */
function* playing(run: Generator<GuestCall, bigint, bigint>): Handler {
  try {
    return yield* run;
  } catch (error) {
    throw asGuestFault(error);
  }
}

const MAP_UPDATE_ELEM = 2;

/** An update with BPF_F_LOCK waits until no program on another CPU holds the lock of the value (copy_map_value_locked). */
function waitsForLock(id: number, { guest, bpf }: Execution): boolean {
  if (id !== MAP_UPDATE_ELEM || (guest.get('rcx') & BigInt(BPF_F_LOCK)) === 0n) return false;
  const map = bpf.maps.find(({ address }) => address === guest.get('rdi'));
  if (map?.spec.spinLock === undefined || map.shape.kind !== 'keyed') return false;
  const key = guest.space.peek(guest.get('rsi'), map.spec.keySize);
  const value = key && map.shape.map.lookup(map.area, key, { cpu: guest.cpu.number, isProgram: false });
  return value !== undefined && map.area.u32(value + map.spec.spinLock) !== 0;
}

const play =
  (id: number) =>
  (x: Execution): Handler | Played | typeof AGAIN => {
    if (waitsForLock(id, x)) return AGAIN;
    if (id === GET_FUNC_IP && x.programs.at(-1)?.runCtx === undefined) return funcIpOfKprobe(x);
    const body = HELPER_BODIES.get(id);
    const args = ARGUMENTS.map((name) => x.guest.get(name)) as unknown as HelperArgs;
    try {
      const run = body?.(args, contextOf(x));
      return typeof run === 'object' ? playing(run) : run;
    } catch (error) {
      throw asGuestFault(error);
    }
  };

type PlayHelper = ReturnType<typeof play>;
type Named = readonly (readonly [string, PlayHelper])[];

/** By kernel function. */
export const PLAYED_HELPERS: Named = [...HELPER_PROTOTYPES.values()]
  .filter(({ id }) => HELPER_BODIES.has(id) && !EXECUTED.includes(id))
  .flatMap(({ id, symbol, symbolOf = {} }) =>
    [symbol, ...Object.values(symbolOf)].map((name) => [name, play(id)] as const),
  );

/** By address, for a kernel that has no functions for them. */
export const STUB_HELPERS: readonly (readonly [bigint, PlayHelper])[] = [...HELPER_BODIES.keys()]
  .filter((id) => id < HELPER_STUBS_MAX && !STUB_CODE.has(id))
  .map((id) => [helperStub(id), play(id)] as const);
