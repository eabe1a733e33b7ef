import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Set as ImmutableSet } from 'immutable';
import { BPF_PROG_CASES } from '../../../test/support/bpf-prog-rule-cases.ts';
import { builtinImage } from '../../../test/support/images.ts';
import { KERNEL_CASES } from '../../../test/support/kernel-rule-cases.ts';
import { LAYOUT_CASES, refusedLayout } from '../../../test/support/layout-rule-cases.ts';
import { LIVEPATCH_CASES } from '../../../test/support/livepatch-rule-cases.ts';
import { MAP_CASES } from '../../../test/support/map-rule-cases.ts';
import { MODULE_CASES } from '../../../test/support/module-rule-cases.ts';
import { OBJECT_CASES } from '../../../test/support/object-rule-cases.ts';
import { PROGRAM_CASES } from '../../../test/support/program-rule-cases.ts';
import { RegistryLab, withBytes, withoutSymbols, withSymbol } from '../../../test/support/registry-lab.ts';
import { STATIC_CASES } from '../../../test/support/static-rule-cases.ts';
import { VARIANT_CASES } from '../../../test/support/variant-rule-cases.ts';
import { VIEW_CASES } from '../../../test/support/view-rule-cases.ts';
import { ERRNO, type Fault } from '../../base/index.ts';
import type { FunctionPrototype, KernelImage } from '../../image/index.ts';
import { linkProgram } from '../bpf/trampoline.ts';
import { registerFtraceDirect } from '../ftrace/direct.ts';
import { OPS } from '../model/flags.ts';
import type { AttachRequest, Strictness } from '../model/request.ts';
import { RULES } from './index.ts';

/** Refusals that the coordinator makes by these rules; its own tests have their cases. */
const BY_THE_COORDINATOR = [
  'attachment.not-yours',
  'bpf.verifier.budget',
  'place.unknown',
  'symbol.ambiguous',
  'task.not-yours',
];

interface Case {
  /** The strictness that refuses; a rule for both is tried in both. */
  readonly refuse: (lab: RegistryLab) => Fault;
  /** Errno when it is not the rule's usual one. */
  readonly errno?: Fault['errno'];
  /** Attachments that must be named as holders, by client. */
  readonly holders?: readonly string[];
  /** Another image than the built-in one. */
  readonly image?: (image: KernelImage) => KernelImage;
}

const F = 'tcp_set_state';

const asked =
  (kind: AttachRequest['kind'], target: AttachRequest['target'], options: Readonly<Record<string, unknown>> = {}) =>
  (lab: RegistryLab): Fault =>
    lab.refused(kind, target, options);

function faultOf(outcome: ReturnType<RegistryLab['detach' | 'sysctl']>['outcome']): Fault {
  assert.equal(outcome.kind, 'refused');
  return (outcome as Extract<typeof outcome, { kind: 'refused' }>).fault;
}

const atOffset =
  (offset: (lab: RegistryLab) => number | undefined) =>
  (lab: RegistryLab): Fault =>
    lab.refused('kprobe', lab.address(offset(lab) ?? Number.NaN));

/** The image, with another prototype for `F`. */
const prototype =
  (change: (prototype: FunctionPrototype) => FunctionPrototype) =>
  (image: KernelImage): KernelImage => {
    const { btf } = image;
    assert.ok(btf !== undefined);
    const changed = (name: string): FunctionPrototype | undefined => {
      const found = btf.prototype(name);
      return found === undefined || name !== F ? found : change(found);
    };
    return { ...image, btf: { ...btf, prototype: changed } };
  };

/** The image, judged by the rules of 6.1. */
const of61 = (image: KernelImage): KernelImage => ({ ...image, version: { major: 6, minor: 1, patch: 0 } });

const bodyIs =
  (hex: string) =>
  (image: KernelImage): KernelImage =>
    withBytes(image, (image.symbols.offsetOf(F) as number) + 9, hex);

/** The image with a function called something else. */
function calling(image: KernelImage, name: string, other: string): KernelImage {
  const { symbols, btf } = image;
  const real = (asked: string): string => (asked === other ? name : asked);
  assert.ok(btf !== undefined);
  return {
    ...image,
    symbols: { ...symbols, byName: (n) => symbols.byName(real(n)), offsetOf: (n) => symbols.offsetOf(real(n)) },
    btf: { ...btf, id: (n) => btf.id(real(n)), prototype: (n) => btf.prototype(real(n)) },
  };
}

