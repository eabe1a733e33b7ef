/**
 * Rollback. Goal: a command that is given up at any of its steps leaves nothing behind: text, generated code, owners, leases, events, revisions,
 * history and audit are those from before, and the same command then does what it would have done. Method: each command fails at its first step, at
 * its second, and so on until there is no further step; after each failure everything is compared, and at the end with a kernel that never failed.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { ManualClock, seededPrng } from '../../src/base/index.ts';
import { audit } from '../../src/coordinator/audit.ts';
import type { Command } from '../../src/coordinator/command.ts';
import { ATTACH, DETACH, SET_ENABLED } from '../../src/coordinator/commands.ts';
import { FaultBook } from '../../src/coordinator/faults/fault-book.ts';
import { Kernel } from '../../src/coordinator/kernel.ts';
import { KPROBE_OPTIMIZER } from '../../src/coordinator/kprobe-optimizer.ts';
import { MODULE_LOAD, MODULE_UNLOAD } from '../../src/coordinator/modules.ts';
import { LOAD_PROGRAM } from '../../src/coordinator/programs.ts';
import { RESET } from '../../src/coordinator/reset.ts';
import type { AttachRequest, Caller } from '../../src/coordinator/service.ts';
import { END_SESSION, OPEN_SESSION } from '../../src/coordinator/sessions.ts';
import { PokeTrail } from '../../src/textpoke/index.ts';
import { builtinImage } from '../support/images.ts';
import { labModule } from '../support/modules.ts';

const ME: Caller = { client: 'test', tenant: 'default', isAdmin: true, requestId: 'req_test' };
const F = 'tcp_set_state';
const CAN_BE_A_JUMP = 'lab_opt+14';
/** `r0 = 0; exit`. */
const RETURN_0 = 'b7000000000000009500000000000000';

const AUDITED_EVERY = 20;

interface Lab {
  readonly kernel: Kernel;
  readonly book: FaultBook;
}

async function lab(): Promise<Lab> {
  const clock = new ManualClock();
  const crash = (): never => assert.fail('nothing ends this process');
  const book = new FaultBook({ clock, prng: seededPrng(2), crash });
  const image = await builtinImage();
  return { kernel: new Kernel({ image, strictness: 'safe', clock, prng: seededPrng(1), faults: book }), book };
}

async function run<Input, Answer>(kernel: Kernel, command: Command<Input, Answer>, input: Input): Promise<Answer> {
  const done = await kernel.execute(command, ME, input);
  assert.ok(done.ok, done.ok ? '' : `${command.kind}: ${done.fault.rule}: ${done.fault.detail}`);
  return done.value;
}

/** Every byte that differs from pristine text, generated code included. */
function textOf({ text }: Kernel): string {
  const hash = createHash('sha256');
  for (const { at, length } of text.changedRanges()) hash.update(`${at}:`).update(text.bytes(at, length));
  return hash.digest('hex');
}

/** Whatever a command could leave behind. State and leases are persistent values: the same one or another. */
function everything(kernel: Kernel) {
  return {
    state: kernel.state,
    leases: kernel.leases,
    text: textOf(kernel),
    vector: kernel.text.pokeVector.refs,
    history: JSON.stringify([kernel.text.history.state(), kernel.text.history.newest(50)]),
    violation: kernel.violation,
  };
}

/** But for how much there was to look at: a page that was ever written is. */
function auditOf(kernel: Kernel): string {
  const { orphans, differing, attributed } = audit(kernel);
  return JSON.stringify([orphans, differing, attributed]);
}

function assertSame(actual: ReturnType<typeof everything>, before: ReturnType<typeof everything>, where: string): void {
  assert.equal(actual.text, before.text, `${where}: text`);
  assert.equal(actual.vector, before.vector, `${where}: published vector`);
  assert.ok(actual.state === before.state, `${where}: state`);
  assert.ok(actual.leases === before.leases, `${where}: leases`);
  assert.equal(actual.history, before.history, `${where}: history`);
  assert.equal(actual.violation, undefined, where);
}

interface Trial<Input> {
  readonly command: Command<Input, unknown>;
  readonly input: Input;
}

