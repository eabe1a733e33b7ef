/**
 * A breakpoint, in the order in which Linux asks who wants it: poke handler, kgdb, kprobes, oops.
 * Source: arch/x86/kernel/traps.c exc_int3, do_int3; arch/x86/kernel/kprobes/core.c kprobe_int3_handler, reenter_kprobe, setup_singlestep,
 * resume_singlestep, kprobe_post_process, and the emulations; opt.c setup_detour_execution (6.1, 6.12).
 */
import { JMP32_INSN_OPCODE, type KprobeEmulation, prepareKprobeInsn } from '../../insn/index.ts';
import type { RuntimeKprobe } from '../../registry/index.ts';
import { jccTaken, type PokeVector, pokeInt3Handler } from '../../textpoke/index.ts';
import type { Execution, Handler } from '../execution.ts';
import { PT_REGS, PT_REGS_SIZE } from '../layout.ts';
import { missAll, preHandlers } from './kprobe-ftrace.ts';

const IF = 0x200n;
const ZF = 0x40n;
const INT3_SIZE = 1n;
const SLOT_MAX = 15;
/** __KERNEL_CS, __KERNEL_DS. */
const KERNEL_CS = 0x10n;
const KERNEL_SS = 0x18n;
const MINUS_ONE = 0xffff_ffff_ffff_ffffn;
/** Six words, so that a call can be emulated. */
const GAP = 48n;

/** Registers by their number in an encoding. */
const BY_NUMBER = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
] as const;

/** What came of an int3: execution goes on, handlers have programs to call first, the debugger stops the machine, or nobody wanted it. */
export type Int3Result = 'handled' | Handler | 'kgdb' | 'oops';

/** %rip is one past the int3. */
export function int3(x: Execution, vector: PokeVector): Int3Result {
  const ip = x.guest.get('rip');
  if (pokeHandler(x, vector, ip)) {
    x.pokeTraps += 1;
    return 'handled';
  }
  const at = x.index.offset(ip - INT3_SIZE);
  if (x.steppedBreakpoint !== at && x.index.breakpointAt(at) !== undefined) return 'kgdb';
  return kprobeInt3(x, at);
}

/** poke_int3_handler plays the new instruction of a poke under way. */
function pokeHandler(x: Execution, vector: PokeVector, ip: bigint): boolean {
  const { guest, index } = x;
  const answer = pokeInt3Handler(vector, index.offset(ip));
  switch (answer.kind) {
    case 'not-ours':
    case 'not-consumed':
      return false;
    case 'ret':
      guest.set('rip', guest.pop());
      return true;
    case 'call':
      guest.push(index.address(answer.returnTo));
      guest.set('rip', index.address(answer.target));
      return true;
    case 'jmp':
      guest.set('rip', index.address(answer.target));
      return true;
    case 'jcc':
      guest.set('rip', index.address(jccTaken(answer.condition, Number(guest.flags)) ? answer.target : answer.next));
      return true;
  }
}

/**
 * kprobe_int3_handler:
 *   1. A probe at this address while another is being handled: counted as missed, stepped over.
 *   2. A probe: its pre_handlers, then its instruction is emulated or stepped over in the slot.
 *   3. No probe, but the int3 behind a slot's copy: the step is done.
 */
function kprobeInt3(x: Execution, at: number): Int3Result {
  const probe = x.index.kprobeAt(at);
  if (probe !== undefined && !probe.isFtrace) {
    if (x.kprobe === undefined) return handleProbe(x, probe);
    missAll(x, probe, 'recursion');
    stepOver(x, probe);
    return 'handled';
  }
  const { kprobe } = x;
  if (kprobe?.slot === undefined || at <= kprobe.slot || at > kprobe.slot + SLOT_MAX) return 'oops';
  // resume_singlestep: as far behind the probed address as the step came in the slot, and the interrupt flag as it was.
  x.guest.set('rip', x.index.address(kprobe.addr + (at - kprobe.slot)));
  x.guest.flags |= kprobe.savedIf;
  x.kprobe = kprobe.previous;
  return 'handled';
}

/** Pre_handlers, then the step. Programs among them run on the stack below the trapped registers. */
function handleProbe(x: Execution, probe: RuntimeKprobe): Int3Result {
  const frame = x.guest.get('rsp');
  if (probe.children.some(({ program, isDisabled }) => program !== undefined && !isDisabled))
    return withPrograms(x, probe);
  // Nobody has a function to call.
  preHandlers(x, probe, { regs: 0n, frame, args: [] }).next();
  stepOver(x, probe);
  return 'handled';
}

/**
 * asm_exc_int3, as far as programs see it:
 *   1. The CPU aligns %rsp and pushes ss, rsp, flags, cs, rip; -1 for orig_ax and a gap of six words follow, and the other registers.
 *   2. Handlers run below that.
 *   3. All registers are as they were (programs cannot write their context), and the step begins. Its %rip goes by the stack, since that is how
 *      played functions are left.
 */
