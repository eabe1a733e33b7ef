import type { Fault } from '../../base/index.ts';
import type { KernelFact } from '../kernels/fact.ts';
import { type FaultDetails, type Rule, refuse } from './rule.ts';

export const KERNEL_UNSETTLED: Rule = {
  id: 'kernel.fact.unknown',
  title: 'No source settles what this kernel does',
  errno: 'EOPNOTSUPP',
  what: 'A request rests on something that kernel versions decide differently, and neither a recording nor a source at hand says how this one does. A plan answers `unknown` at that step.',
  why: 'A guess would look like every other answer of this service, and somebody would act on it. Other steps are decided as usual.',
  linux: 'named by the fact (`GET /v1/kernels`)',
  range: 'all',
  strictness: 'both',
  remedies: ['Look the fact up in `GET /v1/kernels`, or ask a version that has an answer (`?kernel=`).'],
};

/** The refusal of a request that rests on a fact without a value. */
export const unsettled = (fact: KernelFact<unknown>, details: Pick<FaultDetails, 'detail' | 'place'>): Fault =>
  refuse(KERNEL_UNSETTLED, {
    ...details,
    detail: `${details.detail} ${fact.title} No source settles it for this kernel (${fact.name}; decided by ${fact.linux}).`,
  });

export const KERNEL_RULES: readonly Rule[] = [KERNEL_UNSETTLED];
