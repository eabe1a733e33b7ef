/**
 * The way of the function-graph tracer around the loop over its users: while there is one, `function_graph_enter` and
 * `ftrace_return_to_handler` call its functions through two static calls; a second one switches that off with a static key.
 *
 * 1. The first user comes: static_call_update of fgraph_func and of fgraph_retfunc, before any site is changed.
 * 2. A second comes: static_branch_disable(fgraph_do_direct), then both calls get their stubs, before its sites are changed.
 * 3. One of two leaves: behind the change of its sites both calls get the functions of the one that is left, then the key is on again.
 * 4. The last leaves: behind the change of its sites both calls get their stubs.
 *
 * Source: kernel/trace/fgraph.c ftrace_graph_enable_direct, ftrace_graph_disable_direct (6.11 and later). Step 3 left the key off until it was mended
 * by 53b2fae90ff0 in 2026; the code of 6.12.117 has the mended one. Not modelled: the probe of sched_switch that the tracer registers as well.
 */

import { holdKey, releaseKey } from '../jump-label/update.ts';
import { GRAPH_TRACERS_MAX } from '../kernels/ftrace-facts.ts';
import type { StaticCallUser } from '../model/state.ts';
import { type StaticCall, staticCallNamed } from '../static-call/calls.ts';
import { leaveCall, updateCall } from '../static-call/update.ts';
import type { Txn } from '../txn.ts';

const DIRECT_KEY = 'fgraph_do_direct';
/** Static call → the function of the tracer, and of fprobes, which are one user together. */
const CALLS = [
  { name: 'fgraph_func', tracer: 'trace_graph_entry', fprobe: 'fprobe_fgraph_entry' },
  { name: 'fgraph_retfunc', tracer: 'trace_graph_return', fprobe: 'fprobe_return' },
] as const;

type GraphTracers = Txn['graphTracers'];
/** How the users are served: by nobody, directly, or by the loop. */
type Way = 'none' | 'direct' | 'loop';

/** All fprobes share one fgraph_ops. */
function wayOf(tracers: GraphTracers): Way {
  const users =
    tracers.filter((tracer) => !tracer.isFprobe).length + (tracers.some((tracer) => tracer.isFprobe) ? 1 : 0);
  if (users === 0) return 'none';
  return users === 1 ? 'direct' : 'loop';
}

interface DirectCall {
  readonly call: StaticCall;
  readonly user: StaticCallUser;
}

/** Both calls with what they shall call; none for a kernel that has no such way. */
function directCalls(txn: Txn, tracers: GraphTracers): readonly DirectCall[] {
  if (txn.world.fact(GRAPH_TRACERS_MAX) === 1) return [];
  const isFprobe = tracers.some((tracer) => tracer.isFprobe);
  return CALLS.flatMap(({ name, tracer, fprobe }) => {
    const call = staticCallNamed(txn.world, name);
    const to = txn.world.image.symbols.offsetOf(isFprobe ? fprobe : tracer);
    return call === undefined || to === undefined ? [] : [{ call, user: { kind: 'graph-tracers', to } }];
  });
}

/** Steps 1 to 4, by the users before and after; a user comes before its sites are changed, and leaves behind that. */
export function updateGraphDirect(txn: Txn, before: GraphTracers, after: GraphTracers): void {
  const [from, to] = [wayOf(before), wayOf(after)];
  if (from === to) return;
  const key = txn.world.fact(GRAPH_TRACERS_MAX) === 1 ? undefined : txn.world.image.symbols.offsetOf(DIRECT_KEY);
  if (to === 'loop' && key !== undefined) holdKey(txn, key, { kind: 'graph-tracers', enables: false });
  if (to === 'direct') for (const { call, user } of directCalls(txn, after)) updateCall(txn, call, user);
  else for (const { call, user } of directCalls(txn, before)) leaveCall(txn, call, user);
  if (from === 'loop' && key !== undefined) releaseKey(txn, key, (holder) => holder.kind === 'graph-tracers');
}