/** Fails the command at each of its steps, then lets it be done. How many steps it has. */
async function failEverywhere<Input>({ kernel, book }: Lab, { command, input }: Trial<Input>): Promise<number> {
  const audited = auditOf(kernel);
  for (let phase = 1; ; phase++) {
    const before = everything(kernel);
    const { next } = kernel.events;
    const armed = book.arm({ name: 'crash-between-phases', options: { phase }, at: undefined }, 'test');
    const done = await kernel.execute(command, ME, input);
    if (armed.ok) assert.ok(book.remove(armed.value.id).ok);
    if (done.ok) return phase - 1;
    const where = `${command.kind}, step ${phase}`;
    assert.equal(done.fault.rule, 'fault.crash-between-phases', where);
    assertSame(everything(kernel), before, where);
    // It follows from what has been compared, and takes its time.
    if (phase % AUDITED_EVERY === 1) assert.equal(auditOf(kernel), audited, `${where}: audit`);
    const events = kernel.events.after(next - 1, 100);
    assert.deepEqual(
      events.map(({ sequence, type, data }) => [sequence, type, data['rule']]),
      [[next, 'rejected', 'fault.crash-between-phases']],
      where,
    );
  }
}

const attach = (kernel: Kernel, request: AttachRequest, options: { readonly session?: string } = {}) =>
  run(kernel, ATTACH, { request, ...options });

/** Owners of several kinds, so that what is rolled back stands beside something. */
async function withNeighbours(kernel: Kernel): Promise<void> {
  await attach(kernel, { kind: 'kprobe', target: `${F}+0x10` });
  await attach(kernel, { kind: 'fentry', target: F });
  await attach(kernel, { kind: 'kprobe', target: CAN_BE_A_JUMP });
  await run(kernel, KPROBE_OPTIMIZER, {});
}

type Prepare = (kernel: Kernel) => Promise<Trial<never>>;
const trial = <Input>(command: Command<Input, unknown>, input: Input): Trial<never> =>
  ({ command, input }) as unknown as Trial<never>;

const attaching =
  (request: AttachRequest): Prepare =>
  async (kernel) => {
    await withNeighbours(kernel);
    return trial(ATTACH, { request });
  };

const CASES: Readonly<Record<string, { readonly steps: number; readonly prepare: Prepare }>> = {
  'an attach of all ftrace sites': { steps: 200, prepare: attaching({ kind: 'ftrace', target: { pattern: '*' } }) },
  'a detach of many sites': {
    steps: 20,
    prepare: async (kernel) => {
      await withNeighbours(kernel);
      return trial(DETACH, { id: (await attach(kernel, { kind: 'ftrace', target: { pattern: 'tcp_*' } })).id });
    },
  },
  'an attach of many kprobes': {
    steps: 8,
    prepare: attaching({ kind: 'kprobe_multi', target: { pattern: 'tcp_*' } }),
  },
  'a second fentry, into a new trampoline': { steps: 4, prepare: attaching({ kind: 'fexit', target: F }) },
  'a livepatch': { steps: 4, prepare: attaching({ kind: 'livepatch', target: 'vfs_read' }) },
  'a static branch': {
    steps: 4,
    prepare: async (kernel) => {
      await run(kernel, MODULE_LOAD, { file: Buffer.from(labModule()).toString('base64'), until: 'live' });
      return trial(ATTACH, { request: { kind: 'jump_label', target: 'lab:lab_key' } });
    },
  },
  'an optimizer that makes a jump of a kprobe': {
    steps: 6,
    prepare: async (kernel) => {
      await attach(kernel, { kind: 'kprobe', target: CAN_BE_A_JUMP });
      return trial(KPROBE_OPTIMIZER, {});
    },
  },
  'disabling a kprobe that is a jump': {
    steps: 4,
    prepare: async (kernel) => {
      const { id } = await attach(kernel, { kind: 'kprobe', target: CAN_BE_A_JUMP });
      await run(kernel, KPROBE_OPTIMIZER, {});
      await run(kernel, SET_ENABLED, { id, enabled: false });
      return trial(KPROBE_OPTIMIZER, {});
    },
  },
  'a module that is loaded under a tracer of everything': {
    steps: 10,
    prepare: async (kernel) => {
      await attach(kernel, { kind: 'ftrace', target: { pattern: '*' }, options: { tracer: 'function' } });
      return trial(MODULE_LOAD, { file: Buffer.from(labModule()).toString('base64'), until: 'live' });
    },
  },
  'a module that is unloaded with a probe in it': {
    steps: 2,
    prepare: async (kernel) => {
      await run(kernel, MODULE_LOAD, { file: Buffer.from(labModule()).toString('base64'), until: 'live' });
      await attach(kernel, { kind: 'kprobe', target: 'lab:lab_t1+0x10' });
      return trial(MODULE_UNLOAD, { name: 'lab' });
    },
  },
  'a program that is loaded': {
    steps: 1,
    prepare: async () => {
      const verified = { code: RETURN_0, stackDepths: [0] };
      return trial(LOAD_PROGRAM, { type: 'fentry', bytecode: RETURN_0, attachTo: F, verified });
    },
  },
  'a session that ends with three attachments': {
    steps: 20,
    prepare: async (kernel) => {
      await withNeighbours(kernel);
      const { id } = await run(kernel, OPEN_SESSION, { hash: 'x', client: 'test', ttlMs: 60_000 });
      await attach(kernel, { kind: 'fexit', target: F }, { session: id });
      await attach(kernel, { kind: 'kprobe', target: 'tcp_sendmsg+4' }, { session: id });
      await attach(kernel, { kind: 'ftrace', target: { pattern: 'tcp_*' } }, { session: id });
      return trial(END_SESSION, { id, because: 'closed' });
    },
  },
  'a reset of everybody': {
    steps: 20,
    prepare: async (kernel) => {
      await withNeighbours(kernel);
      return trial(RESET, { all: true });
    },
  },
};

