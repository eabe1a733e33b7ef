import { invariant } from '../base/index.ts';
import { ENDBR_INSN_SIZE, INT3_INSN_OPCODE, jmpRel32 } from '../insn/index.ts';
import type { Allocation, Lingering } from './model/state.ts';
import { stillHoldingUp, whoHoldsUp } from './tasks/grace-periods.ts';
import type { GracePeriod } from './text-op.ts';
import type { Txn } from './txn.ts';

/** Generated code starts at chunk boundaries, as in bpf_prog_pack (BPF_PROG_CHUNK_SIZE, kernel/bpf/core.c 6.12). */
const CHUNK_SIZE = 64;

const roundUp = (size: number, to: number): number => Math.ceil(size / to) * to;

/**
 * Takes room for `size` bytes of generated code. The bytes depend on where they will live, so they are made by `generate` once that is known.
 * Kprobe slots are 16 bytes apart (MAX_INSN_SIZE and an int3), everything else is in chunks of 64.
 */
export function install(
  txn: Txn,
  request: {
    readonly size: number;
    readonly what: string;
    readonly attachment?: string | undefined;
    readonly counter?: bigint;
  },
  generate: (at: number) => Uint8Array,
): number {
  const rounded = request.size <= 16 ? 16 : roundUp(request.size, CHUNK_SIZE);
  const free = txn.arena.free.get(rounded) ?? [];
  const at = free.at(-1) ?? roundUp(txn.arena.next, Math.min(rounded, CHUNK_SIZE));
  if (free.length > 0) txn.arena.free.set(rounded, free.slice(0, -1));
  else txn.arena = { ...txn.arena, next: at + rounded };
  const bytes = generate(at);
  invariant(
    bytes.length <= rounded,
    () => `${request.what}: generated ${bytes.length} bytes, took room for ${rounded}`,
  );
  txn.arena.allocations.set(at, {
    at,
    size: rounded,
    bytes,
    what: request.what,
    attachment: request.attachment,
    counter: request.counter,
  });
  txn.emit({ kind: 'install', at, bytes, what: request.what });
  return at;
}

/**
 * Lets generated code go: its bytes become int3 again once the grace periods have passed, one after the other. Where a simulated task
 * holds one up it stays until then. `jump`: the NOP in it that became a jump. `told`: of several pieces that go by the same grace periods one
 * says so.
 */
export function remove(
  txn: Txn,
  at: number,
  after: readonly GracePeriod[],
  { jump, told = after }: Partial<Pick<Lingering, 'jump' | 'told'>> = {},
): void {
  const allocation = txn.arena.allocations.get(at);
  invariant(allocation !== undefined, () => `nothing generated at _text+0x${at.toString(16)}`);
  passGracePeriods(txn, { at, steps: after, waitsFor: [], told, jump });
  const lingering = txn.lingering.get(at);
  if (lingering === undefined) return;
  const tasks = [...new Set(lingering.waitsFor.map(({ task }) => task))].join(', ');
  txn.warnings.push(`${allocation.what} stays until ${tasks} has left it (${lingering.steps.join(', then ')}).`);
}

/** Grace periods begin and end as far as nobody holds one up. */
function passGracePeriods(txn: Txn, lingering: Lingering): void {
  let steps = lingering.steps;
  while (steps[0] !== undefined) {
    const waitsFor = whoHoldsUp(txn, steps[0], lingering.at);
    if (waitsFor.length > 0) {
      txn.lingering.set(lingering.at, { ...lingering, steps, waitsFor });
      return;
    }
    steps = steps.slice(1);
  }
  free(txn, lingering);
}

/** The code that has a function of a BPF program at this place. */
function programCode(txn: Txn, at: number): Allocation | undefined {
  for (const { functions } of txn.bpfProgs.values())
    for (const func of functions) if (func.at === at) return txn.arena.allocations.get(func.allocation);
  return undefined;
}

/** What stands at a place when nobody has patched it: pristine text, generated code at its entry as it was generated, else int3. */
export function originalBytes(txn: Txn, at: number, length: number): Uint8Array {
  if (txn.world.pristine.contains(at, length)) return txn.world.pristine.bytes(at, length);
  const original = new Uint8Array(length).fill(INT3_INSN_OPCODE);
  const generated = programCode(txn, at) ?? programCode(txn, at - ENDBR_INSN_SIZE);
  if (generated !== undefined) original.set(generated.bytes.slice(at - generated.at, at - generated.at + length));
  return original;
}

/** Bytes of generated code as they are now. */
export const generatedBytes = (txn: Txn, { at, bytes }: Allocation): Uint8Array => {
  const jump = txn.lingering.get(at)?.jump;
  if (jump === undefined) return bytes;
  const patched = bytes.slice();
  patched.set(jmpRel32(jump.at, jump.to), jump.at - at);
  return patched;
};

function free(txn: Txn, { at, jump, told: after }: Lingering): void {
  const allocation = txn.arena.allocations.get(at);
  invariant(allocation !== undefined, 'code that lingers is there');
  const expected = allocation.bytes.slice();
  if (jump !== undefined) expected.set(jmpRel32(jump.at, jump.to), jump.at - at);
  txn.lingering.delete(at);
  txn.arena.allocations.delete(at);
  txn.arena.free.set(allocation.size, [...(txn.arena.free.get(allocation.size) ?? []), at]);
  txn.emit({ kind: 'remove', at, expected, what: allocation.what, after });
}

/** Tasks have moved: grace periods that they held up end, and the next ones begin. */
export function advanceLingering(txn: Txn): void {
  for (const lingering of [...txn.lingering.values()].sort((a, b) => a.at - b.at)) {
    const waitsFor = stillHoldingUp(txn, lingering);
    if (waitsFor.length > 0) txn.lingering.set(lingering.at, { ...lingering, waitsFor });
    else passGracePeriods(txn, { ...lingering, steps: lingering.steps.slice(1) });
  }
}

/** An address for a data object (a struct ftrace_ops, a counter) outside text. */
export function dataObject(txn: Txn, size: number): bigint {
  const at = txn.arena.nextData;
  txn.arena = { ...txn.arena, nextData: at + BigInt(roundUp(size, 8)) };
  return at;
}
