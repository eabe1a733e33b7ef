import { invariant } from '../../base/index.ts';
import { ENDBR_INSN_SIZE } from '../../insn/index.ts';
import type { CodeBuffer } from './code-buffer.ts';
import type { IndirectJump, TailCallLayout } from './compile-request.ts';
import { type FunctionFrame, MAX_TAIL_CALL_CNT, putAddRsp, putLoadTailCallCount, putPops } from './frame.ts';

/** Bytes of a program's prologue that a tail call leaves out (X86_TAIL_CALL_OFFSET, 6.12), without the ENDBR. */
const TAIL_CALL_OFFSET = 12;
const JBE = 0x76;
const JAE = 0x73;
const JE = 0x74;

/**
 * emit_bpf_tail_call_indirect (6.12): R1 the context, R2 the array, R3 the index.
 *
 * 1. An index beyond the array, a count of 33, an empty slot: go on behind the call.
 * 2. Count it; give back the registers and the stack.
 * 3. Jump behind the prologue of the program.
 *
 * @param jumpThrough writes the indirect jump's distance to a thunk
 */
export function putTailCall(
  b: CodeBuffer,
  frame: FunctionFrame,
  layout: TailCallLayout,
  cpu: { readonly ibt: boolean; readonly indirectJump: IndirectJump },
  jumpThrough: (thunk: number) => void,
): void {
  b.reserve(128);
  const outs: number[] = [];
  const outIf = (condition: number): void => {
    b.put2(condition, 0);
    outs.push(b.length);
  };
  b.put2(0x89, 0xd2);
  b.put3(0x39, 0x56, layout.maxEntries);
  outIf(JBE);
  putLoadTailCallCount(b, frame);
  b.put4(0x48, 0x83, 0x38, MAX_TAIL_CALL_CNT);
  outIf(JAE);
  b.put4(0x48, 0x8b, 0x8c, 0xd6);
  b.put32(layout.ptrs);
  b.put3(0x48, 0x85, 0xc9);
  outIf(JE);
  b.put4(0x48, 0x83, 0x00, 0x01);
  putPops(b, frame);
  b.put2(0x58, 0x58);
  if (frame.stackDepth > 0) putAddRsp(b, 0xc4, frame.stackDepth);
  b.put4(0x48, 0x8b, 0x49, layout.bpfFunc);
  b.put4(0x48, 0x83, 0xc1, TAIL_CALL_OFFSET + (cpu.ibt ? ENDBR_INSN_SIZE : 0));
  putIndirectJump(b, cpu.indirectJump, jumpThrough);
  for (const out of outs) {
    const distance = b.length - out;
    invariant(distance <= 127, 'a tail call is shorter than a short jump');
    b.bytes[out - 1] = distance;
  }
}

/** `jmp *%rcx`, as the mitigations want it. */
function putIndirectJump(b: CodeBuffer, jump: IndirectJump, jumpThrough: (thunk: number) => void): void {
  if (jump.kind === 'thunk') {
    jumpThrough(jump.rcx);
    return;
  }
  if (jump.kind === 'lfence') b.put3(0x0f, 0xae, 0xe8);
  b.put2(0xff, 0xe1);
  if (jump.kind === 'plain' && jump.hasInt3) b.put1(0xcc);
}
