import type { HelperBody } from './helper-context.ts';
import { MAP_HELPERS } from './map-helpers.ts';
import { MEMORY_HELPERS } from './memory-helpers.ts';
import { OUTPUT_HELPERS } from './output-helpers.ts';
import { TASK_HELPERS } from './task-helpers.ts';
import { TEXT_HELPERS } from './text-helpers.ts';

/** What each helper does, by number: the same for the interpreter and for machine code. bpf_tail_call is an instruction of both. */
export const HELPER_BODIES: ReadonlyMap<number, HelperBody> = new Map([
  ...MAP_HELPERS,
  ...MEMORY_HELPERS,
  ...TASK_HELPERS,
  ...OUTPUT_HELPERS,
  ...TEXT_HELPERS,
]);
