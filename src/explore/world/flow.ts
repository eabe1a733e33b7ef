import { decodeInsn } from '../../insn/index.ts';
import { jccTaken } from '../../textpoke/index.ts';
import { ScenarioError } from '../scenario/assemble.ts';
import { END, ended, type Frame, type Resume } from './cpu-state.ts';

/** Goes where an int3 handler, or a function that is played, sends the frame. */
export function resume(frame: Frame, to: Resume): Frame {
  switch (to.kind) {
    case 'jmp':
      return { ...frame, rip: to.target };
    case 'call':
      return { ...frame, rip: to.target, stack: [...frame.stack, to.returnTo] };
    case 'ret': {
      const target = frame.stack.at(-1) ?? END;
      if (typeof target !== 'number') throw new ScenarioError(`a return to ${target}, where no text is`);
      return target === END ? ended(frame) : { ...frame, rip: target, stack: frame.stack.slice(0, -1) };
    }
  }
}

/** Where one instruction, alone at a place, goes: what a handler that plays it must do. Undefined for what handlers do not play. */
export function effectOf(bytes: Uint8Array, at: number, flags: number): Resume | undefined {
  const insn = decodeInsn(bytes, at);
  if (insn === undefined) return undefined;
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
      return undefined;
  }
}
