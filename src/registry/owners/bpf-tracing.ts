import { err, invariant, ok, type Result } from '../../base/index.ts';
import { generateCountingProgram } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import { checkAttachTarget } from '../bpf/attach-target.ts';
import { linkProgram, trampolineSite, unlinkProgram } from '../bpf/trampoline.ts';
import type { BpfTrampoline, TrampLinkKind } from '../model/state.ts';
import { flag, type OptionSpecs, u64 } from './options.ts';
import type { Attached, Owner } from './owner.ts';

/** sizeof(struct bpf_prog) and its aux, rounded up; only its address matters. */
const BPF_PROG_SIZE = 256;
const PROGRAM_CODE_SIZE = 128;

const OPTIONS: OptionSpecs = {
  cookie: { type: 'u64' },
  sleepable: { type: 'boolean' },
  layout: { type: 'enum', values: ['linux', 'seed'], built: ['linux', 'seed'] },
};

const layoutOf = (options: Readonly<Record<string, unknown>>): BpfTrampoline['layout'] =>
  options['layout'] === 'seed' ? 'seed' : 'linux';

/** BPF_PROG_TYPE_TRACING. Source: kernel/bpf/syscall.c bpf_tracing_prog_attach (6.12). */
function tracingOwner(kind: TrampLinkKind): Owner {
  return {
    kind,
    options: OPTIONS,
    takes: [],
    attach(txn, request): Result<Attached> {
      const { identity, options } = request;
      invariant(request.target.kind === 'place', () => `${kind} has one function`);
      const sleepable = flag(options, 'sleepable');
      const target = checkAttachTarget(txn.world, request.target.place, { kind, sleepable });
      if (!target.ok) return target;
      const { codeLayout, cpu } = txn.world;
      const entry = install(txn, { size: PROGRAM_CODE_SIZE, what: 'bpf_prog', attachment: identity.id }, (at) =>
        generateCountingProgram({ layout: codeLayout, at, counter: dataObject(txn, 8), cpu }),
      );
      const link = {
        attachment: identity.id,
        kind,
        entry,
        prog: dataObject(txn, BPF_PROG_SIZE),
        program: `counting:${identity.id}`,
        cookie: u64(options, 'cookie'),
        sleepable,
      };
      const fault = linkProgram(txn, target.value, link, layoutOf(options));
      if (fault !== undefined) return err(fault);
      return ok({ sites: [trampolineSite(txn, target.value.func)], owned: [entry] });
    },
    detach(txn, attachment) {
      const func = txn.world.image.symbols.containing(attachment.sites[0] as number)?.offset;
      invariant(func !== undefined, () => `${attachment.id} is attached to no function`);
      const fault = unlinkProgram(txn, func, kind, attachment.id);
      if (fault !== undefined) return fault;
      for (const at of attachment.owned) remove(txn, at, ['rcu_tasks_trace', 'rcu']);
      return undefined;
    },
  };
}

export const fentryOwner: Owner = tracingOwner('fentry');
export const fexitOwner: Owner = tracingOwner('fexit');
export const fmodRetOwner: Owner = tracingOwner('fmod_ret');
