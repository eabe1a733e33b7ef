/** Jumps that come late, go late, are undone in a hurry and are rescued. Recordings of two kernels are in test/conformance/optprobes.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import { toHex } from '../../base/index.ts';
import { decodeInsn, relTarget } from '../../insn/index.ts';

const F = 'lab_opt';
/** From +9 on: mov (2), add (3), add (5), sub (5), mov (5), … */
const BODY = '89f883c00105443322112d44332211b905000000';

class Lab extends RegistryLab {
  probe(offset: number, options = {}): string {
    return this.attach('kprobe', `${F}+${offset}`, options).id;
  }

  /** The bytes from +9 on; of a jump into generated code only its opcode. */
  body(): string {
    const bytes = [...this.text.bytes(this.at(F, 9), BODY.length / 2)].map((byte) =>
      byte.toString(16).padStart(2, '0'),
    );
    for (let i = 0; i < bytes.length; i++)
      if (bytes[i] === 'e9') {
        bytes.fill('--', i + 1, i + 5);
        i += 4;
      }
    return bytes.join('');
  }

  queues(): Readonly<Record<string, readonly number[]>> {
    const { optimizing, unoptimizing, freeing } = this.state.optimizer;
    const offsets = (list: Iterable<number>): readonly number[] => [...list].map((addr) => addr - this.at(F));
    return { optimizing: offsets(optimizing), unoptimizing: offsets(unoptimizing), freeing: offsets(freeing) };
  }

  assertPristine(): void {
    assert.equal(this.body(), BODY);
    assert.deepEqual(this.orphans(), []);
    assert.equal(this.state.kprobeTable.size, 0);
    assert.equal(this.state.arena.allocations.size, 0);
  }
}

const newLab = async (strictness: 'safe' | 'linux' = 'safe'): Promise<Lab> => new Lab(await builtinImage(), strictness);

const IDLE = { optimizing: [], unoptimizing: [], freeing: [] };

