import { directWordPlaces, isDirectLayout } from '../../jit/index.ts';
import type { RuntimeProgram } from '../../registry/index.ts';
import type { Execution } from '../execution.ts';
import { PT_REGS_ARGUMENTS } from '../layout.ts';
import type { Watched } from '../watch.ts';

const CALL_SIZE = 5n;

/** Offset of the call that led here, when it was one. */
const callSite = (x: Execution): number => x.index.offset(x.guest.read64(x.guest.get('rsp')) - CALL_SIZE);

const registers = (x: Execution): readonly bigint[] => PT_REGS_ARGUMENTS.map((name) => x.guest.get(name));

/** What a program can read of its arguments at its first instruction, in the order in which it sees them. */
function programWords(x: Execution, { layout, argSizes }: RuntimeProgram): readonly bigint[] {
  if (isDirectLayout(layout)) {
    // Counted from the %rbp that the program is about to have.
    const rbp = x.guest.get('rsp') - 8n;
    return directWordPlaces(argSizes).map((at) => x.guest.read64(rbp + BigInt(at)));
  }
  const words = argSizes.reduce((sum, size) => sum + Math.ceil(size / 8), 0);
  const context = x.guest.get('rdi');
  return Array.from({ length: words }, (_, i) => x.guest.read64(context + BigInt(i * 8)));
}

/** Where counting code was called, and what it sees of the traced function's arguments. */
function seen(x: Execution, { code }: Watched): { readonly at: number; readonly args: readonly bigint[] } {
  const { runtime } = x.index;
  switch (code.what) {
    case 'ftrace_handler':
      return { at: x.index.offset(x.guest.get('rdi')), args: x.argumentsAt(x.guest.get('rcx')) };
    case 'ftrace_direct': {
      const calls = runtime.ops.flatMap(({ user }) => (user.kind === 'direct' ? user.calls : []));
      const site = calls.find(([, callee]) => callee === code.entry)?.[0];
      return { at: site ?? callSite(x), args: registers(x) };
    }
    case 'bpf_prog': {
      const program = runtime.programs.find(({ entry }) => entry === code.entry);
      return program === undefined
        ? { at: callSite(x), args: [] }
        : { at: program.func, args: programWords(x, program) };
    }
    case 'bpf_ext': {
      const { func = callSite(x), args = 0 } = code.extension ?? {};
      return { at: func, args: registers(x).slice(0, args) };
    }
    case 'tracepoint_probe':
      // The first argument is the probe's own data.
      return { at: callSite(x), args: registers(x).slice(1) };
    default:
      return { at: callSite(x), args: registers(x) };
  }
}

/** The first instruction of counting code: notes it, and goes on with what the hypercall stands over. */
export function enterCounted(x: Execution, watched: Watched): void {
  const { at, args } = seen(x, watched);
  x.fire(watched.code.attachment, at, args, watched.instructions);
  // The jump back from the slot.
  x.extra += 1;
  x.guest.set('rip', watched.slot);
}
