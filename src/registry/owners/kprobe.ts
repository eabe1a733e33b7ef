import { err, invariant, ok, type Result } from '../../base/index.ts';
import { kprobeAddress } from '../kprobe/address.ts';
import { disableKprobe, enableKprobe, registerKprobe, unregisterKprobe } from '../kprobe/register.ts';
import { KRETPROBE_BLACKLISTED, KRETPROBE_NOT_ENTRY } from '../rules/kprobe.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import type { OptionSpecs, Options } from './options.ts';
import { flag } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

/** max(10, 2 · possible CPUs) on the recorded machine. Source: kernel/kprobes.c register_kretprobe (6.12). */
const DEFAULT_MAX_ACTIVE = 10;

const COMMON: OptionSpecs = {
  optimize: { type: 'boolean', isBuilt: false },
  via: { type: 'enum', values: ['kernel', 'perf', 'tracefs'], built: ['kernel'] },
};

const maxActive = (options: Options): number =>
  typeof options['maxActive'] === 'number' ? options['maxActive'] : DEFAULT_MAX_ACTIVE;

function place(request: OwnerRequest) {
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
  const addr = registerKprobe(
    txn,
    { id: identity.id, kind, isDisabled: false, hasPostHandler, maxActive: maxActive(options) },
    place(request),
  );
  return addr.ok ? ok({ sites: [addr.value], owned: [] }) : addr;
}

const leave: Pick<Owner, 'detach' | 'setEnabled'> = {
  detach(txn, attachment) {
    unregisterKprobe(txn, attachment.id);
    return undefined;
  },
  setEnabled: (txn, attachment, enabled) =>
    enabled ? enableKprobe(txn, attachment.id) : disableKprobe(txn, attachment.id),
};

export const kprobeOwner: Owner = {
  kind: 'kprobe',
  options: { ...COMMON, postHandler: { type: 'boolean' } },
  takes: [],
  attach: (txn, request) => register(txn, request, 'kprobe', flag(request.options, 'postHandler')),
  ...leave,
};

/** register_kretprobe: at a function entry, never with a post_handler. Source: kernel/kprobes.c (6.12; 6.1 alike). */
export const kretprobeOwner: Owner = {
  kind: 'kretprobe',
  options: { ...COMMON, maxActive: { type: 'integer', min: 1, max: 4096 } },
  takes: [],
  attach(txn, request) {
    const resolved = kprobeAddress(txn, place(request));
    if (!resolved.ok) return resolved;
    const where = txn.place(resolved.value.addr);
    if (!resolved.value.isFunctionEntry)
      return err(refuse(KRETPROBE_NOT_ENTRY, { detail: `${where} is not the entry of a function.`, place: where }));
    if (txn.world.kretprobeBlacklist.includes(resolved.value.addr))
      return err(refuse(KRETPROBE_BLACKLISTED, { detail: `${where} must not have a kretprobe.`, place: where }));
    return register(txn, request, 'kretprobe', false);
  },
  ...leave,
};
