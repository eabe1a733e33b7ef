/**
 * An ftrace callback that changes the stack: what the thread of October 2019 proposed as a second flag beside IPMODIFY, and Linux did not take.
 * Three pieces of code, so that a callback can emulate a call with the traced function's own arguments:
 *
 *   site:        call trampoline
 *   trampoline:  saves what a C function may clobber and nothing else, below that leaves room, calls the callback,
 *                gives the registers back, and goes on at frame.ip with the stack pointer frame.sp
 *   callback:    pushes frame.ip and puts the function's address there
 *   function:    runs as if the traced function's first instruction had called it, and returns there
 */
import { ENDBR64 } from '../../insn/index.ts';
import { emitReturn, type GeneratedCodeCpu } from '../x86/generated-code.ts';
import { R8, R9, R10, R11, RAX, RCX, RDI, RDX, type Register, RSI, RSP } from '../x86/registers.ts';
import { x86Emitter } from '../x86/x86-emitter.ts';

/** Bytes from the frame, whose address is the callback's fourth argument. No callee-saved register, no flags, no segments. */
export const STACK_FRAME = {
  rdi: 0,
  rsi: 8,
  rdx: 16,
  rcx: 24,
  r8: 32,
  r9: 40,
  /** %al: how many vector registers a variadic function is called with. */
  rax: 48,
  /** Where to go on: behind the site. */
  ip: 56,
  /** The stack pointer to go on with: it points to the traced function's return address. */
  sp: 64,
} as const;

/** Words that a callback may push: one where the site's call stood, eight in the room below it. */
export const STACK_PUSHES_MAX = 9;

/** As they are pushed: the last one lies at the frame's address. */
const SAVED: readonly Register[] = [RAX, R9, R8, RCX, RDX, RSI, RDI];
const WORD = 8;
const IP_AND_SP = 2 * WORD;
const ROOM = (STACK_PUSHES_MAX - 1) * WORD;
const FRAME_SIZE = SAVED.length * WORD + IP_AND_SP;
const CALL_SIZE = 5;

export interface StackTrampolineRequest {
  readonly at: number;
  /** Address of the struct ftrace_ops. */
  readonly ops: bigint;
  readonly callback: number;
  readonly cpu: GeneratedCodeCpu;
}

/** Flags are dead at a function's entry; %r10 and %r11 hold nothing there. */
export function generateStackTrampoline({ at, ops, callback, cpu }: StackTrampolineRequest): Uint8Array {
  const code = x86Emitter(at);
  // sub $imm8,%rsp
  code.raw(0x48, 0x83, 0xec, ROOM + IP_AND_SP);
  for (const reg of SAVED) code.push(reg);
  code.movReg(RCX, RSP);
  code.load(RDI, RCX, FRAME_SIZE + ROOM);
  code.store(RCX, STACK_FRAME.ip, RDI);
  code.lea(RAX, RCX, FRAME_SIZE + ROOM + WORD);
  code.store(RCX, STACK_FRAME.sp, RAX);
  code.load(RSI, RAX, 0);
  code.lea(RDI, RDI, -CALL_SIZE);
  code.movImm64(RDX, ops);
  code.call(callback);
  code.movReg(RAX, RSP);
  code.load(R10, RAX, STACK_FRAME.ip);
  code.load(R11, RAX, STACK_FRAME.sp);
  // Frame and new stack may overlap only in words that are read by now; the registers are read first all the same.
  for (const reg of [...SAVED].reverse()) code.pop(reg);
  code.store(R11, -WORD, R10);
  code.lea(RSP, R11, -WORD);
  emitReturn(code, cpu);
  return code.finish();
}

export interface StackCallbackRequest {
  readonly at: number;
  /** Address of the function whose call it emulates. */
  readonly callee: bigint;
  readonly cpu: GeneratedCodeCpu;
}

/** The callback of an ops that brings none (ftrace_func_t, with the frame above for its fourth argument). */
export function generateStackCallback({ at, callee, cpu }: StackCallbackRequest): Uint8Array {
  const code = x86Emitter(at);
  if (cpu.ibt) code.bytes(ENDBR64);
  code.load(RAX, RCX, STACK_FRAME.sp);
  code.lea(RAX, RAX, -WORD);
  code.store(RCX, STACK_FRAME.sp, RAX);
  code.load(RDX, RCX, STACK_FRAME.ip);
  code.store(RAX, 0, RDX);
  code.movImm64(RAX, callee);
  code.store(RCX, STACK_FRAME.ip, RAX);
  emitReturn(code, cpu);
  return code.finish();
}
