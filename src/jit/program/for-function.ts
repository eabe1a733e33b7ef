import type { Result } from '../../base/index.ts';
import { stackDepthOf } from '../compile/index.ts';
import { readArgumentsDirectly } from '../rewrite/index.ts';
import { directWordPlaces } from '../trampoline/trampoline-direct.ts';
import type { DirectLayout } from '../trampoline/trampoline-request.ts';
import { type JitedBpf, type JitRequest, jitBpf, moved, type PreparedBpf } from './prepare.ts';

/** The function that a program is compiled for, and the trampoline that will call it. */
export interface ForFunction {
  readonly layout: DirectLayout;
  readonly argSizes: readonly number[];
}

/**
 * Compiles a program for one function and one layout of its trampoline: its reads of the context go where the arguments are. Such code must
 * not be called by any other trampoline. Faults are those of `readArgumentsDirectly`, `blindConstants` and `compileBpf`.
 */
export function jitBpfForFunction(
  { xlated }: Pick<PreparedBpf, 'xlated'>,
  { layout, argSizes }: ForFunction,
  request: JitRequest,
): Result<JitedBpf> {
  const { code, functions } = xlated;
  const direct = readArgumentsDirectly({ code, functions, access: layout, wordAt: directWordPlaces(argSizes) });
  if (!direct.ok) return direct;
  return jitBpf(
    { xlated: { code: direct.value.code, functions: moved(functions, direct.value.startOf) } },
    {
      ...request,
      // As before: the address of the frame is no use of the stack.
      stackDepths: request.stackDepths ?? functions.map((each) => stackDepthOf(code, each)),
      keepsR11: layout === 'r11',
    },
  );
}
