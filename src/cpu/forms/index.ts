import type { Form } from '../form.ts';
import { ALU_FORMS } from './alu.ts';
import { ATOMIC_FORMS } from './atomic.ts';
import { BIT_FORMS } from './bit.ts';
import { BMI_FORMS } from './bmi.ts';
import { FLOW_FORMS } from './flow.ts';
import { MOVE_FORMS } from './move.ts';
import { MULTIPLY_FORMS } from './multiply.ts';
import { SHIFT_FORMS } from './shift.ts';
import { STRING_FORMS } from './string.ts';
import { SYSTEM_FORMS } from './system.ts';

/** Everything the simulated CPU implements. */
export const FORMS: readonly Form[] = [
  ...ALU_FORMS,
  ...MOVE_FORMS,
  ...SHIFT_FORMS,
  ...MULTIPLY_FORMS,
  ...BIT_FORMS,
  ...BMI_FORMS,
  ...ATOMIC_FORMS,
  ...STRING_FORMS,
  ...FLOW_FORMS,
  ...SYSTEM_FORMS,
];
