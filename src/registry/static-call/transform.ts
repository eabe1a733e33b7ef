/**
 * The instruction of a static call: at its inline sites and in its trampoline.
 * Source: arch/x86/kernel/static_call.c __static_call_transform, __sc_insn (6.12; 6.1 alike but for call thunks).
 */
import { bytesEqual } from '../../base/index.ts';
import { callRel32, jccRel32, jmpRel32, NOP5, RET_INSN_OPCODE } from '../../insn/index.ts';
import type { World } from '../world.ts';
import { returnThunk, returnThunkAt, translateCallDestination } from './boot-cpu.ts';
import type { StaticCall } from './calls.ts';

/** `cs cs cs xorl %eax, %eax`: a call that would return 0. */
const XOR5RAX = Uint8Array.of(0x2e, 0x2e, 0x2e, 0x31, 0xc0);
const RET_INSN = Uint8Array.of(RET_INSN_OPCODE, 0xcc, 0xcc, 0xcc, 0xcc);
const CALL_SIZE = 5;
const JCC_SIZE = 6;

/** One place that follows the key: the trampoline, or an inline site. */
export interface CallPlace {
  readonly at: number;
  readonly size: number;
  readonly isTail: boolean;
}

export interface CallInsn {
  readonly bytes: Uint8Array;
  /** What int3 handlers play where it differs. */
  readonly emulate?: Uint8Array;
}

/** The trampoline first, then the inline sites, ascending: the order in which Linux updates them. */
export function callPlaces(world: World, call: StaticCall): readonly CallPlace[] {
  const { staticCalls } = world.image;
  const sites = call.entries.map((entry) => ({
    at: staticCalls.site[entry] as number,
    size: staticCalls.size[entry] as number,
    isTail: staticCalls.isTail(entry),
  }));
  return call.trampoline === undefined ? sites : [{ at: call.trampoline, size: CALL_SIZE, isTail: true }, ...sites];
}

/** Where a conditional tail jump goes for NULL: 6.1 knows the thunk that the compiler wrote only. */
function jccThunk(world: World): number | undefined {
  const thunk = returnThunk(world);
  return thunk !== undefined && (world.kernel === '5.15' || world.kernel === '6.1')
    ? world.image.symbols.offsetOf('__x86_return_thunk')
    : thunk;
}

function transformed(world: World, { at, size, isTail }: CallPlace, func: number | null): CallInsn {
  const { symbols } = world.image;
  if (size === JCC_SIZE) {
    const condition = world.pristine.u8(at + 1) & 0xf;
    const nowhere = jccThunk(world) ?? symbols.offsetOf('__static_call_return') ?? at + JCC_SIZE;
    return { bytes: jccRel32(condition, at, func ?? nowhere) };
  }
  if (func === null) {
    if (!isTail) return { bytes: NOP5 };
    const thunk = returnThunkAt(world, at);
    return { bytes: thunk === undefined ? RET_INSN : jmpRel32(at, thunk) };
  }
  if (isTail) return { bytes: jmpRel32(at, func) };
  const destination = translateCallDestination(world, func);
  const call = callRel32(at, destination);
  return destination === symbols.offsetOf('__static_call_return0')
    ? { bytes: XOR5RAX, emulate: call }
    : { bytes: call };
}

/** What boot wrote. It differs from what an update would write in one case: returns written before the return thunk was known. */
function bootInsn(world: World, { at, size }: CallPlace): CallInsn {
  const bytes = world.pristine.bytes(at, size);
  const return0 = world.image.symbols.offsetOf('__static_call_return0');
  return return0 !== undefined && bytesEqual(bytes, XOR5RAX) ? { bytes, emulate: callRel32(at, return0) } : { bytes };
}

/** What stands at a place while the key has the function `func`; `boot` is the function that it had after boot. */
export function callInsn(
  world: World,
  place: CallPlace,
  func: number | null | undefined,
  boot: number | null | undefined,
): CallInsn {
  return func === undefined || func === boot ? bootInsn(world, place) : transformed(world, place, func);
}
