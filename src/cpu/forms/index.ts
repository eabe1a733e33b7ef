import type { Form } from '../form.ts';
import { ALU_FORMS } from './alu.ts';
import { FLOW_FORMS } from './flow.ts';
import { MOVE_FORMS } from './move.ts';

/** Everything the simulated CPU implements. */
export const FORMS: readonly Form[] = [...ALU_FORMS, ...MOVE_FORMS, ...FLOW_FORMS];