describe('a command that is given up', () => {
  for (const [name, { steps, prepare }] of Object.entries(CASES))
    it(`is undone exactly at each of its steps: ${name}`, async () => {
      const failing = await lab();
      const found = await failEverywhere(failing, await prepare(failing.kernel));
      assert.ok(found >= steps, `${found} steps are too few to have tried anything`);
      const control = await lab();
      const { command, input } = await prepare(control.kernel);
      await run(control.kernel, command, input);
      assert.equal(textOf(failing.kernel), textOf(control.kernel));
      assert.deepEqual(audit(failing.kernel).orphans, []);
    });

  it('is undone by a sync round that a CPU does not acknowledge, and says which', async () => {
    const { kernel, book } = await lab();
    await withNeighbours(kernel);
    const before = everything(kernel);
    const at = kernel.view().world.image.symbols.byName('tcp_sendmsg')[0]?.offset;
    assert.ok(at !== undefined);
    assert.ok(book.arm({ name: 'dropped-ipi', options: { cpu: 3, after: 1 }, at: undefined }, 'test').ok);
    const done = await kernel.execute(ATTACH, ME, { request: { kind: 'ftrace', target: { pattern: 'tcp_*' } } });
    assert.ok(!done.ok);
    assert.deepEqual([done.fault.errno, done.fault.rule], ['ETIMEDOUT', 'fault.dropped-ipi']);
    assert.match(done.fault.detail, /CPU 3 .* sync round 2 \(tail\) of "attach ftrace"/);
    assert.match(done.fault.place ?? '', /^[a-z_]+/);
    assertSame(everything(kernel), before, 'dropped IPI');
  });

  it('is reported when the undoing leaves a site out (canary)', async (t) => {
    const failing = await lab();
    const { note } = PokeTrail.prototype;
    t.mock.method(
      PokeTrail.prototype,
      'note',
      function (this: PokeTrail, ...[entries, phase]: Parameters<typeof note>) {
        return phase.kind === 'publish' && phase.entries > 1
          ? note.call(this, entries.slice(1), { ...phase, entries: phase.entries - 1 })
          : note.call(this, entries, phase);
      },
    );
    const command = trial(ATTACH, { request: { kind: 'ftrace', target: { pattern: 'tcp_*' } } });
    await assert.rejects(failEverywhere(failing, command), /text|cannot be undone/);
  });

  it('is reported when the undoing leaves generated code behind (canary)', async (t) => {
    const failing = await lab();
    t.mock.method(PokeTrail.prototype, 'copying', (_at: number, _length: number, copy: () => void) => copy());
    await assert.rejects(failEverywhere(failing, trial(ATTACH, { request: { kind: 'fentry', target: F } })), /text/);
  });
});