describe('the kprobe optimizer', () => {
  it('makes a jump of an int3, through the int3 protocol, after a grace period', async () => {
    const lab = await newLab();
    lab.probe(14);
    assert.equal(lab.body(), '89f883c001cc443322112d44332211b905000000');
    assert.deepEqual(lab.queues(), { ...IDLE, optimizing: [14] });
    assert.equal(lab.site(lab.at(F, 14)).mechanism, 'int3');
    const { kprobeTable } = lab.state;
    assert.ok(lab.optimize());
    assert.equal(lab.body(), '89f883c001e9--------2d44332211b905000000');
    assert.equal(lab.site(lab.at(F, 14)).mechanism, 'optprobe-jump');
    assert.equal(
      relTarget(lab.text.bytes(lab.at(F, 14), 5), lab.at(F, 14)),
      kprobeTable.get(lab.at(F, 14))?.opt?.detour,
    );
    assert.deepEqual(lab.queues(), IDLE);
    assert.equal(lab.optimize(), false);
    assert.deepEqual(lab.orphans(), []);
  });

  it('makes a detour of the kernel’s template, its own values and the displaced instructions', async () => {
    const lab = await newLab();
    lab.probe(9);
    const { optprobe, image } = lab.world;
    const opt = lab.state.kprobeTable.get(lab.at(F, 9))?.opt;
    assert.ok(optprobe !== undefined && opt !== undefined);
    const { template } = optprobe;
    const size = template.bytes.length;
    const detour = lab.text.bytes(opt.detour, size + opt.size + 5);
    const expected = Uint8Array.from(template.bytes);
    expected.set([0x0f, 0x01, 0xca], template.clac);
    expected.set([0x48, 0xbf], template.val);
    new DataView(expected.buffer).setBigUint64(template.val + 2, opt.op, true);
    expected.set(detour.subarray(template.call, template.call + 5), template.call);
    assert.equal(toHex(detour.subarray(0, size)), toHex(expected));
    const call = decodeInsn(detour.subarray(template.call), opt.detour + template.call);
    assert.equal(call?.flow, 'call');
    assert.equal(call?.target, image.symbols.offsetOf('optimized_callback'));
    // mov and add make five bytes; then it goes on at +14.
    assert.equal(opt.size, 5);
    assert.equal(toHex(detour.subarray(size, size + 5)), '89f883c001');
    assert.equal(relTarget(detour.subarray(size + 5), opt.detour + size + 5), lab.at(F, 14));
  });

  it('undoes a jump after its probe left: until then it stands there and nobody owns it', async () => {
    const lab = await newLab();
    const id = lab.probe(14);
    lab.optimize();
    lab.detach(id);
    assert.equal(lab.body(), '89f883c001e9--------2d44332211b905000000');
    assert.deepEqual(lab.queues(), { ...IDLE, unoptimizing: [14] });
    assert.deepEqual(lab.site(lab.at(F, 14)).owners, []);
    assert.deepEqual(lab.orphans(), []);
    const { ops } = lab.optimizeDecision();
    assert.deepEqual(
      ops.map((op) => `${op.kind} ${op.what}`),
      [
        'byte arch_unoptimize_kprobe',
        'byte arch_unoptimize_kprobe',
        'byte arch_disarm_kprobe',
        'wait kprobe_optimizer',
        'remove kprobe_optinsn_slot',
        'remove kprobe_insn_slot',
      ],
    );
    lab.assertPristine();
  });

  it('takes a probe that left before it ran off its list: the text is pristine at once', async () => {
    const lab = await newLab();
    lab.detach(lab.probe(14));
    lab.assertPristine();
    assert.deepEqual(lab.queues(), IDLE);
    // The work had been scheduled, and finds nothing to do.
    assert.ok(lab.optimize());
  });

  it('lets a new probe have a jump that waits to be undone', async () => {
    const lab = await newLab();
    lab.detach(lab.optimizeAfter(() => lab.probe(14)));
    const before = lab.state.kprobeTable.get(lab.at(F, 14))?.opt?.detour;
    const decision = lab.decide({ kind: 'kprobe', target: `${F}+14` });
    assert.deepEqual(decision.ops, []);
    assert.deepEqual(lab.queues(), IDLE);
    assert.equal(lab.state.kprobeTable.get(lab.at(F, 14))?.opt?.detour, before);
    assert.equal(lab.body(), '89f883c001e9--------2d44332211b905000000');
    assert.equal(decision.outcome.kind, 'granted');
  });

  it('undoes a jump at once for a probe inside it, and for one with a post_handler at its address', async () => {
    const lab = await newLab();
    const outer = lab.optimizeAfter(() => lab.probe(9));
    assert.equal(lab.body(), 'e9--------05443322112d44332211b905000000');
    // +11 is the start of an instruction only when one looks through the jump.
    const { ops } = lab.decide({ kind: 'kprobe', target: `${F}+11` });
    const pokes = ops.flatMap((op) => (op.kind === 'byte' ? [[op.at - lab.at(F), op.what, toHex(op.bytes)]] : []));
    assert.deepEqual(pokes, [
      [9, 'arch_unoptimize_kprobe', 'cc'],
      [10, 'arch_unoptimize_kprobe', 'f883c001'],
      [11, 'arch_arm_kprobe', 'cc'],
    ]);
    lab.optimize();
    assert.equal(lab.body(), 'ccf8e9--------3322112d44332211b905000000');
    lab.detach(outer);
    const post = lab.probe(11, { postHandler: true });
    assert.equal(lab.body(), '89f8ccc00105443322112d44332211b905000000');
    lab.detach(post);
    assert.deepEqual(lab.queues(), { ...IDLE, optimizing: [11] });
  });

  it('keeps an int3 where a probe asked for it, whoever else is there', async () => {
    const lab = await newLab();
    lab.optimizeAfter(() => lab.probe(14));
    const kept = lab.probe(14, { optimize: false });
    assert.equal(lab.body(), '89f883c001cc443322112d44332211b905000000');
    lab.optimize();
    assert.equal(lab.body(), '89f883c001cc443322112d44332211b905000000');
    lab.detach(kept);
    lab.optimize();
    assert.equal(lab.body(), '89f883c001e9--------2d44332211b905000000');
  });

  it('disarms late what is switched off, and puts an int3 before the jump of what is switched on again', async () => {
    const lab = await newLab();
    const id = lab.optimizeAfter(() => lab.probe(14));
    lab.setEnabled(id, false);
    assert.equal(lab.body(), '89f883c001e9--------2d44332211b905000000');
    lab.setEnabled(id, true);
    // Linux arms it as ever and leaves the displacement: the handler sends it to the detour.
    assert.match(lab.hex(lab.at(F, 14), 5), /^cc(?!443322)/);
    assert.deepEqual(lab.orphans(), []);
    assert.equal(lab.site(lab.at(F, 14)).mechanism, 'int3');
    lab.setEnabled(id, false);
    lab.optimize();
    assert.equal(lab.body(), BODY);
    assert.equal(lab.state.kprobeTable.size, 1);
    lab.detach(id);
    lab.assertPristine();
  });

  it('frees later what had to be undone while it waited for that', async () => {
    const lab = await newLab();
    lab.detach(lab.optimizeAfter(() => lab.probe(9)));
    const inner = lab.probe(11);
    assert.deepEqual(lab.queues(), { optimizing: [11], unoptimizing: [], freeing: [9] });
    assert.equal(lab.body(), 'ccf8ccc00105443322112d44332211b905000000');
    lab.optimize();
    assert.equal(lab.body(), '89f8e9--------3322112d44332211b905000000');
    lab.detach(inner);
    lab.optimize();
    lab.assertPristine();
  });

  it('does it all before debug.kprobes-optimization is 0, and queues all when it is 1', async () => {
    const lab = await newLab();
    lab.probe(9);
    lab.probe(14);
    lab.probe(19);
    lab.optimize();
    assert.equal(lab.body(), 'e9--------e9--------e9--------b905000000');
    lab.sysctl('debug.kprobes-optimization', 0);
    assert.equal(lab.body(), 'ccf883c001cc44332211cc44332211b905000000');
    assert.deepEqual(lab.queues(), IDLE);
    lab.sysctl('debug.kprobes-optimization', 1);
    assert.equal(lab.queues()['optimizing']?.length, 3);
    lab.optimize();
    assert.equal(lab.body(), 'e9--------e9--------e9--------b905000000');
  });

  it('quarantines the one site whose bytes are not as they should be', async () => {
    const lab = await newLab();
    lab.probe(9);
    lab.probe(19);
    lab.vandalize(lab.at(F, 21), '90');
    lab.optimize();
    assert.deepEqual([...lab.state.quarantined.keys()], [lab.at(F, 19)]);
    assert.equal(lab.body(), 'e9--------0544332211cc44902211b905000000');
    assert.deepEqual(lab.queues(), IDLE);
  });

  it('stays off instructions with a breakpoint of kgdb’s, and kgdb off its own', async () => {
    const lab = await newLab();
    const jump = lab.optimizeAfter(() => lab.probe(9));
    assert.equal(lab.refused('kgdb', `${F}+11`).rule, 'kgdb.site.kprobe');
    const post = lab.probe(9, { postHandler: true });
    lab.attach('kgdb', `${F}+11`);
    lab.detach(post);
    assert.deepEqual(lab.queues(), IDLE);
    lab.optimize();
    assert.equal(lab.body().slice(0, 4), 'ccf8');
    lab.detach(jump);
    assert.deepEqual(lab.orphans(), []);
  });

  it('writes over a breakpoint of kgdb’s as Linux does, and every byte is accounted for', async () => {
    const lab = await newLab('linux');
    const id = lab.probe(9);
    const breakpoint = lab.attach('kgdb', `${F}+11`).id;
    lab.optimize();
    assert.equal(lab.body().slice(0, 10), 'e9--------');
    assert.deepEqual(lab.orphans(), []);
    lab.detach(breakpoint);
    assert.deepEqual(lab.orphans(), []);
    lab.detach(id);
    lab.optimize();
    assert.deepEqual(lab.orphans(), []);
  });
});
