import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boot, pointer, s32, type TinyKernel } from '../../../test/boot/tiny-kernel.ts';

const u32 = s32;
const ascii = (text: string): string => Buffer.from(`${text}\0`, 'latin1').toString('hex');

/** Two slots of one hook, and three modules: capability, alpha and beta, the last two exclusive; CONFIG_LSM is "alpha,beta". */
function kernel(): TinyKernel {
  const NAMES = 0x400;
  const names = ascii('capability') + ascii('alpha') + ascii('beta') + ascii('alpha,beta');
  const nameAt = { capability: NAMES, alpha: NAMES + 11, beta: NAMES + 17 };
  const info = (name: number, order: number, flags: number): string =>
    pointer(name) + u32(order) + '00'.repeat(4) + u32(flags) + '00'.repeat(4 + 24);
  const slot = (i: number): string =>
    pointer(0x200 + 16 * i) + pointer(0x40 + 8 * i) + '00'.repeat(8) + pointer(0x240 + 16 * i);
  const hook = (func: number): string => pointer(0x300) + pointer(func) + '00'.repeat(8);
  const siteTable = s32(0 - 0x600) + s32(0x200 - 0x604) + s32(5 - 0x608) + s32(0x210 - 0x60c);
  return {
    sections: {
      '.text': {
        at: 0,
        hex: `e811111111e811111111${'90'.repeat(0x36)}e911111111${'0fb9cc'}e911111111${'0fb9cc'}`,
        isCode: true,
      },
      '.data': { at: 0x200, hex: '00'.repeat(0x80) },
      '.rodata': {
        at: 0x300,
        hex: slot(0) + slot(1) + '00'.repeat(0xc0) + names.padEnd(0x80, '0') + '00'.repeat(0x1c0) + siteTable,
      },
      '.init.data': {
        at: 0x700,
        hex: info(nameAt.capability, -1, 0) + info(nameAt.beta, 0, 3) + info(nameAt.alpha, 0, 3),
      },
      '.data..ro_after_init': { at: 0x800, hex: hook(0x20) + hook(0x28) + hook(0x30) },
    },
    symbols: {
      static_calls_table: 0x300,
      __SCK__lsm_static_call_h_0: 0x200,
      __SCK__lsm_static_call_h_1: 0x210,
      security_hook_active_h_0: 0x240,
      security_hook_active_h_1: 0x250,
      __SCT__lsm_static_call_h_0: 0x40,
      __SCT__lsm_static_call_h_1: 0x48,
      after_the_slots: 0x340,
      __start_static_call_sites: 0x600,
      __stop_static_call_sites: 0x610,
      __start_lsm_info: 0x700,
      __end_lsm_info: 0x790,
      beta_hooks: 0x800,
      alpha_hooks: 0x818,
      capability_hooks: 0x830,
    },
  };
}

const calls = (cmdline: string): readonly string[] => {
  const text = boot(kernel(), { cmdline }).code['.text'] ?? '';
  return [text.slice(0, 10), text.slice(10, 20)];
};
const call = (at: number, to: number): string => `e8${s32(to - at - 5)}`;

test('hooks fill the slots in the order of the modules; of exclusive ones the first of CONFIG_LSM is on', () => {
  assert.deepEqual(calls(''), [call(0, 0x30), call(5, 0x28)]);
});
test('lsm= gives another order', () => assert.deepEqual(calls('lsm=beta,alpha'), [call(0, 0x30), call(5, 0x20)]));
test('a module switched off leaves its slot to the next', () => {
  assert.deepEqual(calls('alpha=0'), [call(0, 0x30), call(5, 0x20)]);
});
test('security= chooses the major module', () =>
  assert.deepEqual(calls('security=beta'), [call(0, 0x30), call(5, 0x20)]));
test('unused slots are nops', () => assert.deepEqual(calls('lsm=none'), [call(0, 0x30), '0f1f440000']));
test('trampolines of used slots jump to the hook', () => {
  const text = boot(kernel()).code['.text'] ?? '';
  assert.equal(text.slice(0x80, 0x90), `e9${s32(0x30 - 0x45)}0fb9cc`);
});
