import { invariant } from '../base/index.ts';
import { type AddressSpace, PAGE_SIZE } from '../cpu/index.ts';
import type { RuntimeTracepoint } from '../registry/index.ts';
import type { MachineImage } from './machine-image.ts';

/** What kmalloc would answer for arrays of struct tracepoint_func, and perf's buffers (perf_trace_buf), one for each CPU. */
const START = 0xffff_8881_4000_0000n;
const BUFFERS_START = 0xffff_8881_4010_0000n;
const ARRAYS_SIZE = 1 << 20;
/** PERF_MAX_TRACE_SIZE (include/linux/trace_events.h), and a struct pt_regs behind it. */
export const TRACE_BUFFER_SIZE = 8192;
const BUFFER_ROOM = TRACE_BUFFER_SIZE + PAGE_SIZE;
/** struct tracepoint_func: func, data, prio. */
const FUNC_SIZE = 24;
/** TRACEPOINT_DEFAULT_PRIO. */
const PRIORITY = 10;

export const traceBuffer = (cpu: number): bigint => BUFFERS_START + BigInt(cpu * BUFFER_ROOM);
export const traceRegs = (cpu: number): bigint => traceBuffer(cpu) + BigInt(TRACE_BUFFER_SIZE);

/** What a kernel has in memory of the probes of its tracepoints: arrays of functions, and events that know of programs. */
export class TracepointMemory {
  readonly #space: AddressSpace;
  readonly #image: MachineImage;

  constructor(space: AddressSpace, image: MachineImage) {
    this.#space = space;
    this.#image = image;
    const map = (name: string, start: bigint, length: number): void => {
      space.map({ name, start, length, permissions: 'rw-' });
    };
    map('functions of tracepoints', START, ARRAYS_SIZE);
    map('buffers of trace events', BUFFERS_START, image.cpus * BUFFER_ROOM);
  }

  /** Writes them; going back to a snapshot takes them away. */
  put(tracepoints: readonly RuntimeTracepoint[]): void {
    const funcs = this.#image.members['tracepoint.funcs'];
    const progArray = this.#image.members['trace_event_call.prog_array'];
    let at = START;
    for (const tracepoint of tracepoints) {
      if (tracepoint.probes.length === 0 || funcs === undefined) continue;
      this.#write64(this.#image.base + BigInt(tracepoint.at) + BigInt(funcs), at);
      for (const { func, data } of tracepoint.probes) {
        this.#write64(at, this.#image.base + BigInt(func));
        this.#write64(at + 8n, data);
        this.#write64(at + 16n, BigInt(PRIORITY));
        at += BigInt(FUNC_SIZE);
      }
      // An entry without a function is the last.
      at += BigInt(FUNC_SIZE);
      invariant(at < START + BigInt(ARRAYS_SIZE), 'probes of tracepoints have room');
      for (const { kind, data } of tracepoint.programs)
        if (kind === 'event' && progArray !== undefined) this.#write64(data + BigInt(progArray), START);
    }
  }

  #write64(address: bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    invariant(this.#space.poke(address, bytes), () => `0x${address.toString(16)} is data of the kernel`);
  }
}
