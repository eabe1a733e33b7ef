import { err, invariant, ok, type Result, toAddress } from '../../base/index.ts';
import {
  ASM_NOP_MAX,
  ASM_NOP_MAX_6_1,
  ENDBR_INSN_SIZE,
  ENDBR64,
  fitsS8,
  JMP32_INSN_SIZE,
  NOP5,
} from '../../insn/index.ts';
import { BPF_INSN_SAFETY, emitCallDepthAccounting, emitReturn, emitRsbCall } from '../x86/generated-code.ts';
import { ARGUMENT_REGISTERS, RAX, RBP, RBX, RDI, RDX, type Register, RSI, RSP } from '../x86/registers.ts';
import { type X86Emitter, x86Emitter } from '../x86/x86-emitter.ts';
import { layOutFrame, MAX_BPF_FUNC_ARGS, type TrampolineFrame } from './trampoline-frame.ts';
import {
  type BpfTrampolineRequest,
  type GeneratedTrampoline,
  programSymbols,
  type TrampolineProgram,
  trampolineSymbols,
} from './trampoline-request.ts';

const DECIDER_6_12 = '__arch_prepare_bpf_trampoline, arch/x86/net/bpf_jit_comp.c (6.12)';
const DECIDER_6_1 = 'arch_prepare_bpf_trampoline, arch/x86/net/bpf_jit_comp.c (6.1)';
const PAGE_SIZE = 4096;
const JNE = 0x85;

/** What the parts of one image share. */
interface Building {
  readonly request: BpfTrampolineRequest;
  readonly frame: TrampolineFrame;
  readonly code: X86Emitter;
}

const is6_1 = (request: BpfTrampolineRequest): boolean => request.layout === 'linux-6.1';

const argumentRegister = (index: number): Register => {
  const register = ARGUMENT_REGISTERS[index];
  invariant(register !== undefined, 'six argument registers');
  return register;
};

function symbol({ request }: Building, name: string): number {
  const offset = request.symbols[name];
  invariant(offset !== undefined, () => `${name} was checked to be there`);
  return offset;
}

/** Generates the image as 6.12 or 6.1 does. See generateBpfTrampoline for the faults. */
export function generateLinuxTrampoline(request: BpfTrampolineRequest): Result<GeneratedTrampoline> {
  const linux = is6_1(request) ? DECIDER_6_1 : DECIDER_6_12;
  const frame = layOutFrame(request.argSizes, request.flags, !is6_1(request));
  const limit = is6_1(request) ? ARGUMENT_REGISTERS.length : MAX_BPF_FUNC_ARGS;
  if (frame.argWords > limit) {
    const detail = `the function takes ${frame.argWords} argument words, a trampoline of this kernel carries ${limit}`;
    return err({ errno: 'ENOTSUPP', rule: 'bpf.trampoline.args', detail, linux });
  }
  const missing = trampolineSymbols(request).filter((name) => request.symbols[name] === undefined);
  if (missing.length > 0) {
    const detail = `the trampoline calls ${missing.join(', ')}, which this kernel does not have`;
    return err({ errno: 'ENOENT', rule: 'bpf.trampoline.symbols', detail, linux });
  }

  const code = x86Emitter(request.at, is6_1(request) ? ASM_NOP_MAX_6_1 : ASM_NOP_MAX);
  const marks = emitTrampoline({ request, frame, code });
  if (code.outOfReach.length > 0) {
    const detail = 'a function that the trampoline calls lies more than 2 GiB away';
    return err({ errno: 'EINVAL', rule: 'bpf.trampoline.range', detail, linux });
  }
  const bytes = code.finish();
  if (bytes.length > PAGE_SIZE - BPF_INSN_SAFETY) {
    const detail = `the trampoline would have ${bytes.length} bytes; ${PAGE_SIZE - BPF_INSN_SAFETY} fit`;
    return err({ errno: 'EFAULT', rule: 'bpf.trampoline.size', detail, linux });
  }
  const allocatedSize = is6_1(request) ? PAGE_SIZE : bytes.length + BPF_INSN_SAFETY;
  return ok({ bytes, allocatedSize, ...marks, contextBelowRbp: frame.regsOff, argWords: frame.argWords });
}

