import { err, ok, type Result } from '../../base/index.ts';
import type { Draft } from './compile.ts';
import type { CompiledBpf, CompiledFunction } from './compile-request.ts';
import { relaxJumps } from './relax.ts';

/** Below this many bytes a loop copies faster than a call. */
const COPY_BY_LOOP_MAX = 48;

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > COPY_BY_LOOP_MAX) to.set(from.subarray(start, end), at);
  else for (let index = start, out = at; index < end; index++, out++) to[out] = from[index] as number;
}

/** Puts the code and its jumps together and writes the links. Steps 2 and 3 of compileBpf. */
export function placeCode(draft: Draft): Result<CompiledBpf> {
  const { b, request, slotAt, slotJumps } = draft;
  const count = draft.jumps;
  const jumps = { count, at: draft.jumpAt, to: draft.jumpTo, condition: draft.jumpCondition };
  const before = relaxJumps(jumps, { at: slotAt, jumpsBefore: slotJumps });
  const slotStarts = new Int32Array(request.code.length);
  for (let slot = 0; slot < slotStarts.length; slot++)
    slotStarts[slot] = (slotAt[slot] as number) + (before[slotJumps[slot] as number] as number);

  const bytes = new Uint8Array(b.length + (before[count] as number));
  writeJumps(draft, before, slotStarts, bytes);
  const starts = draft.functionAt.map((at, index) => at + (before[draft.functionJumps[index] as number] as number));
  const functions = request.functions.map(
    (slots, index): CompiledFunction => ({
      slots,
      start: starts[index] as number,
      end: starts[index + 1] ?? bytes.length,
    }),
  );
  const startOf = new Map(functions.map(({ slots, start }) => [slots.start, start]));
  const outOfReach = draft.links.resolve({
    bytes,
    at: request.at,
    base: Number(BigInt.asIntN(32, request.base)),
    jumpBytesBefore: before,
    functionStart: (slot) => startOf.get(slot) as number,
  });
  if (outOfReach !== undefined) {
    const detail = 'a function that the program calls lies more than 2 GiB away';
    return err({
      errno: 'ERANGE',
      rule: 'bpf.jit.range',
      detail,
      linux: 'emit_patch, arch/x86/net/bpf_jit_comp.c (6.12)',
    });
  }
  const extable = draft.probes.map(([load, end, jumpsBefore, clears]) => {
    const moved = before[jumpsBefore] as number;
    return { at: load + moved, resumeAt: end + moved, clears };
  });
  return ok({ bytes, functions, slotStarts, extable });
}

function writeJumps(draft: Draft, before: Int32Array, slotStarts: Int32Array, bytes: Uint8Array): void {
  const { b, jumpAt, jumpTo, jumpCondition } = draft;
  let copied = 0;
  for (let jump = 0; jump < draft.jumps; jump++) {
    const at = jumpAt[jump] as number;
    const start = before[jump] as number;
    const end = before[jump + 1] as number;
    copy(b.bytes, copied, at, bytes, copied + start);
    copied = at;
    const distance = (slotStarts[jumpTo[jump] as number] as number) - (at + end);
    let out = at + start;
    const condition = jumpCondition[jump] as number;
    if (end - start === 2) {
      bytes[out] = condition === 0 ? 0xeb : condition;
      bytes[out + 1] = distance;
    } else if (end - start > 2) {
      if (condition !== 0) bytes[out++] = 0x0f;
      bytes[out++] = condition === 0 ? 0xe9 : condition + 0x10;
      bytes[out] = distance;
      bytes[out + 1] = distance >> 8;
      bytes[out + 2] = distance >> 16;
      bytes[out + 3] = distance >> 24;
    }
  }
  copy(b.bytes, copied, b.length, bytes, copied + (before[draft.jumps] as number));
}