/** A link that the interface cannot make yet: the same program twice. */
function linkTwice(lab: RegistryLab, count: number, program: (index: number) => string): Fault {
  const txn = lab.draft();
  const func = lab.at(F);
  for (let i = 0; i < count; i++) {
    const link = {
      attachment: `a${i}`,
      kind: 'fentry' as const,
      entry: func,
      prog: 1n,
      program: program(i),
      cookie: 0n,
      sleepable: false,
      isRecursionChecked: true,
    };
    const fault = linkProgram(txn, { func, name: F, argSizes: [8, 4] }, link, 'linux');
    if (fault !== undefined) return fault;
  }
  assert.fail('all were linked');
}

const CASES: Readonly<Record<string, Case>> = {
  'option.invalid': { refuse: asked('kprobe', F, { postHandler: 'yes' }) },
  'target.invalid': { refuse: asked('kprobe', 'no place') },
  'attachment.unknown': { refuse: (lab) => faultOf(lab.detach('att_0').outcome) },
  'attachment.not-switchable': {
    refuse: (lab) => faultOf(lab.setEnabled(lab.attach('ftrace', F).id, false).outcome),
  },
  'site.unexpected-bytes': {
    refuse: (lab) => {
      lab.vandalize(lab.at(F, 4), 'cc');
      return lab.refused('ftrace', F);
    },
  },
  'site.quarantined': {
    refuse: (lab) => {
      lab.vandalize(lab.at(F, 4), 'cc');
      lab.refused('ftrace', F);
      lab.vandalize(lab.at(F, 4), '0f');
      return lab.refused('ftrace', F);
    },
  },

  'kprobe.address.unknown': { refuse: asked('kprobe', 'tcp_set_stat') },
  'kprobe.address.not-text': { refuse: asked('kprobe', 'start_kernel') },
  'kprobe.address.blacklisted': { refuse: asked('kprobe', 'get_kprobe') },
  'kprobe.address.jump-label': { refuse: atOffset((lab) => lab.world.image.jumpLabels.code[0]) },
  'kprobe.address.static-call': { refuse: atOffset((lab) => lab.world.image.staticCalls.site[0]) },
  'kprobe.address.static-call-trampoline': {
    refuse: atOffset((lab) => lab.world.image.staticCalls.trampolines[0]?.start),
  },
  'kprobe.address.ftrace-caller': { refuse: asked('kprobe', 'ftrace_regs_caller') },
  'kprobe.address.bug-site': { refuse: atOffset((lab) => lab.world.image.bugTable[0]) },
  'kprobe.address.padding': { refuse: asked('kprobe', `__pfx_${F}`) },
  'kprobe.insn.not-a-boundary': { refuse: asked('kprobe', `${F}+0x6`) },
  // mov %eax,%ss holds exceptions back for one instruction.
  'kprobe.insn.not-copyable': { refuse: asked('kprobe', `${F}+0x9`), image: bodyIs('8ed0') },
  // call *(%rax)
  'kprobe.insn.not-emulatable': { refuse: asked('kprobe', `${F}+0x9`), image: bodyIs('ff10') },
  'kprobe.ftrace.post-handler-mix': {
    refuse: (lab) => {
      lab.attach('kprobe', F, {}, 'first');
      return lab.refused('kprobe', F, { postHandler: true });
    },
    holders: ['first'],
  },
  'kretprobe.not-function-entry': { refuse: asked('kretprobe', `${F}+0x9`) },
  'kretprobe.blacklisted': {
    refuse: asked('kretprobe', '__switch_to'),
    image: (image) => withBytes(image, image.symbols.offsetOf('__switch_to') as number, '0f1f4000'),
  },

  'ftrace.disabled': {
    refuse: (lab) => {
      lab.vandalize(lab.at(F, 4), 'cc');
      return lab.refused('ftrace', F);
    },
  },
  'ftrace.unavailable': {
    refuse: asked('ftrace', F),
    image: (image) => withoutSymbols(image, 'ftrace_regs_caller'),
  },
  'ftrace.filter.not-a-site': { refuse: asked('ftrace', `${F}+0x20`) },
  'ftrace.filter.no-match': { refuse: asked('ftrace', { pattern: 'no_such_*' }) },
  'ftrace.filter.absent': {
    refuse: (lab) => {
      const plain = lab.attach('kprobe', F);
      const post = lab.attach('kprobe', F, { postHandler: true });
      lab.setEnabled(plain.id, false);
      return faultOf(lab.setEnabled(post.id, false).outcome);
    },
  },
  'ftrace.ipmodify.exclusive': {
    refuse: (lab) => {
      lab.attach('kprobe', F, { postHandler: true }, 'first');
      lab.attach('ftrace', F, {}, 'bystander');
      return lab.refused('ftrace', F, { ipmodify: true });
    },
    holders: ['first'],
  },
  'ftrace.ipmodify.empty-filter': {
    refuse: (lab) => {
      const txn = lab.draft();
      const [any] = txn.opsTable.values();
      assert.ok(any !== undefined);
      txn.setOp({ ...any, id: 'empty', flags: OPS.INITIALIZED, filter: ImmutableSet<number>() });
      return registerFtraceDirect(txn, 'empty', lab.at('ftrace_stub')) ?? assert.fail('granted');
    },
  },
  'ftrace.direct.exclusive': {
    refuse: (lab) => {
      lab.attach('ftrace', F, {}, 'bystander');
      lab.attach('fentry', F, {}, 'first');
      lab.attach('fentry', F, {}, 'second');
      return lab.refused('ftrace_direct', F);
    },
    holders: ['first', 'second'],
  },
  'ftrace.direct.not-sharing': {
    refuse: (lab) => {
      lab.attach('ftrace_direct', F, {}, 'first');
      return lab.refused('ftrace', F, { ipmodify: true });
    },
    holders: ['first'],
  },
  'ftrace.ipmodify.peer-not-asked': {
    refuse: (lab) => {
      lab.attach('kprobe', 'vfs_read', { postHandler: true });
      lab.attach('ftrace_direct', F, {}, 'first');
      return lab.refused('kprobe', F, { postHandler: true });
    },
    holders: ['first'],
  },

  'bpf.target.no-btf': { refuse: asked('fentry', F), image: (image) => ({ ...image, btf: undefined }) },
  'bpf.target.no-symbol': { refuse: asked('fentry', 'tcp_set_stat') },
  'bpf.target.not-entry': { refuse: asked('fentry', `${F}+0x9`) },
  'bpf.target.prototype': {
    refuse: asked('fentry', F),
    image: prototype((found) => ({ ...found, isVariadic: true })),
  },
  'bpf.target.deny-list': { refuse: asked('fentry', 'migrate_disable') },
  'bpf.site.not-patchable': { refuse: asked('fentry', '__bpf_prog_enter') },
  'bpf.trampoline.too-many-programs': {
    refuse: (lab) => {
      for (let i = 0; i < 38; i++) lab.attach('fentry', F, {}, `client-${i}`);
      return lab.refused('fentry', F);
    },
    holders: Array.from({ length: 38 }, (_, i) => `client-${i}`),
  },
  'bpf.trampoline.same-program': { refuse: (lab) => linkTwice(lab, 2, () => 'prog_1') },
  'bpf.trampoline.layout-mix': {
    refuse: (lab) => {
      lab.attach('fentry', F, {}, 'first');
      return lab.refused('fentry', F, { layout: 'seed' });
    },
    holders: ['first'],
  },
};

