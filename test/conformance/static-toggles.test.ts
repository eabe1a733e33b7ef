/**
 * Tracepoints, a static key and the preemption model of two real kernels, switched on and off. Goal: the recorded bytes at every recorded
 * branch, call site and trampoline after each step, and pristine text at the end. Method: the recorded kernel's image, the profile of the
 * recording, both strictnesses; what the kernel calls comes from the recording, where it is called from the registry.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { AttachRequest, Coordinator } from '../../src/coordinator/index.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';

interface RecordedSite {
  readonly kind: 'jump_label' | 'static_call' | 'trampoline';
  readonly place: string;
  readonly addr: string;
  readonly bytes: string;
  /** The function that is called; absent when none is. */
  readonly destination?: string;
}

interface Toggle {
  readonly id: string;
  readonly steps: readonly string[];
  readonly initial: readonly RecordedSite[];
  readonly after: readonly (readonly RecordedSite[])[];
}

const RECORDINGS = [
  { file: 'static-toggles-6.12.json', kernel: RECORDED_6_12 },
  { file: 'static-toggles-6.1.json', kernel: RECORDED_6_1 },
] as const;

const WHO = caller('recorded');

function readToggles(file: string): readonly Toggle[] {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as readonly Toggle[];
}

async function attach(coordinator: Coordinator, request: AttachRequest): Promise<string> {
  const attached = await coordinator.attach(WHO, request, {});
  assert.ok(attached.ok, attached.ok ? '' : attached.fault.detail);
  return attached.value.id;
}

async function detach(coordinator: Coordinator, id: string): Promise<void> {
  const detached = await coordinator.detach(WHO, id);
  assert.ok(detached.ok, detached.ok ? '' : detached.fault.detail);
}

function compare(coordinator: Coordinator, sites: readonly RecordedSite[], when: string): void {
  for (const { kind, place, addr, bytes } of sites) {
    const text = coordinator.text(addr, bytes.length / 2);
    assert.ok(text.ok);
    assert.equal(text.value.bytes, bytes, `${kind} ${place}, ${when}`);
  }
  assert.deepEqual(coordinator.audit().orphans, [], when);
}

const calledIn = (sites: readonly RecordedSite[]): string | undefined =>
  sites.find((site) => site.kind === 'trampoline')?.destination;

/** tracefs switches an event on: one probe, or two where it also has to follow what tasks are called. */
async function switchTracepoint(coordinator: Coordinator, toggle: Toggle, name: string): Promise<void> {
  const [on = [], off = []] = toggle.after;
  const called = calledIn(on);
  assert.ok(called !== undefined);
  const probes = called === `__traceiter_${name}` ? [{}, {}] : [{ probe: called }];
  const ids: string[] = [];
  for (const options of probes) ids.push(await attach(coordinator, { kind: 'tracepoint', target: name, options }));
  compare(coordinator, on, 'on');
  for (const id of ids) await detach(coordinator, id);
  compare(coordinator, off, 'off');
}

/** Two tracefs instances and a raw tracepoint program, one after the other; then the instances leave, then the program. */
async function threeUsers(coordinator: Coordinator, toggle: Toggle, name: string): Promise<void> {
  assert.deepEqual(
    toggle.steps.map((step) => step.replace('step <- ', '')),
    ['on', 'on2', 'rawtp', 'off', 'off2', 'close'],
  );
  const event = calledIn(toggle.after[0] ?? []);
  const program = calledIn(toggle.after[4] ?? []);
  assert.ok(event !== undefined && program !== undefined);
  const ids: string[] = [];
  for (const [step, probe] of [event, event, program].entries()) {
    ids.push(await attach(coordinator, { kind: 'tracepoint', target: name, options: { probe } }));
    compare(coordinator, toggle.after[step] ?? [], toggle.steps[step] ?? '');
  }
  for (const [index, id] of ids.entries()) {
    await detach(coordinator, id);
    compare(coordinator, toggle.after[3 + index] ?? [], toggle.steps[3 + index] ?? '');
  }
}

async function switchKey(coordinator: Coordinator, toggle: Toggle, key: string): Promise<void> {
  const id = await attach(coordinator, { kind: 'jump_label', target: key });
  compare(coordinator, toggle.after[0] ?? [], 'on');
  await detach(coordinator, id);
  compare(coordinator, toggle.after[1] ?? [], 'off');
}

/** Each preemption model is one more update of the call; then the updates leave, the oldest first. */
async function switchPreemption(coordinator: Coordinator, toggle: Toggle, call: string): Promise<void> {
  const ids: string[] = [];
  for (const [step, sites] of toggle.after.entries()) {
    const to = calledIn(sites) ?? 'NULL';
    ids.push(await attach(coordinator, { kind: 'static_call', target: call, options: { to } }));
    compare(coordinator, sites, toggle.steps[step] ?? '');
  }
  for (const id of ids) await detach(coordinator, id);
}

const SWITCHES: Readonly<Record<string, (coordinator: Coordinator, toggle: Toggle, name: string) => Promise<void>>> = {
  tracepoint: switchTracepoint,
  'tracepoint-two-users': threeUsers,
  key: switchKey,
  preempt: switchPreemption,
};

for (const { file, kernel } of RECORDINGS) {
  const { path, skip } = realKernel(kernel);
  describe(`static branches and calls recorded on ${kernel}`, { skip }, () => {
    for (const toggle of readToggles(file))
      for (const strictness of ['safe', 'linux'] as const)
        it(`${toggle.id}, ${strictness}`, async () => {
          const coordinator = testCoordinator(await kernelImage(path), strictness);
          const [, kind = '', name = ''] = toggle.id.split(':');
          const run = SWITCHES[kind];
          assert.ok(run !== undefined, `no way to do ${toggle.id}`);
          compare(coordinator, toggle.initial, 'initial');
          await run(coordinator, toggle, name);
          compare(coordinator, toggle.initial, 'at the end');
          assert.equal(coordinator.audit().differing, 0);
        });
  });
}
