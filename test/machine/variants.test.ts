/**
 * Goal: the variants that Linux did not take do what docs/variants.md says. Method: functions of the built-in kernel are called on the simulated CPU
 * with them attached; what every register is behind the site is compared with a call of pristine text, and what is stored on the way with the layout.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toAddress } from '../../src/base/index.ts';
import { disassemble } from '../../src/insn/index.ts';
import type { CallOutcome } from '../../src/machine/index.ts';
import { callIn, word } from '../support/call-lab.ts';
import { builtinImage } from '../support/images.ts';
import { RegistryLab } from '../support/registry-lab.ts';

const ARGUMENTS = [0x11n, 0x22n, 0x33n, 0x44n, 0x55n, 0x66n];
const F = 'tcp_set_state';

const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'linux', true);

/** Stops right behind the site, so that nothing of the function has run. What the machine does for itself counts less than the trace shows. */
async function uptoBody(registry: RegistryLab): Promise<CallOutcome> {
  const [symbol] = registry.world.image.symbols.byName(F);
  const body = (symbol?.address ?? 0n) + 9n;
  const args = ARGUMENTS.map(word);
  const { trace } = await callIn(registry, F, args, { traceMax: 500 });
  for (let budget = trace.indexOf(body); budget > 0; budget--) {
    const outcome = await callIn(registry, F, args, { maxInstructions: budget });
    if (outcome.registers['rip'] === body) return outcome;
  }
  return assert.fail('the function does not go on behind its site');
}

function listing(registry: RegistryLab, what: string): readonly string[] {
  const allocation = [...registry.state.arena.allocations.values()].find((each) => each.what === what);
  assert.ok(allocation !== undefined, what);
  const { base } = registry.world.image;
  return disassemble(registry.text.bytes(allocation.at, allocation.bytes.length), allocation.at, base).map(({ text }) =>
    text.replace(/\s+/g, ' '),
  );
}

const PRESERVED = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9', 'rbx', 'rbp', 'rsp', 'r12', 'r13', 'r14', 'r15'];

for (const [name, kind, options] of [
  ['ftrace with changesStack', 'ftrace', { changesStack: true }],
  ['kprobe without fullRegs', 'kprobe', { fullRegs: false }],
] as const)
  test(`${name}: fires once with the arguments, and the function sees the registers and the stack as without it`, async () => {
    const registry = await lab();
    const pristine = await uptoBody(registry);
    const { id } = registry.attach(kind, F, options);
    const reached = await uptoBody(registry);
    for (const register of PRESERVED)
      assert.equal(reached.registers[register], pristine.registers[register], `${register} behind the site`);
    const [site] = registry.world.image.symbols.byName(F);
    const whole = await callIn(registry, F, [word(0), word(1)].concat(ARGUMENTS.slice(2).map(word)));
    assert.equal(whole.fired.length, 1);
    assert.equal(toAddress(registry.world.image.base, whole.fired[0]?.at ?? 0), (site?.address ?? 0n) + 4n);
    assert.deepEqual(whole.fired[0]?.args.slice(2, 6), ARGUMENTS.slice(2));
    assert.equal(whole.fired[0]?.attachment, id);
    registry.detach(id);
    assert.equal((await uptoBody(registry)).fired.length, 0);
  });

test('ftrace with changesStack: the emulated call is one, and returns to the instruction behind the site', async () => {
  const registry = await lab();
  registry.attach('ftrace', F, { changesStack: true });
  const { trace } = await callIn(registry, F, ARGUMENTS.map(word), { traceMax: 100 });
  const entry = [...registry.state.arena.allocations.values()].find(({ what }) => what === 'ftrace_stack_function');
  assert.ok(entry !== undefined);
  const { base } = registry.world.image;
  const called = toAddress(base, entry.at);
  const [symbol] = registry.world.image.symbols.byName(F);
  const body = (symbol?.address ?? 0n) + 9n;
  assert.ok(trace.indexOf(called) > 0 && trace.indexOf(called) < trace.indexOf(body), 'function first, then the body');
});

test('ftrace with changesStack: its trampoline pushes seven registers and nothing else', async () => {
  const registry = await lab();
  registry.attach('ftrace', F, { changesStack: true });
  const pushed = listing(registry, 'ftrace_stack_trampoline').filter((line) => line.startsWith('push'));
  assert.deepEqual(
    pushed.map((line) => line.slice(6)),
    ['rax', 'r9', 'r8', 'rcx', 'rdx', 'rsi', 'rdi'],
  );
});

test('kprobe without fullRegs: its trampoline stores no callee-saved register but %rbp; one with all registers stores them', async () => {
  const stored = (registry: RegistryLab): readonly string[] =>
    listing(registry, 'ftrace_trampoline').flatMap(
      (line) => /^mov %(\w+),(?:0x[0-9a-f]+)?\(%rsp\)$/.exec(line)?.[1] ?? [],
    );
  const partial = await lab();
  partial.attach('kprobe', F, { fullRegs: false });
  for (const register of ['rax', 'rcx', 'rdx', 'rsi', 'rdi', 'r8', 'r9']) assert.ok(stored(partial).includes(register));
  for (const register of ['rbx', 'r12', 'r13', 'r14', 'r15', 'r10', 'r11'])
    assert.ok(!stored(partial).includes(register), register);
  const full = await lab();
  full.attach('ftrace', F, { saveRegs: true });
  for (const register of ['rbx', 'r12', 'r15', 'r10'])
    assert.ok(stored(full).includes(register), 'the check finds them');
});

test('kprobe without fullRegs: shares its site, is switched off and on, and leaves nothing', async () => {
  const registry = await lab();
  const before = registry.text.bytes(registry.at(F), 16);
  const ids = [registry.attach('kprobe', F, { fullRegs: false }).id, registry.attach('fentry', F).id];
  ids.push(registry.attach('kprobe', F, { postHandler: true }).id);
  const { fired } = await callIn(registry, F, ARGUMENTS.map(word));
  assert.deepEqual(fired.map(({ attachment }) => attachment).sort(), [...ids].sort());
  for (const id of ids) registry.detach(id);
  assert.deepEqual(registry.text.bytes(registry.at(F), 16), before);
});
