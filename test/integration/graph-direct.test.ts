/**
 * How the function-graph tracer of 6.12 goes around the loop over its users. Goal: its two static calls and its static key stand as
 * ftrace_graph_enable_direct and ftrace_graph_disable_direct leave them, whoever comes and goes; 6.1 has none of it. Method: on the recorded kernels.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Coordinator } from '../../src/coordinator/index.ts';
import { relTarget } from '../../src/insn/index.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';

const STUBS = ['ftrace_graph_entry_stub', 'ftrace_graph_ret_stub'];
const DIRECT = ['trace_graph_entry', 'trace_graph_return'];
/** A branch on fgraph_do_direct: a NOP while the key is on. */
const BRANCH = 'function_graph_enter+0xcf';

function textAt(kernel: Coordinator, place: string, length: number): { readonly at: bigint; readonly bytes: string } {
  const text = kernel.text(place, length);
  assert.ok(text.ok, place);
  return { at: BigInt(text.value.address), bytes: text.value.bytes };
}

/** The function that the trampoline of a static call jumps to. */
function callee(kernel: Coordinator, call: string): string {
  const { at, bytes } = textAt(kernel, `__SCT__${call}`, 5);
  const distance = relTarget(Buffer.from(bytes, 'hex'), 0);
  assert.ok(distance !== undefined, bytes);
  const found = [...STUBS, ...DIRECT].find((name) => textAt(kernel, name, 1).at === at + BigInt(distance));
  return found ?? `${call} goes elsewhere`;
}

const ways = (kernel: Coordinator): unknown => ({
  calls: [callee(kernel, 'fgraph_func'), callee(kernel, 'fgraph_retfunc')],
  isKeyOn: textAt(kernel, BRANCH, 2).bytes === '6690',
});

async function trace(kernel: Coordinator, target: string, client: string): Promise<string> {
  const request = { kind: 'ftrace', target, options: { tracer: 'function_graph' } } as const;
  const attached = await kernel.attach(caller(client), request, {});
  assert.ok(attached.ok, JSON.stringify(attached));
  return attached.value.id;
}

async function leave(kernel: Coordinator, id: string, client: string): Promise<void> {
  assert.ok((await kernel.detach(caller(client), id)).ok);
  assert.deepEqual(kernel.audit().orphans, []);
}

describe('the function-graph tracer’s way around its loop', () => {
  const recorded = realKernel(RECORDED_6_12);
  it('is for one user, and off for two', { skip: recorded.skip }, async () => {
    const kernel = testCoordinator(await kernelImage(recorded.path), 'linux');
    assert.deepEqual(ways(kernel), { calls: STUBS, isKeyOn: true });
    const first = await trace(kernel, 'tcp_set_state', 'a');
    assert.deepEqual(ways(kernel), { calls: DIRECT, isKeyOn: true });
    const second = await trace(kernel, 'gcd', 'b');
    assert.deepEqual(ways(kernel), { calls: STUBS, isKeyOn: false });
    const site = kernel.site(BRANCH);
    assert.ok(site.ok);
    assert.deepEqual(
      site.value.owners.map(({ attachment }) => attachment),
      [first, second],
    );
    const third = await trace(kernel, 'gcd', 'c');
    await leave(kernel, first, 'a');
    assert.deepEqual(ways(kernel), { calls: STUBS, isKeyOn: false });
    await leave(kernel, third, 'c');
    assert.deepEqual(ways(kernel), { calls: DIRECT, isKeyOn: true });
    await leave(kernel, second, 'b');
    assert.deepEqual(ways(kernel), { calls: STUBS, isKeyOn: true });
    assert.equal(kernel.audit().differing, 0);
  });

  it('meets those who hold the same key and the same call', { skip: recorded.skip }, async () => {
    const kernel = testCoordinator(await kernelImage(recorded.path), 'linux');
    const call = await kernel.attach(caller('x'), { kind: 'static_call', target: 'fgraph_func', options: {} }, {});
    const key = await kernel.attach(caller('x'), { kind: 'jump_label', target: 'fgraph_do_direct', options: {} }, {});
    assert.ok(call.ok && key.ok);
    const first = await trace(kernel, 'tcp_set_state', 'a');
    assert.deepEqual(ways(kernel), { calls: DIRECT, isKeyOn: true });
    const second = await trace(kernel, 'tcp_set_state', 'b');
    await leave(kernel, call.value.id, 'x');
    await leave(kernel, first, 'a');
    await leave(kernel, key.value.id, 'x');
    assert.deepEqual(ways(kernel), { calls: DIRECT, isKeyOn: true });
    await leave(kernel, second, 'b');
    assert.equal(kernel.audit().differing, 0);
  });

  const older = realKernel(RECORDED_6_1);
  it('is not in 6.1', { skip: older.skip }, async () => {
    const kernel = testCoordinator(await kernelImage(older.path), 'linux');
    const id = await trace(kernel, 'tcp_set_state', 'a');
    assert.equal(kernel.audit().orphans.length, 0);
    await leave(kernel, id, 'a');
    assert.equal(kernel.audit().differing, 0);
  });
});
