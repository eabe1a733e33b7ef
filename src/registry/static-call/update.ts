/**
 * Updating static calls. Linux lets anyone update a key and the last one wins; here whoever leaves gives the call back to the one below.
 * Source: kernel/static_call_inline.c __static_call_update; arch/x86/kernel/static_call.c arch_static_call_transform (6.12; 6.1 alike).
 */
import { invariant } from '../../base/index.ts';
import { CALL_INSN_OPCODE, JMP32_INSN_OPCODE, RET_INSN_OPCODE } from '../../insn/index.ts';
import type { StaticCallUser } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { bootFunction, type StaticCall } from './calls.ts';
import { callInsn, callPlaces } from './transform.ts';

/** `ud1 %esp, %ecx` behind every trampoline. */
const TRAMPOLINE_SIGNATURE = Uint8Array.of(0x0f, 0xb9, 0xcc);
const CALL_SIZE = 5;
const JCC_SIZE = 6;
const NOBODY: readonly StaticCallUser[] = [];

export const callUsers = (txn: Txn, key: number): readonly StaticCallUser[] => txn.staticCalls.get(key) ?? NOBODY;

/** key->func; undefined when only boot knows. */
export function callFunction(txn: Txn, call: StaticCall): number | null | undefined {
  const top = callUsers(txn, call.key)[0];
  return top === undefined ? bootFunction(txn.world, call) : top.to;
}

/**
 * Bytes that __static_call_validate compares: all five of a NOP or of the constant 0, else the opcode alone. Behind an opcode kgdb may have
 * been, and Linux writes over it.
 */
function unvalidated(txn: Txn, at: number, bytes: Uint8Array): Uint8Array {
  const isJcc = bytes.length === JCC_SIZE;
  const opcodes: readonly (number | undefined)[] = [CALL_INSN_OPCODE, JMP32_INSN_OPCODE, RET_INSN_OPCODE];
  if (txn.kgdb.size === 0 || (!isJcc && !opcodes.includes(bytes[0]))) return bytes;
  const compared = isJcc ? 2 : 1;
  return bytes.map((byte, i) => (i >= compared && txn.kgdb.has(at + i) ? txn.text.u8(at + i) : byte));
}

/** Each place through a text_poke_bp of its own, the trampoline first; a place that has its bytes is left alone. */
function transformPlaces(txn: Txn, call: StaticCall, before: number | null | undefined): void {
  const after = callFunction(txn, call);
  if (after === before) return;
  const boot = bootFunction(txn.world, call);
  if (call.trampoline !== undefined) txn.verify(call.trampoline + CALL_SIZE, TRAMPOLINE_SIGNATURE);
  for (const place of callPlaces(txn.world, call)) {
    const expected = unvalidated(txn, place.at, callInsn(txn.world, place, before, boot).bytes);
    const { bytes, emulate } = callInsn(txn.world, place, after, boot);
    txn.verify(place.at, expected);
    txn.poke({ at: place.at, expected, bytes }, 'static_call_update', emulate);
  }
}

function setUsers(txn: Txn, call: StaticCall, users: readonly StaticCallUser[]): void {
  const before = callFunction(txn, call);
  if (users.length === 0) txn.staticCalls.delete(call.key);
  else txn.staticCalls.set(call.key, users);
  for (const { at } of callPlaces(txn.world, call)) txn.touched.add(at);
  transformPlaces(txn, call, before);
}

export function isSameUser(a: StaticCallUser, b: StaticCallUser): boolean {
  if (a.kind === 'tracepoint') return b.kind === 'tracepoint' && a.tracepoint === b.tracepoint;
  if (a.kind === 'attachment') return b.kind === 'attachment' && a.attachment === b.attachment;
  return b.kind === a.kind;
}

/** The user's function is called from now on; one that it named before is forgotten. */
export function updateCall(txn: Txn, call: StaticCall, user: StaticCallUser): void {
  setUsers(txn, call, [user, ...callUsers(txn, call.key).filter((each) => !isSameUser(each, user))]);
}

/** The user no longer has a say. */
export function leaveCall(txn: Txn, call: StaticCall, user: StaticCallUser): void {
  const users = callUsers(txn, call.key);
  const rest = users.filter((each) => !isSameUser(each, user));
  invariant(rest.length === users.length - 1, () => `static call ${call.name} was not updated by that user`);
  setUsers(txn, call, rest);
}
