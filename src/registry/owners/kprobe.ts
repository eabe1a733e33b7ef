import { err, invariant, ok, type Result } from '../../base/index.ts';
import { kprobeAddress } from '../kprobe/address.ts';
import { frontDoor } from '../kprobe/event.ts';
import { disableKprobe, enableKprobe, registerKprobe, unregisterKprobe } from '../kprobe/register.ts';
import type { Place } from '../place.ts';
import { KRETPROBE_BLACKLISTED, KRETPROBE_NOT_ENTRY } from '../rules/kprobe.ts';
import { PROGRAM_TYPE } from '../rules/program.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import {
  attachArgumentsProbe,
  detachArgumentsProbe,
  enableArgumentsProbe,
  hasArgumentsOnly,
} from './kprobe-arguments.ts';
import type { OptionSpecs, Options } from './options.ts';
import { flag } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

/** max(10, 2 · possible CPUs) on the recorded machine. Source: kernel/kprobes.c register_kretprobe (6.12). */
const DEFAULT_MAX_ACTIVE = 10;

const COMMON: OptionSpecs = {
  // Not Linux's: false keeps the int3.
  optimize: { type: 'boolean' },
  via: { type: 'enum', values: ['kernel', 'perf', 'tracefs'] },
};

const maxActive = (options: Options): number =>
  typeof options['maxActive'] === 'number' ? options['maxActive'] : DEFAULT_MAX_ACTIVE;

function placeOf(request: OwnerRequest): Place {
  invariant(request.target.kind === 'place', 'a kprobe has one place');
  return request.target.place;
}

function register(
  txn: Txn,
  request: OwnerRequest,
  kind: 'kprobe' | 'kretprobe',
  hasPostHandler: boolean,
): Result<Attached> {
  const { identity, options } = request;
  const program = request.program;
  const isEvent = options['via'] === 'perf' || options['via'] === 'tracefs';
  const addr = registerKprobe(
    txn,
    {
      id: identity.id,
      kind,
      isDisabled: isEvent,
      hasPostHandler,
      keepsInt3: options['optimize'] === false,
      maxActive: maxActive(options),
      ...(program?.image === undefined
        ? {}
        : { program: { id: program.id, prog: program.prog, entry: program.image.at } }),
    },
    placeOf(request),
  );
  if (!addr.ok) return addr;
  // An event registers its probe disabled and enables it when perf or tracefs switches the event on.
  const fault = isEvent ? enableKprobe(txn, identity.id) : undefined;
  return fault === undefined ? ok({ sites: [addr.value], owned: [] }) : err(fault);
}

/** perf_event_set_bpf_prog: a program belongs to a perf event, so that is the way in that it is attached by. */
function withProgram(options: Options): Result<Options> {
  if (hasArgumentsOnly(options))
    return err(
      refuse(PROGRAM_TYPE, { detail: 'A BPF program reads all registers; this probe saves arguments alone.' }),
    );
  const { via = 'perf' } = options;
  if (via === 'perf') return ok({ ...options, via });
  return err(
    refuse(PROGRAM_TYPE, { detail: `A BPF program is attached to a probe through perf, not ${String(via)}.` }),
  );
}

const common: Required<Pick<Owner, 'detach' | 'setEnabled' | 'withProgram'>> = {
  withProgram,
  detach(txn, attachment) {
    unregisterKprobe(txn, attachment.id);
    return undefined;
  },
  setEnabled: (txn, attachment, enabled) =>
    enabled ? enableKprobe(txn, attachment.id) : disableKprobe(txn, attachment.id),
};

export const kprobeOwner: Owner = {
  kind: 'kprobe',
  options: { ...COMMON, postHandler: { type: 'boolean' }, fullRegs: { type: 'boolean' } },
  takes: [],
  attach(txn, request) {
    const hasPostHandler = flag(request.options, 'postHandler');
    const fault = frontDoor(txn, placeOf(request), request.options, hasPostHandler);
    if (fault !== undefined) return err(fault);
    return hasArgumentsOnly(request.options)
      ? attachArgumentsProbe(txn, request, placeOf(request))
      : register(txn, request, 'kprobe', hasPostHandler);
  },
  withProgram,
  detach: (txn, attachment) =>
    hasArgumentsOnly(attachment.options) ? detachArgumentsProbe(txn, attachment) : common.detach(txn, attachment),
  setEnabled: (txn, attachment, enabled) =>
    hasArgumentsOnly(attachment.options)
      ? enableArgumentsProbe(txn, attachment, enabled)
      : common.setEnabled(txn, attachment, enabled),
};

/** register_kretprobe: at a function entry, never with a post_handler. Source: kernel/kprobes.c (6.12; 6.1 alike). */
export const kretprobeOwner: Owner = {
  kind: 'kretprobe',
  options: { ...COMMON, maxActive: { type: 'integer', min: 1, max: 4096 } },
  takes: [],
  attach(txn, request) {
    const refused = frontDoor(txn, placeOf(request), request.options, false);
    if (refused !== undefined) return err(refused);
    const resolved = kprobeAddress(txn, placeOf(request));
    if (!resolved.ok) return resolved;
    const where = txn.place(resolved.value.addr);
    if (!resolved.value.isFunctionEntry)
      return err(refuse(KRETPROBE_NOT_ENTRY, { detail: `${where} is not the entry of a function.`, place: where }));
    if (txn.world.kretprobeBlacklist.includes(resolved.value.addr))
      return err(refuse(KRETPROBE_BLACKLISTED, { detail: `${where} must not have a kretprobe.`, place: where }));
    return register(txn, request, 'kretprobe', false);
  },
  ...common,
};
