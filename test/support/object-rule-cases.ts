/** Objects that the rules refuse, on the built-in kernel: those of fixtures/bpf, with a byte changed. */
import assert from 'node:assert/strict';
import type { Fault, Result } from '../../src/base/index.ts';
import { type BpfObject, choosePrograms, loadBpfObject } from '../../src/jit/index.ts';
import { programFault } from '../../src/registry/index.ts';
import { type ObjectName, objectBytes, objectKernel } from './bpf-objects.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

type Change = (bytes: Uint8Array) => Uint8Array;

const asItIs: Change = (bytes) => bytes;

function faultOf(result: Result<unknown>): Fault {
  assert.ok(!result.ok, 'it was taken');
  return programFault(result.fault);
}

function read({ world }: RegistryLab, name: ObjectName, change: Change): Result<BpfObject> {
  return loadBpfObject({ bytes: change(objectBytes(name)), name, kernel: objectKernel(world.image) });
}

function opened(lab: RegistryLab, name: ObjectName, change: Change = asItIs): BpfObject {
  const object = read(lab, name, change);
  assert.ok(object.ok, object.ok ? '' : object.fault.detail);
  return object.value;
}

const unread =
  (name: ObjectName, change: Change = asItIs) =>
  (lab: RegistryLab): Fault =>
    faultOf(read(lab, name, change));

const unlinked =
  (name: ObjectName, program: string, change: Change = asItIs) =>
  (lab: RegistryLab): Fault => {
    const object = opened(lab, name, change);
    const chosen = choosePrograms(object, { section: program });
    assert.ok(chosen.ok);
    const [first] = chosen.value;
    assert.ok(first !== undefined);
    return faultOf(object.link(first));
  };

const unchosen =
  (name: ObjectName, section?: string) =>
  (lab: RegistryLab): Fault =>
    faultOf(choosePrograms(opened(lab, name), { section }));

/** The last occurrence of a text replaced by one as long: behind everything else stand the names of sections and symbols. */
export const replaced =
  (from: string | Uint8Array, to: string | Uint8Array): Change =>
  (bytes) => {
    const file = Buffer.from(bytes);
    const at = file.lastIndexOf(from);
    assert.ok(at >= 0, 'the text is there');
    assert.equal(from.length, to.length);
    file.set(Buffer.from(to as string), at);
    return new Uint8Array(file);
  };

const SECTION_HEADER = 64;
const SYMBOL = 24;

/** The object with as many functions more, all of them the one that is its last symbol. */
export const withFunctions =
  (count: number): Change =>
  (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const headers = Number(view.getBigUint64(40, true));
    const sections = Array.from({ length: view.getUint16(60, true) }, (_, i) => headers + i * SECTION_HEADER);
    const header = sections.find((at) => view.getUint32(at + 4, true) === 2);
    assert.ok(header !== undefined);
    const [start, size] = [24, 32].map((at) => Number(view.getBigUint64(header + at, true))) as [number, number];
    const symbols = Array.from({ length: size / SYMBOL }, (_, i) => start + i * SYMBOL);
    const fn = symbols.find((at) => bytes[at + 4] === 0x12);
    assert.ok(fn !== undefined);
    const all = new Uint8Array(bytes.length + size + count * SYMBOL);
    all.set(bytes);
    all.set(bytes.subarray(start, start + size), bytes.length);
    for (let i = 0; i < count; i++) all.set(bytes.subarray(fn, fn + SYMBOL), bytes.length + size + i * SYMBOL);
    const changed = new DataView(all.buffer);
    changed.setBigUint64(header + 24, BigInt(bytes.length), true);
    changed.setBigUint64(header + 32, BigInt(size + count * SYMBOL), true);
    return all;
  };

export const OBJECT_CASES: Readonly<Record<string, RuleCase>> = {
  'bpf.object.malformed': { refuse: unread('core', (bytes) => bytes.subarray(0, bytes.length - 1)) },
  'bpf.object.unsupported': { refuse: unread('globals', replaced('.data\0', 'maps\0\0')) },
  'bpf.object.section': { refuse: unlinked('sections', 'any_probe', replaced('kprobe\0', 'kprobX\0')) },
  'bpf.object.choice': { refuse: unchosen('sections') },
  'bpf.object.map': { refuse: unread('tcp-states', replaced('max_entries', 'max_entrieS')) },
  'bpf.object.relocation': { refuse: unread('subprograms', replaced('.bss\0', '.bsX\0')) },
  'bpf.object.core': { refuse: unlinked('core', 'kinds', replaced('0:16\0', '0:99\0')) },
  'bpf.object.extern': { refuse: unread('externs', replaced('tcp_set_state\0', 'tcp_set_stAte\0')) },
  'bpf.object.size': { refuse: unread('core', withFunctions(65_536)) },
};