function emitTrampoline(building: Building): Pick<GeneratedTrampoline, 'ipAfterCall' | 'ipEpilogue'> {
  const { request, code } = building;
  const { flags } = request;
  const of = (kind: TrampolineProgram['kind']): readonly TrampolineProgram[] =>
    request.programs.filter((program) => program.kind === kind);
  const fmodRet = of('fmod_ret');

  emitPrologue(building);
  if (flags.callOrig) emitImageCall(building, '__bpf_tramp_enter');
  for (const program of of('fentry')) emitProgram(building, program, false);
  const branches = fmodRet.length > 0 ? emitFmodRet(building, fmodRet) : [];
  const ipAfterCall = flags.callOrig ? emitOriginalCall(building) : undefined;
  if (fmodRet.length > 0) {
    code.align(16);
    for (const branch of branches) {
      const displacement = new Uint8Array(6);
      displacement.set([0x0f, JNE]);
      new DataView(displacement.buffer).setInt32(2, code.length - (branch + 6), true);
      code.patch(branch, displacement);
    }
  }
  for (const program of of('fexit')) emitProgram(building, program, false);
  if (flags.restoreRegs) emitRestoreRegisters(building);
  const ipEpilogue = flags.callOrig ? code.length : undefined;
  if (flags.callOrig) emitImageCall(building, '__bpf_tramp_exit');
  else if (flags.tailCallCtx) emitLoadTailCallCount(building);
  emitEpilogue(building);
  return {
    ...(ipAfterCall === undefined ? {} : { ipAfterCall }),
    ...(ipEpilogue === undefined ? {} : { ipEpilogue }),
  };
}

function emitPrologue(building: Building): void {
  const { request, frame, code } = building;
  if (is6_1(request)) {
    if (request.cpu.ibt) code.bytes(ENDBR64);
  } else emitCallDepthAccounting(code, request.cpu);
  code.push(RBP);
  code.movReg(RBP, RSP);
  if (fitsS8(frame.stackSize)) code.raw(0x48, 0x83, 0xec, frame.stackSize);
  else {
    code.raw(0x48, 0x81, 0xec);
    code.imm32(frame.stackSize);
  }
  if (request.flags.tailCallCtx) code.push(RAX);
  if (frame.rbxOff === undefined) code.push(RBX);
  else code.store(RBP, -frame.rbxOff, RBX);

  code.movImm64(RAX, BigInt(frame.argWords));
  code.store(RBP, -frame.nregsOff, RAX);
  if (request.flags.ipArg) {
    code.movImm64(RAX, toAddress(request.base, request.function.entry));
    code.store(RBP, -frame.ipOff, RAX);
  }
  emitSaveArguments(building, frame.regsOff, false);
}

/**
 * Stores the argument words ascending from `-from(%rbp)` (save_args). With `stackOnly` only those that the caller passed on its stack,
 * which become the outgoing stack arguments of the original.
 */
function emitSaveArguments({ request, frame, code }: Building, from: number, stackOnly: boolean): void {
  let slot = from;
  let copied = 0;
  let firstCopied = 0;
  for (const { words, register } of frame.parameters) {
    if (register !== undefined && stackOnly) continue;
    for (let word = 0; word < words; word += 1) {
      if (register === undefined) {
        // Above %rbp: its saved value, our return address, that of the traced function's caller.
        code.load(RAX, RBP, copied * 8 + 24);
        code.store(RBP, -slot, RAX);
        if (copied === 0) firstCopied = slot;
        copied += 1;
      } else code.store(RBP, -slot, argumentRegister(register + word));
      slot -= 8;
    }
  }
  // A single small stack argument may have been written with four bytes: clear the other half (clean_stack_garbage).
  if (copied !== 1 || (request.argSizes.at(-1) ?? 8) > 4) return;
  const half = -(firstCopied - 4);
  if (fitsS8(half)) code.raw(0xc7, 0x45, half & 0xff);
  else {
    code.raw(0xc7, 0x85);
    code.imm32(half);
  }
  code.imm32(0);
}

