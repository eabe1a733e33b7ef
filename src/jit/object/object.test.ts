import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { loadedObject, objectBytes, objectKernel } from '../../../test/support/bpf-objects.ts';
import { builtinImage } from '../../../test/support/images.ts';
import { replaced } from '../../../test/support/object-rule-cases.ts';
import { choosePrograms } from './choose-programs.ts';
import { dataMapName } from './data-maps.ts';
import { type BpfObject, type LinkedProgram, loadBpfObject } from './load-object.ts';
import type { ObjectKernel } from './object-kernel.ts';
import { meaningOf } from './section-names.ts';

let kernel: ObjectKernel;
before(async () => {
  kernel = objectKernel(await builtinImage());
});

function link(object: BpfObject, section: string): LinkedProgram {
  const chosen = choosePrograms(object, { section });
  assert.ok(chosen.ok, chosen.ok ? '' : chosen.fault.detail);
  const [program] = chosen.value;
  assert.ok(program !== undefined);
  const linked = object.link(program);
  assert.ok(linked.ok, linked.ok ? '' : linked.fault.detail);
  return linked.value;
}

describe('names of sections', () => {
  it('say type, target and whether the program sleeps', () => {
    const says = (type: string, target: string | undefined, isSleepable = false) => ({ type, target, isSleepable });
    for (const [section, meaning] of [
      ['fentry/tcp_set_state', says('fentry', 'tcp_set_state')],
      ['fentry.s/security_file_open', says('fentry', 'security_file_open', true)],
      ['fexit/x', says('fexit', 'x')],
      ['fmod_ret/x', says('fmod_ret', 'x')],
      ['freplace/x', says('freplace', 'x')],
      ['lsm/file_open', says('lsm', 'file_open')],
      ['lsm.s/file_open', says('lsm', 'file_open', true)],
      ['kprobe/tcp_set_state+0x9', says('kprobe', 'tcp_set_state+0x9')],
      ['kprobe', says('kprobe', undefined)],
      ['kretprobe/x', says('kretprobe', 'x')],
      ['kprobe.multi/tcp_*', says('kprobe_multi', 'tcp_*')],
      ['kretprobe.multi/tcp_*', says('kretprobe_multi', 'tcp_*')],
      ['kprobe.multi/', says('kprobe_multi', undefined)],
      ['ksyscall/nanosleep', says('ksyscall', 'nanosleep')],
      ['uprobe//bin/true:main', says('uprobe', '/bin/true:main')],
      ['uretprobe.multi.s', says('uprobe', undefined, true)],
      ['usdt.s/a:b:c', says('uprobe', 'a:b:c', true)],
      ['tp/sched/sched_switch', says('tracepoint', 'sched/sched_switch')],
      ['tracepoint/sched/sched_switch', says('tracepoint', 'sched/sched_switch')],
      ['raw_tp/x', says('raw_tracepoint', 'x')],
      ['tp_btf/x', says('tp_btf', 'x')],
      ['?fentry/x', says('fentry', 'x')],
    ] as const)
      assert.deepEqual(meaningOf(section), meaning, section);
    assert.equal(meaningOf('xdp'), 'elsewhere');
    assert.equal(meaningOf('tc/ingress'), 'elsewhere');
    for (const unknown of ['fentry/', 'fentryx/y', 'nothing', '']) assert.equal(meaningOf(unknown), undefined, unknown);
  });

  it('are in the names of maps of data', () => {
    assert.equal(dataMapName('my_object_name', '.rodata'), 'my_objec.rodata');
    assert.equal(dataMapName('my_object_name', '.bss'), 'my_objec.bss');
    assert.equal(dataMapName('my_object_name', '.kconfig'), 'my_obje.kconfig');
    assert.equal(dataMapName('my_object_name', '.rodata.abracadabra'), '.rodata.abracad');
    assert.equal(dataMapName('a-b', '.data'), 'a_b.data');
  });
});

