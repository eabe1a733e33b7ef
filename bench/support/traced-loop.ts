/** A function of two arguments, called a million times, with each kind of trampoline in front: machine code for the real CPU. */
import { type KernelAddress, type Result, toAddress } from '../../src/base/index.ts';
import { callRel32, NOP5 } from '../../src/insn/index.ts';
import {
  assembleBpf,
  generateBpfTrampoline,
  isDirectLayout,
  jitBpf,
  jitBpfForFunction,
  prepareRawBpf,
  type TrampolineLayout,
  trampolineFlags,
} from '../../src/jit/index.ts';
import { ARGUMENT_REGISTERS, RAX, RBP, RBX, RDI, type Register, RSI, RSP } from '../../src/jit/x86/registers.ts';
import { type X86Emitter, x86Emitter } from '../../src/jit/x86/x86-emitter.ts';
import { NATIVE_JIT_CPU } from '../../test/support/native/native-cpu.ts';

/** `none`: no trampoline; `full save`: every register and the flags, as ftrace_regs_caller saves them for a callback. */
export type Traced = TrampolineLayout | 'none' | 'full save';

const [ENTER, EXIT, FUNCTION, LOOP, TRAMPOLINE, PROGRAM] = [0, 0x40, 0x80, 0x100, 0x200, 0x800];
export const LOOP_CODE_SIZE = 0x1000;
const ARGS = 2;
/** Places in a struct pt_regs, 168 bytes. */
const PT_REGS_SIZE = 0xa8;
const PT_REGS: readonly (readonly [Register, number])[] = [
  [15, 0],
  [14, 8],
  [13, 16],
  [12, 24],
  [RBP, 32],
  [RBX, 40],
  [11, 48],
  [10, 56],
  [9, 64],
  [8, 72],
  [RAX, 80],
  [1, 88],
  [2, 96],
  [RSI, 104],
  [RDI, 112],
];
const FLAGS_BELOW = PT_REGS_SIZE + 8;

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.fault.detail);
  return result.value;
}

const piece = (at: number, emit: (code: X86Emitter) => void): readonly [number, Uint8Array] => {
  const code = x86Emitter(at);
  emit(code);
  return [at, code.finish()];
};

/** The registers of the traced function into a pt_regs, a pointer to it to the callback, and everything back. */
const fullSave = (code: X86Emitter): void => {
  code.push(RBP);
  code.movReg(RBP, RSP);
  code.raw(0x48, 0x81, 0xec);
  code.imm32(PT_REGS_SIZE);
  // pushfq
  code.raw(0x9c);
  for (const [register, at] of PT_REGS) code.store(RBP, at - PT_REGS_SIZE, register);
  code.lea(RDI, RBP, -PT_REGS_SIZE);
  code.call(PROGRAM);
  for (const [register, at] of PT_REGS) if (register !== RBP) code.load(register, RBP, at - PT_REGS_SIZE);
  // popfq, from where it was pushed
  code.lea(RSP, RBP, -FLAGS_BELOW);
  code.raw(0x9d, 0xc9, 0xc3);
};

/** Adds the two arguments and stores the sum. */
function programBytes(traced: Traced, base: KernelAddress, data: bigint): Uint8Array {
  const [first, second] = traced === 'full save' ? [112, 104] : traced === 'seed' ? [8, 0] : [0, 8];
  const source = `ldxdw %r2, [%r1+${first}]\nldxdw %r3, [%r1+${second}]\nadd %r2, %r3\nlddw %r4, 0x${data.toString(16)}\nstxdw [%r4], %r2\nmov %r0, 0\nexit`;
  const prepared = value(prepareRawBpf(value(assembleBpf(source))));
  const request = { at: PROGRAM, base, cpu: NATIVE_JIT_CPU, helper: () => undefined };
  if (traced !== 'none' && traced !== 'full save' && isDirectLayout(traced))
    return value(jitBpfForFunction(prepared, { layout: traced, argSizes: [8, 8] }, request)).bytes;
  return value(jitBpf(prepared, request)).bytes;
}

function trampolineOf(traced: Exclude<Traced, 'none' | 'full save'>, base: KernelAddress, data: bigint): Uint8Array {
  const programs = [
    { kind: 'fentry', entry: PROGRAM, prog: data, cookie: 0n, sleepable: false, recursionChecked: true },
  ] as const;
  const flags = trampolineFlags({ programs, callsGetFuncIp: false, sharesIpmodify: false, tailCallCtx: false });
  const symbols = { __bpf_prog_enter_recur: ENTER, __bpf_prog_exit_recur: EXIT };
  return value(
    generateBpfTrampoline({
      layout: traced,
      at: TRAMPOLINE,
      base,
      function: { entry: FUNCTION, startsWithEndbr: true },
      argSizes: Array.from({ length: ARGS }, () => 8),
      programs,
      flags,
      image: data,
      symbols,
      cpu: NATIVE_JIT_CPU,
    }),
  ).bytes;
}

/** loop(rdi = how often): calls the function with 11 and 22. */
const loop = (code: X86Emitter): void => {
  code.push(RBX);
  code.movReg(RBX, RDI);
  const again = code.here;
  code.movImm64(ARGUMENT_REGISTERS[0] as Register, 11n);
  code.movImm64(ARGUMENT_REGISTERS[1] as Register, 22n);
  code.call(FUNCTION);
  // dec %rbx; jne
  code.raw(0x48, 0xff, 0xcb, 0x75, again - code.here - 5);
  code.pop(RBX);
  code.raw(0xc3);
};

export function tracedLoop(traced: Traced, base: KernelAddress, data: bigint): Uint8Array {
  const out = new Uint8Array(LOOP_CODE_SIZE).fill(0xcc);
  const pieces = [
    // __bpf_prog_enter and __bpf_prog_exit do nothing here: what is timed is the trampoline.
    piece(ENTER, (code) => code.raw(0xb8, 1, 0, 0, 0, 0xc3)),
    piece(EXIT, (code) => code.raw(0xc3)),
    piece(FUNCTION, (code) => {
      code.raw(0xf3, 0x0f, 0x1e, 0xfa);
      code.bytes(traced === 'none' ? NOP5 : callRel32(code.here, TRAMPOLINE));
      // lea (%rdi,%rsi,1),%rax; ret
      code.raw(0x48, 0x8d, 0x04, 0x37, 0xc3);
    }),
    piece(LOOP, loop),
    ...(traced === 'none' ? [] : [[PROGRAM, programBytes(traced, base, data)] as const]),
    ...(traced === 'full save' ? [piece(TRAMPOLINE, fullSave)] : []),
    ...(traced === 'none' || traced === 'full save' ? [] : [[TRAMPOLINE, trampolineOf(traced, base, data)] as const]),
  ];
  for (const [at, bytes] of pieces) out.set(bytes, at);
  return out;
}

export const loopAddress = (base: KernelAddress): bigint => toAddress(base, LOOP);