/** Loads the argument registers again from their slots (restore_regs). */
function emitRestoreRegisters({ frame, code }: Building): void {
  let slot = frame.regsOff;
  let restored = 0;
  for (const { words, register } of frame.parameters) {
    for (let word = 0; register !== undefined && word < words; word += 1)
      code.load(argumentRegister(register + word), RBP, -(slot - word * 8));
    slot -= words * 8;
    restored += register === undefined ? 0 : words;
    if (restored >= ARGUMENT_REGISTERS.length) return;
  }
}

function emitImageCall(building: Building, name: '__bpf_tramp_enter' | '__bpf_tramp_exit'): void {
  building.code.movImm64(RDI, building.request.image);
  emitCall(building, symbol(building, name));
}

/** 6.1 knows no call depth. */
function emitCall({ request, code }: Building, target: number): void {
  if (is6_1(request)) code.call(target);
  else emitRsbCall(code, request.cpu, target);
}

/** One program between its enter and exit functions (invoke_bpf_prog): enter answering 0 skips the program, exit runs all the same. */
function emitProgram(building: Building, program: TrampolineProgram, savesResult: boolean): void {
  const { frame, code } = building;
  const { enter, exit } = programSymbols(program);
  code.movImm64(RDI, program.cookie);
  code.store(RBP, -frame.runCtxOff, RDI);
  code.movImm64(RDI, program.prog);
  code.lea(RSI, RBP, -frame.runCtxOff);
  emitCall(building, symbol(building, enter));
  code.movReg(RBX, RAX);
  code.raw(0x48, 0x85, 0xc0);
  const skip = code.length;
  code.nops(2);
  code.lea(RDI, RBP, -frame.regsOff);
  emitCall(building, program.entry);
  if (savesResult) code.store(RBP, -8, RAX);
  code.patch(skip, [0x74, code.length - skip - 2]);
  code.movImm64(RDI, program.prog);
  code.movReg(RSI, RBX);
  code.lea(RDX, RBP, -frame.runCtxOff);
  emitCall(building, symbol(building, exit));
}

/** fmod_ret programs (invoke_bpf_mod_ret); where their branches to fexit stand, as six bytes of NOP to be filled in. */
function emitFmodRet(building: Building, programs: readonly TrampolineProgram[]): readonly number[] {
  const { code } = building;
  code.movImm64(RAX, 0n);
  code.store(RBP, -8, RAX);
  return programs.map((program) => {
    emitProgram(building, program, true);
    code.raw(0x48, 0x83, 0x7d, 0xf8, 0x00);
    const branch = code.length;
    code.nops(6);
    return branch;
  });
}

/** mov -round_up(stackSize, 8) - 8(%rbp),%rax, always with four bytes of displacement. */
function emitLoadTailCallCount({ frame, code }: Building): void {
  code.raw(0x48, 0x8b, 0x85);
  code.imm32(-frame.stackSize - 8);
}

/** Calls the original function; where the NOP5 behind it stands. */
function emitOriginalCall(building: Building): number {
  const { request, frame, code } = building;
  const { flags } = request;
  emitRestoreRegisters(building);
  emitSaveArguments(building, frame.argStackOff, true);
  if (flags.tailCallCtx) emitLoadTailCallCount(building);
  if (flags.origStack) {
    // The return address of the patched site: what ftrace and livepatch left there decides where the function goes on.
    code.load(RBX, RBP, 8);
    code.raw(0xff, 0xd3);
  } else {
    const { entry, startsWithEndbr } = request.function;
    const body = entry + (flags.skipFrame ? (startsWithEndbr ? ENDBR_INSN_SIZE : 0) + JMP32_INSN_SIZE : 0);
    emitCall(building, body);
  }
  code.store(RBP, -8, RAX);
  const ipAfterCall = code.length;
  code.bytes(NOP5);
  return ipAfterCall;
}

function emitEpilogue({ request, frame, code }: Building): void {
  if (request.flags.callOrig) code.load(RAX, RBP, -8);
  if (frame.rbxOff === undefined) code.pop(RBX);
  else code.load(RBX, RBP, -frame.rbxOff);
  code.raw(0xc9);
  if (request.flags.skipFrame) code.raw(0x48, 0x83, 0xc4, 0x08);
  emitReturn(code, request.cpu);
}
