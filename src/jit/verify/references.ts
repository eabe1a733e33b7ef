import type { Env } from './env.ts';
import { knownScalar, type Reg, UNKNOWN } from './reg.ts';
import type { Frame } from './state.ts';

export const knownZeroScalar = (): Reg => knownScalar(0n);

/** A reference from now on has to be released; answers its id (acquire_reference_state). */
export function acquire(env: Env, insn: number): number {
  const { frame } = env;
  const id = env.newId();
  const callbackFrame = frame.callbackRange === undefined ? 0 : frame.frameno;
  frame.refs = [...frame.refs, { id, insn, callbackFrame }];
  return id;
}

/** False when there is no such reference, or it is not the callback's own (release_reference_state). */
export function releaseId(frame: Frame, id: number): boolean {
  const index = frame.refs.findIndex((each) => each.id === id);
  if (index < 0) return false;
  if (frame.callbackRange !== undefined && frame.refs[index]?.callbackFrame !== frame.frameno) return false;
  // As the kernel keeps them: the last one takes the place of the one that goes.
  const refs = frame.refs.slice();
  const last = refs.pop();
  if (index < refs.length && last !== undefined) refs[index] = last;
  frame.refs = refs;
  return true;
}

/** Every copy of what is released is any number from now on. */
export function release(env: Env, id: number): boolean {
  if (!releaseId(env.frame, id)) return false;
  env.state.replaceRegs((reg) => (reg.refObjId === id ? UNKNOWN : reg));
  return true;
}

/** check_reference_leak: says what is still held where nothing may be; answers whether something is. */
export function leaks(env: Env): boolean {
  const { frame } = env;
  const isCallback = frame.callbackRange !== undefined;
  if (frame.frameno > 0 && !isCallback) return false;
  const held = frame.refs.filter(({ callbackFrame }) => !isCallback || callbackFrame === frame.frameno);
  for (const { id, insn } of held) env.log.say(`Unreleased reference id=${id} alloc_insn=${insn}\n`);
  return held.length > 0;
}
