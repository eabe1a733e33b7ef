import {
  CALL_INSN_OPCODE,
  decodeInsn,
  INT3_INSN_OPCODE,
  type Insn,
  JMP32_INSN_OPCODE,
  MAX_INSN_SIZE,
} from '../../insn/index.ts';
import { bytesAround } from './bytes-around.ts';
import type { BootContext } from './context.ts';
import { isAtLeast } from './context.ts';
import { hasFeature } from './hidden-features.ts';
import { type ItsThunks, itsThunks } from './its-thunks.ts';
import { optimizeNops, optimizeNops61 } from './optimize-nops.ts';
import { readSites } from './site-tables.ts';

const RETPOLINE_THUNK_SIZE = 32;
const REGISTERS = 16;
const RSP = 4;
const NOP = 0x90;
const CS_PREFIX = 0x2e;
const LFENCE = [0x0f, 0xae, 0xe8] as const;

interface Retpolines {
  readonly boot: BootContext;
  readonly thunks: number;
  readonly isGeneric: boolean;
  readonly isLfence: boolean;
  readonly isCallDepth: boolean;
  readonly its: ItsThunks | undefined;
}

const isJcc32 = (insn: Insn): boolean => insn.opcode === 0x0f && (insn.opcode2 & 0xf0) === 0x80;

/** apply_retpolines: calls and jumps to `__x86_indirect_thunk_<reg>` as the mitigation wants them. With plain retpolines they stay. */
export function applyRetpolines(boot: BootContext): void {
  const { kernel, text } = boot;
  const thunks = kernel.symbolOffset('__x86_indirect_thunk_array');
  if (thunks === undefined) return;
  const has = (name: string): boolean => hasFeature(kernel, boot.caps, name);
  const context: Retpolines = {
    boot,
    thunks,
    isGeneric: has('RETPOLINE') && !has('RETPOLINE_LFENCE'),
    isLfence: has('RETPOLINE_LFENCE'),
    isCallDepth: has('CALL_DEPTH'),
    its: has('INDIRECT_THUNK_ITS') ? itsThunks(boot) : undefined,
  };
  if (context.isGeneric && !context.isCallDepth) return;
  const optimize = isAtLeast(kernel, 6, 4) ? optimizeNops : optimizeNops61;
  for (const site of readSites(kernel, '.retpoline_sites')) {
    const around = bytesAround(text, site, MAX_INSN_SIZE);
    const insn = around === undefined ? undefined : decodeInsn(around, site);
    if (insn === undefined) continue;
    const bytes = patchRetpoline(context, site, insn);
    if (bytes?.length !== insn.length) continue;
    optimize(bytes);
    text.write(site, bytes);
    boot.report.count('retpoline');
  }
}

/** The new instruction; undefined when the site stays as it is (patch_retpoline). */
function patchRetpoline(context: Retpolines, site: number, insn: Insn): Uint8Array | undefined {
  const isJcc = isJcc32(insn);
  if (!isJcc && insn.opcode !== CALL_INSN_OPCODE && insn.opcode !== JMP32_INSN_OPCODE) return undefined;
  const distance = site + insn.length + insn.immediate.value - context.thunks;
  const register = distance / RETPOLINE_THUNK_SIZE;
  if (!Number.isInteger(register) || register < 0 || register >= REGISTERS || register === RSP) return undefined;
  if (context.isGeneric) return callTrackRetpoline(context, site, insn, register);
  const out: number[] = [];
  let op = insn.opcode;
  if (isJcc) {
    // The inverted condition jumps over an unconditional jump.
    out.push(0x70 + ((insn.opcode2 & 0xf) ^ 1), insn.length - 2);
    op = JMP32_INSN_OPCODE;
  }
  if (context.isLfence) out.push(...LFENCE);
  const { its } = context;
  if (its !== undefined && isLowerHalf(site + out.length + 1 + (register >> 3))) {
    const thunk = its.allocate(register);
    return trampoline(site, insn, thunk, thunk);
  }
  if (register >= 8) out.push(0x41);
  out.push(0xff, (op === CALL_INSN_OPCODE ? 0xd0 : 0xe0) + (register & 7));
  if (op === JMP32_INSN_OPCODE && out.length < insn.length) out.push(INT3_INSN_OPCODE);
  while (out.length < insn.length) out.push(NOP);
  return Uint8Array.from(out);
}

const isLowerHalf = (offset: number): boolean => (offset & 0x20) === 0;

function callTrackRetpoline(context: Retpolines, site: number, insn: Insn, register: number): Uint8Array | undefined {
  const { kernel } = context.boot;
  const call = kernel.symbolOffset('__x86_indirect_call_thunk_array');
  const jump = kernel.symbolOffset('__x86_indirect_jump_thunk_array');
  if (call === undefined || jump === undefined) return undefined;
  return trampoline(site, insn, thunkOf(kernel, call, 'call', register), thunkOf(kernel, jump, 'jump', register));
}

const REGISTER_NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

function thunkOf(kernel: BootContext['kernel'], array: number, kind: 'call' | 'jump', register: number): number {
  const own = kernel.symbolOffset(`__x86_indirect_${kind}_thunk_${REGISTER_NAMES[register] ?? ''}`);
  return own ?? array + register * RETPOLINE_THUNK_SIZE;
}

/** The same instruction to another destination (__emit_trampoline); a CS prefix pads a call of six bytes. */
function trampoline(site: number, insn: Insn, callDest: number, jumpDest: number): Uint8Array | undefined {
  const out: number[] = [];
  let op = insn.opcode;
  if (isJcc32(insn)) {
    out.push(op);
    op = insn.opcode2;
  } else if (insn.length === 6) {
    out.push(CS_PREFIX);
  }
  const destination = insn.opcode === CALL_INSN_OPCODE ? callDest : jumpDest;
  const bytes = new Uint8Array(out.length + 5);
  bytes.set(out);
  bytes[out.length] = op;
  new DataView(bytes.buffer).setInt32(out.length + 1, destination - (site + out.length + 5), true);
  return bytes;
}
