import type { Fault } from '../base/index.ts';
import { RULES, type World } from '../registry/index.ts';
import { COORDINATOR_RULES } from './rules.ts';
import type { Problem } from './service.ts';

/** A fault in the form in which it leaves the service. */
export function toProblem(world: World, fault: Fault): Problem {
  const rule = RULES.get(fault.rule) ?? COORDINATOR_RULES.get(fault.rule);
  return {
    type: `/v1/rules/${fault.rule}`,
    title: rule?.title ?? fault.rule,
    detail: fault.detail,
    errno: fault.errno,
    rule: fault.rule,
    linux: fault.linux ?? rule?.linux ?? null,
    holders: fault.holders ?? [],
    place: fault.place ?? null,
    remedies: fault.remedies ?? rule?.remedies ?? [],
    index: fault.index ?? null,
    expected: fault.expected ?? null,
    actual: fault.actual ?? null,
    log: fault.log ?? null,
    profile: world.image.profile.name,
    kernel: world.kernel,
    strictness: world.strictness,
  };
}