/** Rules of kinds and front doors that came later; the same form. */
const MORE_CASES: Readonly<Record<string, Case>> = {
  'kprobe.event.ambiguous-symbol': { refuse: asked('kprobe', 's_show', { via: 'perf' }) },
  'kprobe.event.unknown-symbol': { refuse: asked('kprobe', 'no_such', { via: 'perf' }) },
  'kprobe.event.notrace': { refuse: asked('kprobe', '__bpf_prog_enter', { via: 'tracefs' }) },
  'bpf.trampoline.layout-helper': {
    refuse: refusedLayout('seed', 'call 173\nmov %r0, 0\nexit'),
    image: (image) => withSymbol(image, 'bpf_get_func_ip_tracing', 'ftrace_stub'),
  },
  'fprobe.unavailable': {
    refuse: asked('kprobe_multi', [F]),
    image: (image) => withoutSymbols(image, 'fprobe_handler'),
  },
  'fprobe.symbol.not-traceable': {
    refuse: asked('fprobe', [F, '__bpf_prog_enter']),
    image: (image) => withSymbol(image, 'fprobe_handler', 'ftrace_stub'),
  },
  'kprobe_multi.symbol.not-traceable': {
    refuse: asked('kprobe_multi', [F, 'no_such']),
    image: (image) => withSymbol(image, 'fprobe_handler', 'ftrace_stub'),
  },
  'livepatch.patch.exists': {
    refuse: (lab) => {
      lab.attach('livepatch', 'vfs_read', { patch: 'fix' }, 'first');
      return lab.refused('livepatch', F, { patch: 'fix' });
    },
    holders: ['first'],
  },
  'livepatch.function.no-site': { refuse: asked('livepatch', '__bpf_prog_enter') },
  'livepatch.patch.not-reenabled': {
    refuse: (lab) => {
      const { id } = lab.attach('livepatch', F);
      assert.equal(lab.setEnabled(id, false).outcome.kind, 'granted');
      return faultOf(lab.setEnabled(id, true).outcome);
    },
  },
  'bpf.target.return-too-large': {
    refuse: asked('fexit', F),
    image: prototype((found) => ({ ...found, result: { type: '__int128', kind: 'int', size: 16 } })),
  },
  'bpf.target.not-modifiable': { refuse: asked('fmod_ret', F) },
  'bpf.target.not-sleepable': { refuse: asked('fentry', F, { sleepable: true }) },
  'bpf.target.noreturn': { refuse: asked('fexit', 'do_exit') },
  'bpf.lsm.not-a-hook': { refuse: asked('lsm', F) },
  'bpf.lsm.hook-disabled': {
    refuse: asked('lsm', 'bpf_lsm_getprocattr'),
    image: (image) => calling(image, F, 'bpf_lsm_getprocattr'),
  },
  'bpf.target.hangs': { refuse: asked('fentry', '__rcu_read_lock'), image: of61 },
  'bpf.trampoline.ipmodify-order': {
    refuse: (lab) => {
      lab.attach('ftrace', F, { ipmodify: true, saveRegs: true }, 'first');
      lab.attach('fentry', F);
      return lab.refused('fexit', F);
    },
    holders: ['first'],
    image: of61,
  },
};

