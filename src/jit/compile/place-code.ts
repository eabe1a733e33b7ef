import { err, type Fault, ok, type Result } from '../../base/index.ts';
import type { BpfFunction } from '../bpf/index.ts';
import type { CompiledBpf, CompiledFunction } from './compile-request.ts';
import type { Draft } from './draft.ts';
import { relaxJumps } from './relax.ts';

/** What {@link copy} may write behind the last byte. */
const SLACK = 3;

/** Copies bytes [start, end) of `from` to `at`, four at a time; up to three behind them are written, too, and written again later. */
function copy(from: DataView, start: number, end: number, to: DataView, at: number): void {
  for (let index = start, out = at; index < end; index += 4, out += 4)
    to.setInt32(out, from.getInt32(index, true), true);
}

/** Puts the code and its jumps together and writes the links. Steps 2 and 3 of compileBpf. */
export function placeCode(draft: Draft): Result<CompiledBpf> {
  const { b, slotAt, slotJumps } = draft;
  const before = relaxJumps(draft);
  const slotStarts = new Int32Array(slotAt.length);
  for (let slot = 0; slot < slotStarts.length; slot++)
    slotStarts[slot] = (slotAt[slot] as number) + (before[slotJumps[slot] as number] as number);
  const length = b.length + (before[draft.jumps] as number);
  const image = new ArrayBuffer(length + SLACK);
  writePieces(draft, before, slotStarts, new DataView(image));
  const bytes = new Uint8Array(image, 0, length);
  const functions = placeFunctions(draft, before, bytes.length);
  const starts = new Map<number, number>();
  for (const { slots, start } of functions) starts.set(slots.start, start);
  if (draft.links.resolve(bytes, before, draft.base, draft.at, starts) !== undefined) return err(OUT_OF_REACH);
  const extable = draft.probes.map(({ at, end, jumpsBefore, register }) => {
    const moved = before[jumpsBefore] as number;
    return { at: at + moved, resumeAt: end + moved, clears: register };
  });
  return ok({ bytes, functions, slotStarts, extable });
}

const OUT_OF_REACH: Fault = {
  errno: 'ERANGE',
  rule: 'bpf.jit.range',
  detail: 'a function that the program calls lies more than 2 GiB away',
  linux: 'emit_patch, arch/x86/net/bpf_jit_comp.c (6.12)',
};

function placeFunctions(draft: Draft, before: Int32Array, end: number): readonly CompiledFunction[] {
  const { functions, functionAt, functionJumps } = draft;
  const placed: CompiledFunction[] = [];
  for (let index = functionAt.length - 1; index >= 0; index--) {
    const start = (functionAt[index] as number) + (before[functionJumps[index] as number] as number);
    placed.push({ slots: functions[index] as BpfFunction, start, end: placed.at(-1)?.start ?? end });
  }
  return placed.reverse();
}

/** The code between jumps, and the jumps. */
function writePieces(draft: Draft, before: Int32Array, slotStarts: Int32Array, image: DataView): void {
  const { b, jumps, jumpAt, jumpTo, jumpCondition } = draft;
  const { view } = b;
  let copied = 0;
  for (let jump = 0; jump < jumps; jump++) {
    const at = jumpAt[jump] as number;
    const start = before[jump] as number;
    const end = before[jump + 1] as number;
    copy(view, copied, at, image, copied + start);
    copied = at;
    const distance = (slotStarts[jumpTo[jump] as number] as number) - (at + end);
    writeJump(image, at + start, end - start, jumpCondition[jump] as number, distance);
  }
  copy(view, copied, b.length, image, copied + (before[jumps] as number));
}

/** A jump of 0, 2, 5 or, with a condition, 6 bytes. */
function writeJump(image: DataView, at: number, size: number, condition: number, distance: number): void {
  if (size === 2) image.setInt16(at, (condition === 0 ? 0xeb : condition) | (distance << 8), true);
  else if (size === 5) {
    image.setUint8(at, 0xe9);
    image.setInt32(at + 1, distance, true);
  } else if (size === 6) {
    image.setInt16(at, 0x0f | ((condition + 0x10) << 8), true);
    image.setInt32(at + 2, distance, true);
  }
}
