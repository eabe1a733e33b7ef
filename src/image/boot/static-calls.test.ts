import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boot, pointer, s32, type TinyKernel } from '../../../test/boot/tiny-kernel.ts';

const TAIL = 1;
const KEY = 0x200;
const TRAMP = 0x40;

/** One call site at 0 whose key (and a trampoline) is given a function on disk. */
function kernel(
  site: string,
  func: number | null,
  flags = 0,
  key = 'tp_func_x',
  more: Readonly<Record<string, number>> = {},
): TinyKernel {
  return {
    sections: {
      '.text': { at: 0, hex: `${site.padEnd(2 * TRAMP, '9')}e9${s32(0x20 - TRAMP - 5)}0fb9cc`, isCode: true },
      '.init.text': { at: 0x80, hex: 'c3', isCode: true },
      '.data': { at: KEY, hex: func === null ? '00'.repeat(8) : pointer(func) },
      '.rodata': { at: 0x300, hex: s32(0 - 0x300) + s32((KEY | flags) - 0x304) },
    },
    symbols: {
      __start_static_call_sites: 0x300,
      __stop_static_call_sites: 0x308,
      [`__SCK__${key}`]: KEY,
      [`__SCT__${key}`]: TRAMP,
      ...more,
    },
  };
}

const site = (tiny: TinyKernel, bytes = 5, profile = {}): string =>
  (boot(tiny, profile).code['.text'] ?? '').slice(0, 2 * bytes);
const trampoline = (tiny: TinyKernel, profile = {}): string =>
  (boot(tiny, profile).code['.text'] ?? '').slice(2 * TRAMP, 2 * TRAMP + 16);

test('a site calls the function of its key', () =>
  assert.equal(site(kernel('e811111111', 0x30)), `e8${s32(0x30 - 5)}`));
test('a tail call jumps', () => assert.equal(site(kernel('e911111111', 0x30, TAIL)), `e9${s32(0x30 - 5)}`));
test('NULL is a nop', () => assert.equal(site(kernel('e811111111', null)), '0f1f440000'));
test('NULL in a tail call returns', () => assert.equal(site(kernel('e911111111', null, TAIL)), 'c3cccccccc'));
test('__static_call_return0 is xor', () => {
  assert.equal(site(kernel('e811111111', 0x30, 0, 'x', { __static_call_return0: 0x30 })), '2e2e2e31c0');
});
test('a conditional tail call keeps its condition', () => {
  assert.equal(site(kernel('0f8411111111', 0x30, TAIL), 6), `0f84${s32(0x30 - 6)}`);
});
test('a conditional tail call of NULL goes to a return', () => {
  assert.equal(
    site(kernel('0f8411111111', null, TAIL, 'x', { __static_call_return: 0x28 }), 6),
    `0f84${s32(0x28 - 6)}`,
  );
});
test('a trampoline whose key does not change stays as it is', () => {
  assert.equal(trampoline(kernel('e811111111', 0x30)), `e9${s32(0x20 - TRAMP - 5)}0fb9cc`);
});

const PREEMPT = { __cond_resched: 0x38, __static_call_return0: 0x30 };
test('preempt=voluntary: cond_resched calls, and so does its trampoline', () => {
  const tiny = kernel('e811111111', 0x30, 0, 'cond_resched', PREEMPT);
  assert.equal(site(tiny, 5, { cmdline: 'preempt=voluntary' }), `e8${s32(0x38 - 5)}`);
  assert.equal(trampoline(tiny, { cmdline: 'preempt=voluntary' }), `e9${s32(0x38 - TRAMP - 5)}0fb9cc`);
});
test('preempt=full: cond_resched is xor, its trampoline stays', () => {
  const tiny = kernel('e811111111', 0x30, 0, 'cond_resched', PREEMPT);
  assert.equal(site(tiny, 5, { cmdline: 'preempt=full' }), '2e2e2e31c0');
  assert.equal(trampoline(tiny, { cmdline: 'preempt=full' }), `e9${s32(0x20 - TRAMP - 5)}0fb9cc`);
});
test('a trampoline that is set to NULL returns plainly: that is before any return thunk is chosen', () => {
  const tiny = kernel('e811111111', 0x30, 0, 'preempt_schedule', {
    __SCK__cond_resched: 0x208,
    __x86_return_thunk: 0x39,
  });
  const retbleed = {
    cpu: ['vendor_id\t: AuthenticAMD', 'flags\t\t: fpu ht', 'bugs\t\t: retbleed smt_rsb'],
    vulnerabilities: { retbleed: 'Mitigation: untrained return thunk; SMT disabled' },
    cmdline: 'preempt=none',
  };
  assert.equal(trampoline(tiny, retbleed), 'c3cccccccc0fb9cc');
});
test('the default mode of preemption is read from the call in init text', () => {
  const tiny = kernel('e811111111', 0x30, 0, 'might_resched', {
    ...PREEMPT,
    __SCK__cond_resched: 0x208,
    __sched_dynamic_update: 0x10,
  });
  const withCall = (mov: string): TinyKernel => ({
    ...tiny,
    sections: {
      ...tiny.sections,
      '.init.text': { at: 0x80, hex: `${mov}e8${s32(0x10 - 0x80 - mov.length / 2 - 5)}`, isCode: true },
    },
  });
  assert.equal(site(withCall('90bf01000000')), `e8${s32(0x38 - 5)}`, 'mov $1,%edi: voluntary');
  assert.equal(site(withCall('90909031ff')), '2e2e2e31c0', 'xor %edi,%edi: none');
  assert.equal(site(tiny), '2e2e2e31c0', 'no call: full');
});
test('the idle routine is MWAIT on real CPUs and HLT under a hypervisor', () => {
  const tiny = kernel('e911111111', null, TAIL, 'x86_idle', { default_idle: 0x30, mwait_idle: 0x38 });
  const flags = (words: string): object => ({
    cpu: ['vendor_id\t: GenuineIntel', `flags\t\t: fpu ht monitor ${words}`],
  });
  assert.equal(site(tiny, 5, flags('')), `e9${s32(0x38 - 5)}`);
  assert.equal(site(tiny, 5, flags('hypervisor')), `e9${s32(0x30 - 5)}`);
});
