import { err, type Fault, type Result } from '../../base/index.ts';
import { type BpfFunction, type Insn, ISA, jumpTarget } from '../bpf/index.ts';
import { RAX } from '../x86/registers.ts';
import type { CompiledBpf, CompileRequest } from './compile-request.ts';
import { Draft } from './draft.ts';
import type { Emit } from './emit-alu.ts';
import { putProbeLoad } from './emit-memory.ts';
import { EXIT, emittersFor, JA, SIMPLE, TREATMENT } from './emitters.ts';
import { type FunctionFrame, framesOf, putLoadTailCallCount, putPops, putPrologue } from './frame.ts';
import { placeCode } from './place-code.ts';
import { putRun } from './put-run.ts';
import { putTailCall } from './tail-call.ts';
import { modRmOne, putMov64, putMovImm64, X86_REGISTER } from './x86.ts';

const DO_JIT = 'do_jit, arch/x86/net/bpf_jit_comp.c (6.12)';
/** More than any instruction takes (BPF_MAX_INSN_SIZE). */
const INSN_BYTES_MAX = 128;

/**
 * Machine code for a program, for the place where it will live. Pure. Instructions take the encodings that the kernel's JIT chooses, so that a
 * program that its verifier has seen comes out byte for byte as there.
 *
 * 1. Go through the program once and write everything but jumps.
 * 2. Give every jump its shortest size.
 * 3. Put code and jumps together, and write what depends on where they came to stand.
 *
 * Faults: EINVAL a call without a target, an immediate that was not resolved; ERANGE a call that does not reach (±2 GiB).
 */
export function compileBpf(request: CompileRequest): Result<CompiledBpf> {
  const draft = new Draft(request);
  const frames = framesOf(request);
  for (let index = 0; index < frames.length; index++) {
    const problem = writeFunction(draft, index, frames[index] as FunctionFrame);
    if (problem !== undefined) return err(problem);
  }
  return placeCode(draft);
}

const fault = (index: number, rule: string, detail: string): Fault => ({
  errno: 'EINVAL',
  rule,
  detail: `instruction ${index}: ${detail}`,
  linux: DO_JIT,
  index,
});

function writeFunction(draft: Draft, index: number, frame: FunctionFrame): Fault | undefined {
  const { b, request, code, slotAt, slotJumps } = draft;
  const { start, end } = draft.functions[index] as BpfFunction;
  const emitters = emittersFor(request.cpu.bmi2, request.keepsR11 ?? false);
  let exit = -1;
  draft.functionAt[index] = b.length;
  draft.functionJumps[index] = draft.jumps;
  putPrologue(b, frame, request.cpu.ibt);
  for (let slot = putRun(draft, start, end); slot < end; slot = putRun(draft, slot + 1, end)) {
    slotAt[slot] = b.length;
    slotJumps[slot] = draft.jumps;
    b.reserve(INSN_BYTES_MAX);
    const insn = code.insn[slot] as number;
    const treatment = TREATMENT[insn] as number;
    if (treatment === SIMPLE) {
      const dst = X86_REGISTER[code.dst[slot] as number] as number;
      const src = X86_REGISTER[code.src[slot] as number] as number;
      (emitters[insn] as Emit)(b, dst, src, code.off[slot] as number, code.imm[slot] as number);
    } else if (treatment === JA) draft.addJump(0, jumpTarget(code, slot) as number);
    else if (treatment === EXIT && exit >= 0) draft.addJump(0, exit);
    else if (treatment === EXIT) {
      exit = slot;
      writeEpilogue(draft, frame);
    } else {
      const { meaning } = ISA[insn] as Insn;
      const problem = writeOther(draft, slot, meaning, frame);
      if (problem !== undefined) return problem;
      if (meaning.kind === 'ld-imm64') {
        slot += 1;
        slotAt[slot] = b.length;
        slotJumps[slot] = draft.jumps;
      }
    }
  }
  return undefined;
}

function writeEpilogue(draft: Draft, frame: FunctionFrame): void {
  const { b, request } = draft;
  putPops(b, frame);
  b.put1(0xc9);
  if (request.cpu.returnThunk !== undefined) {
    b.put1(0xe9);
    draft.putLink('place', request.cpu.returnThunk);
    return;
  }
  b.put1(0xc3);
  if (request.cpu.sls) b.put1(0xcc);
}

type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };

function writeOther(draft: Draft, slot: number, meaning: Insn['meaning'], frame: FunctionFrame): Fault | undefined {
  const { b, request } = draft;
  const { code } = request;
  switch (meaning.kind) {
    case 'ld-imm64':
      return writeImmediate(draft, slot, meaning);
    case 'call':
      return writeCall(draft, slot, meaning, frame);
    case 'load': {
      const dst = X86_REGISTER[code.dst[slot] as number] as number;
      const src = X86_REGISTER[code.src[slot] as number] as number;
      const load = putProbeLoad(b, meaning, dst, src, code.off[slot] as number);
      draft.probes.push({ at: load, end: b.length, jumpsBefore: draft.jumps, register: dst });
      return undefined;
    }
    case 'tail-call': {
      const { tailCall, cpu } = request;
      if (tailCall === undefined)
        return fault(slot, 'bpf.jit.no-tail-call', 'this kernel has no layout for tail calls');
      putTailCall(b, frame, tailCall, cpu, (thunk) => {
        b.put1(0xe9);
        draft.putLink('place', thunk);
      });
      return undefined;
    }
    default:
      return fault(slot, 'bpf.insn.unknown', 'the compiler does not know this instruction');
  }
}

function writeImmediate(draft: Draft, slot: number, { is }: Of<'ld-imm64'>): Fault | undefined {
  const { b, request } = draft;
  const { code } = request;
  const dst = X86_REGISTER[code.dst[slot] as number] as number;
  if (is === 'number') {
    putMovImm64(b, dst, code.imm[slot + 1] as number, code.imm[slot] as number);
    return undefined;
  }
  if (is !== 'function')
    return fault(slot, 'bpf.jit.unresolved', `a 64-bit immediate (${is}) was not resolved before compiling`);
  b.put3(0x48 | (dst >> 3), 0xc7, modRmOne(0xc0, dst));
  draft.putLink('slot-address', slot + 1 + (code.imm[slot] as number));
  return undefined;
}

function writeCall(draft: Draft, slot: number, { callee }: Of<'call'>, frame: FunctionFrame): Fault | undefined {
  const { b, request } = draft;
  const { code, cpu } = request;
  const imm = code.imm[slot] as number;
  if (callee === 'kfunc')
    return fault(slot, 'bpf.jit.unresolved', 'a call of a kernel function was not resolved before compiling');
  const target = callee === 'function' ? slot + 1 + imm : callee === 'helper' ? request.helper(imm) : request.callx;
  if (target === undefined) {
    const what = callee === 'helper' ? `there is no helper ${imm}` : 'a call by register has nothing to go through';
    return fault(slot, 'bpf.helper.unknown', what);
  }
  if (callee === 'register') putMov64(b, RAX, X86_REGISTER[code.dst[slot] as number] as number);
  else if (frame.isTailCallReachable) putLoadTailCallCount(b, frame);
  if (cpu.callDepth !== undefined) {
    b.put4(0x65, 0x48, 0xc1, 0x3d);
    draft.putLink('place-1', cpu.callDepth);
    b.put1(0x05);
  }
  b.put1(0xe8);
  draft.putLink(callee === 'function' ? 'slot' : 'place', target);
  return undefined;
}