const ALL_CASES: Readonly<Record<string, Case>> = {
  ...CASES,
  ...LIVEPATCH_CASES,
  ...BPF_PROG_CASES,
  ...MORE_CASES,
  ...VIEW_CASES,
  ...STATIC_CASES,
  ...KERNEL_CASES,
  ...PROGRAM_CASES,
  ...MAP_CASES,
  ...MODULE_CASES,
  ...VARIANT_CASES,
  ...OBJECT_CASES,
  ...LAYOUT_CASES,
};

/** Rules that no request reaches as things stand, and why. */
const UNREACHED: Readonly<Record<string, string>> = {
  'bpf.trampoline.too-big': '38 programs of any kind fit a page: the limit of programs comes first',
};

const strictnesses = (strictness: 'both' | 'safe' | 'linux'): readonly Strictness[] =>
  strictness === 'both' ? ['safe', 'linux'] : [strictness];

describe('every rule', () => {
  it('has a case here or in the coordinator', () => {
    const covered = [...Object.keys(ALL_CASES), ...Object.keys(UNREACHED), ...BY_THE_COORDINATOR].sort();
    assert.deepEqual(covered, [...RULES.keys()].sort());
  });

  for (const [id, { refuse, errno, holders, image }] of Object.entries(ALL_CASES))
    for (const strictness of strictnesses(RULES.get(id)?.strictness ?? 'both'))
      it(`${id} refuses, ${strictness}`, async () => {
        const builtin = await builtinImage();
        const lab = new RegistryLab(image === undefined ? builtin : image(builtin), strictness);
        const fault = refuse(lab);
        const rule = RULES.get(id);
        assert.ok(rule !== undefined);
        assert.deepEqual([fault.rule, fault.errno], [id, errno ?? rule.errno], fault.detail);
        assert.deepEqual((fault.holders ?? []).map(({ client }) => client).sort(), [...(holders ?? [])].sort());
        assert.match(fault.detail, /^[^\n]+\.$/, 'one sentence');
        assert.equal(fault.linux, rule.linux);
        assert.deepEqual(fault.remedies?.slice(-rule.remedies.length || fault.remedies.length), rule.remedies);
      });

  for (const rule of RULES.values())
    it(`${rule.id} explains itself`, () => {
      assert.match(rule.id, /^[a-z_-]+(\.[a-z-]+)+$/);
      assert.ok(Object.hasOwn(ERRNO, rule.errno));
      for (const text of [rule.title, rule.what, rule.why, rule.linux, rule.range])
        assert.ok(text.length > 2 || text === 'all');
      for (const text of [rule.what, rule.why, ...rule.remedies]) assert.match(text, /[.)…]$/, text);
      if (rule.errno === 'EBUSY' || rule.errno === 'E2BIG') assert.ok(rule.remedies.length > 0, 'a way out');
    });
});