describe('objects', () => {
  it('are refused when a value of a map is not only bytes', () => {
    const changed = Buffer.from(objectBytes('core')).toString('latin1').replaceAll('answers\0', 'bpf_wq\0\0');
    const loaded = loadBpfObject({ bytes: Buffer.from(changed, 'latin1'), name: 'core', kernel });
    assert.ok(!loaded.ok);
    assert.deepEqual([loaded.fault.errno, loaded.fault.rule], ['EOPNOTSUPP', 'bpf.object.map']);
    assert.match(loaded.fault.detail, /its value has bpf_wq, which is not built/);
  });

  it('give programs with the functions that they call, and the lines that they come from', () => {
    const program = link(loadedObject('subprograms', kernel), 'calls');
    assert.deepEqual(
      program.functions.map(({ name, start, isGlobal }) => [name, start, isGlobal]),
      [
        ['calls', 0, true],
        ['eight_times', 7, false],
        ['four_times', 15, true],
        ['twice', 25, false],
      ],
    );
    assert.ok(program.functions.every(({ type }) => type !== undefined));
    const returned = program.lines.find(({ text }) => text.startsWith('return eight_times'));
    assert.deepEqual([returned?.file.split('/').at(-1), returned?.slot], ['subprograms.bpf.c', 0]);
    assert.ok(program.lines.some(({ slot, text }) => slot >= 25 && text === 'total += value;'));
    assert.deepEqual(program.mapIndices, [0]);
  });

  it('say what their programs are', () => {
    const object = loadedObject('sections', kernel);
    assert.equal(object.programs.length, 21);
    assert.equal(object.license, 'Dual MIT/GPL');
    const { type, target, isSleepable } = link(object, 'lsm.s/file_open');
    assert.deepEqual([type, target, isSleepable], ['lsm', 'file_open', true]);
  });

  it('are one program, or all, or the one that is named', () => {
    const object = loadedObject('subprograms', kernel);
    const names = (choice: Parameters<typeof choosePrograms>[1]): readonly string[] | string => {
      const chosen = choosePrograms(object, choice);
      return chosen.ok ? chosen.value.map(({ name }) => name) : chosen.fault.rule;
    };
    assert.deepEqual(names({ isAll: true }), ['calls', 'loops', 'calls_one']);
    assert.deepEqual(names({ section: 'fexit/tcp_set_state' }), ['loops']);
    assert.deepEqual(names({ section: 'calls_one' }), ['calls_one']);
    assert.equal(names({}), 'bpf.object.choice');
    assert.equal(names({ section: 'nothing' }), 'bpf.object.section');
    const tcp = choosePrograms(loadedObject('tcp-states', kernel), {});
    assert.deepEqual(tcp.ok && tcp.value.map(({ name }) => name), ['tcp_states']);
    // Two programs of one section: the section does not say which.
    const both = choosePrograms(loadedObject('maps', kernel), { section: 'fentry/tcp_set_state' });
    assert.equal(both.ok ? '' : both.fault.rule, 'bpf.object.choice');
  });

  it('name the section and the place where they are damaged', () => {
    const refusal = (change: (bytes: Uint8Array) => Uint8Array): string => {
      const object = loadBpfObject({ bytes: change(objectBytes('core')), name: 'core', kernel });
      return object.ok ? '' : `${object.fault.errno} ${object.fault.rule} ${object.fault.detail}`;
    };
    const at =
      (offset: number, ...values: number[]) =>
      (bytes: Uint8Array) => {
        bytes.set(values, offset);
        return bytes;
      };
    assert.match(
      refusal((bytes) => bytes.subarray(0, 100)),
      /^EINVAL bpf\.object\.malformed ELF header at offset 0x28: /,
    );
    assert.match(
      refusal(() => new Uint8Array(3)),
      /^EINVAL bpf\.object\.malformed ELF header at offset 0x0: no /,
    );
    assert.match(refusal(at(18, 62)), /^EINVAL bpf\.object\.unsupported ELF machine 62: a BPF object has 247$/);
    assert.match(refusal(replaced('.symtab', '.symtaX')), /^$/);
    assert.match(
      refusal(replaced(Buffer.from('9feb0100', 'hex'), Buffer.from('9feb0200', 'hex'))),
      /\.BTF\.ext at offset 0x2: version 2/,
    );
  });

  it('are refused by name for what the kernel does not give', () => {
    const kfunc = loadBpfObject({ bytes: objectBytes('kfunc'), name: 'kfunc', kernel });
    assert.deepEqual(kfunc.ok ? [] : [kfunc.fault.errno, kfunc.fault.rule], ['EOPNOTSUPP', 'bpf.object.extern']);
    assert.match(kfunc.ok ? '' : kfunc.fault.detail, /bpf_fentry_test1 is a function of the kernel/);
    const without = loadBpfObject({ bytes: objectBytes('core'), name: 'core', kernel: { ...kernel, btf: undefined } });
    assert.ok(without.ok);
    const [first] = without.value.programs;
    const linked = first === undefined ? undefined : without.value.link(first);
    assert.deepEqual(linked?.ok === false && [linked.fault.errno, linked.fault.rule], ['ESRCH', 'bpf.object.core']);
  });
});
