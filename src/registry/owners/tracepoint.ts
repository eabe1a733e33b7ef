import { err, invariant, ok, type Result } from '../../base/index.ts';
import { generateCountingHandler } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import type { TraceProbe } from '../model/state.ts';
import { locate, parsePlace } from '../place.ts';
import { PROGRAM_TYPE } from '../rules/program.ts';
import { refuse } from '../rules/rule.ts';
import { TRACEPOINT_COOKIE, TRACEPOINT_PROBE, TRACEPOINT_UNKNOWN } from '../rules/tracepoint.ts';
import { bpfProbe } from '../tracepoint/bpf-probe.ts';
import {
  addProbe,
  removeProbe,
  type TracepointParts,
  tracepointNamed,
  tracepointSites,
} from '../tracepoint/tracepoint.ts';
import type { Txn } from '../txn.ts';
import { u64 } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

const CODE_SIZE = 64;

/** The probe: a function of the kernel, or one of our own that counts. */
function probeFunction(
  txn: Txn,
  request: OwnerRequest,
  parts: TracepointParts,
): Result<{ readonly probe: Omit<TraceProbe, 'attachment'>; readonly owned: readonly number[] }> {
  const cookie = request.options['cookie'] === undefined ? undefined : u64(request.options, 'cookie');
  if (request.program !== undefined) {
    const probe = bpfProbe(txn, parts, request.program, cookie);
    return probe.ok ? ok({ probe: probe.value, owned: [] }) : probe;
  }
  if (cookie !== undefined)
    return err(refuse(TRACEPOINT_COOKIE, { detail: 'options.cookie is for a program, and none is attached.' }));
  const wanted = request.options['probe'];
  if (typeof wanted === 'string') {
    const place = parsePlace(wanted);
    const func = place === undefined ? undefined : locate(txn.world, place);
    return func === undefined || !txn.text.contains(func, 1)
      ? err(refuse(TRACEPOINT_PROBE, { detail: `options.probe ${JSON.stringify(wanted)} is not a place in text.` }))
      : ok({ probe: { func }, owned: [] });
  }
  const counter = dataObject(txn, 8);
  const code = { size: CODE_SIZE, what: 'tracepoint_probe', attachment: request.identity.id, counter };
  const func = install(txn, code, (at) => generateCountingHandler({ at, counter, cpu: txn.world.cpu }));
  return ok({ probe: { func, data: counter }, owned: [func] });
}

function partsOf(txn: Txn, text: string): TracepointParts | undefined {
  const place = parsePlace(text);
  return place?.kind === 'symbol' && place.delta === 0 ? tracepointNamed(txn.world, place.name) : undefined;
}

/** tracepoint_probe_register. Each attachment has data of its own, so none is there twice (EEXIST). */
export const tracepointOwner: Owner = {
  kind: 'tracepoint',
  options: { probe: { type: 'name' }, cookie: { type: 'u64' } },
  takes: [],
  withProgram: (options) =>
    options['probe'] === undefined
      ? ok(options)
      : err(refuse(PROGRAM_TYPE, { detail: 'A tracepoint calls options.probe or a program, not both.' })),
  attach(txn, request): Result<Attached> {
    const { target, identity } = request;
    invariant(target.kind === 'place', 'a tracepoint has one name');
    const parts = partsOf(txn, target.text);
    if (parts === undefined)
      return err(
        refuse(TRACEPOINT_UNKNOWN, { detail: `The kernel has no tracepoint ${target.text}.`, place: target.text }),
      );
    const probe = probeFunction(txn, request, parts);
    if (!probe.ok) return probe;
    addProbe(txn, parts, { attachment: identity.id, ...probe.value.probe });
    return ok({ sites: tracepointSites(txn.world, parts), owned: probe.value.owned });
  },
  detach(txn, attachment) {
    const parts = partsOf(txn, attachment.target as string);
    invariant(parts !== undefined, () => `${attachment.id} is at no tracepoint`);
    removeProbe(txn, parts, attachment.id);
    // tracepoint_synchronize_unregister: SRCU and RCU.
    for (const at of attachment.owned) remove(txn, at, ['rcu']);
    return undefined;
  },
};