function* withPrograms(x: Execution, probe: RuntimeKprobe): Handler {
  const { guest } = x;
  const flags = guest.flags;
  const saved = BY_NUMBER.map((name) => [name, guest.get(name)] as const);
  const frame = guest.get('rsp');
  const regs = (frame & ~15n) - GAP - PT_REGS_SIZE;
  for (const [name, value] of saved) guest.write64(regs + BigInt(PT_REGS[name]), value);
  const rest = { origRax: MINUS_ONE, rip: guest.get('rip'), cs: KERNEL_CS, flags, ss: KERNEL_SS } as const;
  for (const [name, value] of Object.entries(rest))
    guest.write64(regs + BigInt(PT_REGS[name as keyof typeof rest]), value);
  guest.set('rsp', regs & ~15n);
  guest.flags = flags & ~IF;
  yield* preHandlers(x, probe, { regs, frame, args: [] });
  for (const [name, value] of saved) guest.set(name, value);
  guest.flags = flags;
  stepOver(x, probe);
  guest.push(guest.get('rip'));
  return undefined;
}

/**
 * setup_singlestep:
 *   1. Marked optimized: on with the displaced instructions in the detour (setup_detour_execution).
 *   2. Boosted: the slot's copy, behind which it jumps back. Nothing is left to be done afterwards.
 *   3. Emulated, or
 *   4. the slot's copy without interrupts, to the int3 behind it.
 */
function stepOver(x: Execution, probe: RuntimeKprobe): void {
  const { guest, index } = x;
  const slot = probe.slot ?? 0;
  if (probe.optimized?.isOptimized === true) {
    guest.set('rip', index.address(probe.optimized.displaced));
    return;
  }
  const prepared = prepareKprobeInsn(probe.insn, probe.addr, slot, { rules: index.runtime.insnRules });
  if (prepared.kind !== 'refused' && isBoosted(x, slot + prepared.insn.length)) {
    guest.set('rip', index.address(slot));
    return;
  }
  if (prepared.kind === 'emulate') {
    emulate(x, prepared.how, index.address(probe.addr + prepared.insn.length));
    return;
  }
  x.kprobe = { addr: probe.addr, slot, savedIf: guest.flags & IF, previous: x.kprobe };
  guest.flags &= ~IF;
  guest.set('rip', index.address(slot));
}

/** ainsn.boostable: a jump is behind the copy, and no int3. */
const isBoosted = (x: Execution, behind: number): boolean =>
  x.guest.space.peek(x.index.address(behind), 1)?.[0] === JMP32_INSN_OPCODE;

/** The instruction as Linux plays it; `next` is the address behind it. */
function emulate(x: Execution, how: KprobeEmulation, next: bigint): void {
  const { guest } = x;
  const jump = (rel32: number): void => guest.set('rip', BigInt.asUintN(64, next + BigInt(rel32)));
  guest.set('rip', next);
  switch (how.op) {
    case 'ifmodifier':
      if (how.opcode === 0xfa) guest.flags &= ~IF;
      else if (how.opcode === 0xfb) guest.flags |= IF;
      else if (how.opcode === 0x9c) guest.push(guest.flags);
      else guest.flags = guest.pop();
      return;
    case 'ret':
      guest.set('rip', guest.pop());
      return;
    case 'call':
      guest.push(next);
      jump(how.rel32);
      return;
    case 'jmp':
      jump(how.rel32);
      return;
    case 'jcc':
      if (jccTaken(how.condition, Number(guest.flags))) jump(how.rel32);
      return;
    case 'loop':
      emulateLoop(x, how, jump);
      return;
    case 'call-indirect': {
      const target = guest.get(BY_NUMBER[how.register] ?? 'rax');
      guest.push(next);
      guest.set('rip', target);
      return;
    }
    case 'jmp-indirect':
      guest.set('rip', guest.get(BY_NUMBER[how.register] ?? 'rax'));
  }
}

/** kprobe_emulate_loop: compares before it decrements, unlike the instruction. */
function emulateLoop(x: Execution, how: Extract<KprobeEmulation, { op: 'loop' }>, jump: (rel32: number) => void): void {
  const { guest } = x;
  const mask = how.addressBits === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  const count = guest.get('rcx') & mask;
  const isZero = (guest.flags & ZF) !== 0n;
  const isTaken = how.loop === 3 ? count === 0n : count !== 0n && (how.loop === 2 || isZero === (how.loop === 1));
  if (how.loop !== 3) guest.set('rcx', (guest.get('rcx') & ~mask) | ((count - 1n) & mask));
  if (isTaken) jump(how.rel32);
}
