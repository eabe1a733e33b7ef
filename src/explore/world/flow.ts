import { decodeInsn, type Insn } from '../../insn/index.ts';
import { jccTaken } from '../../textpoke/index.ts';
import { ScenarioError } from '../scenario/assemble.ts';
import { END, type Frame, type Resume } from './cpu-state.ts';

/**
 * The control flow of instructions: what the protocol is about. Registers and memory beside the stack of return addresses do not matter to who is
 * called from where, so they are left out; conditional jumps go by the flags that the scenario names.
 */
export function execute(frame: Frame, bytes: Uint8Array, flags: number): Frame | 'int3' {
  const insn = decodeInsn(bytes, frame.rip);
  if (insn === undefined) throw new ScenarioError('bytes that do not decode were to be executed');
  if (insn.flow === 'int3') return 'int3';
  return resume(frame, resumeOf(insn, frame.rip, flags));
}

/** The same as an int3 handler plays it. */
export function resume(frame: Frame, to: Resume): Frame {
  switch (to.kind) {
    case 'jmp':
      return { ...frame, rip: to.target };
    case 'call':
      return { ...frame, rip: to.target, stack: [...frame.stack, to.returnTo] };
    case 'ret':
      return { ...frame, rip: frame.stack.at(-1) ?? END, stack: frame.stack.slice(0, -1) };
  }
}

function resumeOf(insn: Insn, at: number, flags: number): Resume {
  const next = at + insn.length;
  switch (insn.flow) {
    case 'next':
      return { kind: 'jmp', target: next };
    case 'jmp':
      return { kind: 'jmp', target: insn.target ?? next };
    case 'jcc':
      return { kind: 'jmp', target: jccTaken(insn.condition ?? 0, flags) ? (insn.target ?? next) : next };
    case 'call':
      return { kind: 'call', target: insn.target ?? next, returnTo: next };
    case 'ret':
      return { kind: 'ret' };
    default:
      throw new ScenarioError(`${insn.flow} at 0x${at.toString(16)} is not in the flow model`);
  }
}

/** Where one instruction, alone at a place, goes: what a handler that plays it must do. Undefined for an int3. */
export function effectOf(bytes: Uint8Array, at: number, flags: number): Resume | undefined {
  const insn = decodeInsn(bytes, at);
  return insn === undefined || insn.flow === 'int3' ? undefined : resumeOf(insn, at, flags);
}
