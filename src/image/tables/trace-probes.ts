/** Functions that tracepoints call for BPF: of a class of events, which is not to be told by the name of an event. */
import { toOffset } from '../../base/index.ts';
import { type ByteView, byteView } from '../byte-view.ts';
import type { RawKernel } from '../raw-kernel.ts';
import { entriesOf, tableBetween } from './table-bytes.ts';

/** struct bpf_raw_event_map: tp, bpf_func, num_args, writable_size, at a multiple of 32 (include/linux/tracepoint-defs.h; 5.15 to 6.18). */
const RAW_EVENT_SIZE = 32;
const BPF_FUNC = 8;
/** struct trace_event_call: a list's two links, class, tp (include/linux/trace_events.h; 5.15 to 6.18). */
const CALL_CLASS = 16;
const CALL_TP = 24;
/** struct trace_event_class: system, probe, perf_probe. */
const CLASS_PERF_PROBE = 16;

/** Where a pointer leads to, counted from `_text`. */
const offsetAt = (kernel: RawKernel, view: ByteView, at: number): number | undefined =>
  toOffset(kernel.base, view.u64(at) as typeof kernel.base);

/** So many bytes at a place that a table points to; undefined where the kernel has none. */
function viewOf(kernel: RawKernel, at: number | undefined, length: number, table: string): ByteView | undefined {
  const bytes = at === undefined ? undefined : kernel.read(at, length);
  return bytes && byteView(bytes, table);
}

/** Pairs: a struct tracepoint, and the function that hands its arguments to raw programs. */
export function readRawProbes(kernel: RawKernel): Uint32Array {
  const table = tableBetween(kernel, '__bpf_raw_tp_map', '__start__bpf_raw_tp', '__stop__bpf_raw_tp');
  if (table === undefined) return new Uint32Array();
  const found: number[] = [];
  for (let i = 0; i < entriesOf(table, RAW_EVENT_SIZE); i++) {
    const tracepoint = offsetAt(kernel, table.view, i * RAW_EVENT_SIZE);
    const func = offsetAt(kernel, table.view, i * RAW_EVENT_SIZE + BPF_FUNC);
    if (tracepoint !== undefined && func !== undefined) found.push(tracepoint, func);
  }
  return Uint32Array.from(found);
}

/** Threes: a struct tracepoint, its struct trace_event_call, and the function that writes a record of its class for perf. */
export function readTraceEvents(kernel: RawKernel): Uint32Array {
  const table = tableBetween(kernel, '_ftrace_events', '__start_ftrace_events', '__stop_ftrace_events');
  if (table === undefined) return new Uint32Array();
  const found: number[] = [];
  for (let i = 0; i < entriesOf(table, 8); i++) {
    const event = offsetAt(kernel, table.view, i * 8);
    const call = viewOf(kernel, event, CALL_TP + 8, '_ftrace_events');
    const traceClass = call && offsetAt(kernel, call, CALL_CLASS);
    // Of an event of a system call the name is in the tracepoint's place, and no tracepoint is there.
    const tracepoint = call && offsetAt(kernel, call, CALL_TP);
    const probes = viewOf(kernel, traceClass, CLASS_PERF_PROBE + 8, '_ftrace_events');
    const probe = probes && offsetAt(kernel, probes, CLASS_PERF_PROBE);
    if (event !== undefined && tracepoint !== undefined && probe !== undefined) found.push(tracepoint, event, probe);
  }
  return Uint32Array.from(found);
}
