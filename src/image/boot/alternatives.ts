import { CALL_INSN_OPCODE, callRel32, nop } from '../../insn/index.ts';
import { refuse } from '../malformed.ts';
import { type AltInstr, readAltInstrs } from './alt-instr.ts';
import type { BootContext } from './context.ts';
import { readPointer } from './kernel-memory.ts';
import { addNops61, optimizeNops, optimizeNops61 } from './optimize-nops.ts';
import { applyRelocation } from './relocation.ts';

const NOP = 0x90;
const CALL_RIP_REL = [0xff, 0x15] as const;

/** apply_alternatives: the last entry of a place that applies wins, as later ones overwrite. */
export function applyAlternatives(boot: BootContext): void {
  const table = readAltInstrs(boot.kernel, (offset, length) => boot.text.has(offset, length));
  if (table === undefined) return;
  const isNew = table.layout === '14';
  if (isNew) shareLongest(table.entries);
  const known = { bug: boot.kernel.symbolOffset('BUG_func'), nothing: boot.kernel.symbolOffset('nop_func') };
  for (const entry of table.entries) {
    if (isNew) applyOne(boot, entry, known);
    else applyOne61(boot, entry);
  }
}

/** Nested alternatives of one place stand one after the other; each is padded to the longest (6.4 and later). */
function shareLongest(entries: AltInstr[]): void {
  for (let i = 0; i < entries.length; i++) {
    const first = entries[i] as AltInstr;
    let length = first.instrlen;
    let end = i + 1;
    for (; entries[end]?.instr === first.instr; end++) length = Math.max(length, (entries[end] as AltInstr).instrlen);
    for (let j = i; j < end; j++) entries[j] = { ...(entries[j] as AltInstr), instrlen: length };
    i = end - 1;
  }
}

/** Functions that direct calls treat apart. */
interface KnownCalls {
  readonly bug: number | undefined;
  readonly nothing: number | undefined;
}

function applyOne(boot: BootContext, entry: AltInstr, known: KnownCalls): void {
  const { text } = boot;
  const bytes = text.view(entry.instr, entry.instrlen).slice();
  if (boot.caps.has(entry.cpuid) === entry.isNot) {
    optimizeNops(bytes);
    text.write(entry.instr, bytes);
    return;
  }
  if (entry.replacementlen > entry.instrlen)
    refuse('.altinstructions', entry.instr, 'the replacement is longer than the original');
  if (entry.isDirectCall) {
    text.write(entry.instr, directCall(boot, entry, bytes, known));
    boot.report.count('paravirt direct call');
    return;
  }
  bytes.fill(NOP);
  bytes.set(text.view(entry.replacement, entry.replacementlen));
  applyRelocation(bytes, entry.instr, entry.replacement, entry.replacementlen);
  optimizeNops(bytes);
  text.write(entry.instr, bytes);
  boot.report.count('alternative');
}

/**
 * alt_replace_call: the original's `call *pointer(%rip)` becomes a call of what the pointer holds; a call of `nop_func` becomes nothing. The
 * replacement is a call of BUG_func by definition, so that its bytes need no look.
 */
function directCall(boot: BootContext, entry: AltInstr, original: Uint8Array, known: KnownCalls): Uint8Array {
  const { kernel } = boot;
  if (
    entry.replacementlen !== 5 ||
    entry.instrlen !== 6 ||
    boot.text.view(entry.replacement, 1)[0] !== CALL_INSN_OPCODE
  ) {
    return refuse('.altinstructions', entry.instr, 'a direct call whose replacement is no call');
  }
  if (original[0] !== CALL_RIP_REL[0] || original[1] !== CALL_RIP_REL[1]) {
    return refuse('.altinstructions', entry.instr, 'a direct call over an unrecognized indirect call');
  }
  const pointer = entry.instr + 6 + boot.text.s32(entry.instr + 2);
  const target = readPointer(kernel, pointer);
  const destination = target === null ? known.bug : target;
  if (destination === undefined) return refuse('pv_ops', pointer, `${kernel.describe(pointer)} holds no function`);
  if (destination === known.nothing) return nop(6);
  original.set(callRel32(entry.instr, destination));
  original[5] = NOP;
  return original;
}

function applyOne61(boot: BootContext, entry: AltInstr): void {
  const { text } = boot;
  if (boot.caps.has(entry.cpuid) === entry.isNot) {
    optimizeNops61(text.view(entry.instr, entry.instrlen));
    return;
  }
  // The table before 6.4 may pad less than an inner alternative is long: bytes beyond it are written all the same.
  const length = Math.max(entry.instrlen, entry.replacementlen);
  const replaced = new Uint8Array(length).fill(NOP);
  replaced.set(text.view(entry.replacement, entry.replacementlen));
  const view = new DataView(replaced.buffer);
  if (entry.replacementlen === 5 && replaced[0] === CALL_INSN_OPCODE) {
    view.setInt32(1, view.getInt32(1, true) + entry.replacement - entry.instr, true);
  } else if (entry.replacementlen === 5 && (replaced[0] === 0xe9 || replaced[0] === 0xeb)) {
    recomputeJump61(replaced, view, entry);
  }
  text.write(entry.instr, replaced);
  optimizeNops61(text.view(entry.instr, entry.instrlen));
  boot.report.count('alternative');
}

/** recompute_jump of 6.1: two bytes where the destination is near. Its test for backward jumps never holds, and so it is here. */
function recomputeJump61(bytes: Uint8Array, view: DataView, entry: AltInstr): void {
  const distance = entry.replacement + 5 + view.getInt32(1, true) - entry.instr;
  if (distance >= 0 && distance - 2 <= 127) {
    bytes[0] = 0xeb;
    bytes[1] = distance - 2;
    addNops61(bytes, 2, 3);
    return;
  }
  bytes[0] = 0xe9;
  view.setInt32(1, distance - 5, true);
}
