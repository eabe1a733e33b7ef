/**
 * BPF programs as probes of tracepoints. Raw ones (raw_tp, tp_btf) are called through `__bpf_trace_NAME`, with the tracepoint's arguments as words;
 * those of an event (tp) through the event's own probe, `perf_trace_NAME`, which writes the record first.
 * Source: bpf_probe_register, kernel/trace/bpf_trace.c; perf_trace_event_reg, kernel/trace/trace_event_perf.c; perf_event_set_bpf_prog,
 * kernel/events/core.c (6.12; 6.1 alike).
 */
import { err, ok, type Result } from '../../base/index.ts';
import { helperStub, TRACE_RUN_STUB_ID } from '../../jit/index.ts';
import { dataObject } from '../arena.ts';
import { RAW_TRACEPOINT_COOKIES } from '../kernels/bpf-facts.ts';
import type { BpfProgram, TraceProbe } from '../model/state.ts';
import { refuse } from '../rules/rule.ts';
import { TRACEPOINT_CONTEXT, TRACEPOINT_COOKIE, TRACEPOINT_EVENT, TRACEPOINT_RAW } from '../rules/tracepoint.ts';
import type { Txn } from '../txn.ts';
import type { World } from '../world.ts';
import { traceSignature } from './signature.ts';
import type { TracepointParts } from './tracepoint.ts';

type Probe = Omit<TraceProbe, 'attachment'>;

/** struct bpf_raw_tp_link: only its address matters. */
const LINK_SIZE = 128;
const WORD = 8;

const programOf = ({ id, prog, image }: BpfProgram, kind: 'raw' | 'event'): NonNullable<TraceProbe['program']> => ({
  id,
  prog,
  entry: image?.at ?? 0,
  kind,
});

/** The function that hands a tracepoint's arguments to raw programs; the built-in kernel has a stub for all of its own. */
function traceFunction({ image }: World, { at, name }: TracepointParts): number | undefined {
  const stub = image.source === 'builtin' ? Number(helperStub(TRACE_RUN_STUB_ID) - image.base) : undefined;
  return image.rawProbes.get(at) ?? image.symbols.offsetOf(`__bpf_trace_${name}`) ?? stub;
}

function rawProbe(txn: Txn, parts: TracepointParts, program: BpfProgram): Result<Probe> {
  const { name } = parts;
  const func = traceFunction(txn.world, parts);
  const signature = traceSignature(txn.world.image, name);
  if (func === undefined || signature === undefined)
    return err(refuse(TRACEPOINT_RAW, { detail: `This kernel does not say what ${name} passes to programs.` }));
  const reads = program.verified?.maxCtxOffset ?? 0;
  if (reads > signature.args * WORD)
    return err(
      refuse(TRACEPOINT_CONTEXT, {
        errno: 'EINVAL',
        detail: `${program.id} reads ${reads} bytes of its context; ${name} has ${signature.args} arguments.`,
      }),
    );
  return ok({ func, data: dataObject(txn, LINK_SIZE), args: signature.args, program: programOf(program, 'raw') });
}

const PERF_TRACE = 'perf_trace_';

/** An event with what its class has: the function that writes its record, and the end of the last field, in bytes. */
interface EventParts {
  readonly event: number | undefined;
  readonly func: number | undefined;
  readonly end: number | undefined;
}

/** Events of one class write one kind of record by one function, whose name has the class's (DECLARE_EVENT_CLASS, include/trace/perf.h). */
function eventParts({ image }: World, { at, name }: TracepointParts): EventParts {
  const { symbols, btf } = image;
  const known = image.traceEvents.get(at);
  const func = known?.probe ?? symbols.offsetOf(PERF_TRACE + name);
  const event = known?.at ?? symbols.offsetOf(`event_${name}`);
  const writer = func === undefined ? undefined : symbols.containing(func)?.name;
  const className = writer?.startsWith(PERF_TRACE) === true ? writer.slice(PERF_TRACE.length) : name;
  return { event, func, end: btf?.struct(`trace_event_raw_${className}`)?.offsets.get('__data') };
}

function eventProbe(txn: Txn, parts: TracepointParts, program: BpfProgram): Result<Probe> {
  const { name } = parts;
  const { base } = txn.world.image;
  const { event, func, end } = eventParts(txn.world, parts);
  if (func === undefined || event === undefined || end === undefined)
    return err(
      refuse(TRACEPOINT_EVENT, {
        detail: `What the event ${name} records cannot be told here: it is no event of perf, or BTF does not have its record.`,
        place: name,
      }),
    );
  const reads = program.verified?.maxCtxOffset ?? 0;
  if (reads > end)
    return err(
      refuse(TRACEPOINT_CONTEXT, {
        errno: 'EACCES',
        detail: `${program.id} reads ${reads} bytes of its context; the record of ${name} has ${end}.`,
      }),
    );
  return ok({ func, data: base + BigInt(event), args: 0, program: programOf(program, 'event') });
}

/** The probe that runs a program at a tracepoint; `cookie` where one was given. */
export function bpfProbe(txn: Txn, parts: TracepointParts, program: BpfProgram, cookie?: bigint): Result<Probe> {
  const isRaw = program.type !== 'tracepoint';
  if (isRaw && cookie !== undefined && !txn.world.fact(RAW_TRACEPOINT_COOKIES)) {
    const detail = `This kernel has no cookies for programs of type ${program.type}.`;
    return err(refuse(TRACEPOINT_COOKIE, { detail }));
  }
  const probe = isRaw ? rawProbe(txn, parts, program) : eventProbe(txn, parts, program);
  if (!probe.ok || cookie === undefined || probe.value.program === undefined) return probe;
  return ok({ ...probe.value, program: { ...probe.value.program, cookie } });
}
