import type { Fault } from '../base/index.ts';
import type { AttachRequest, OwnerKind, Target } from '../coordinator/index.ts';
import { edgeFault } from './rules.ts';
import { PLACES_MAX, STEPS_MAX } from './schemas/requests.ts';

type TargetShape = 'list' | 'pattern';

/** What besides a single place each kind takes. */
const SHAPES: Readonly<Partial<Record<OwnerKind, readonly TargetShape[]>>> = {
  kprobe_multi: ['list', 'pattern'],
  kretprobe_multi: ['list', 'pattern'],
  fprobe: ['list', 'pattern'],
  ftrace: ['list', 'pattern'],
  livepatch: ['list'],
};

/** A fault when the kind has no interface for such a target. */
export function checkTarget(request: Pick<AttachRequest, 'kind' | 'target'>, index?: number): Fault | undefined {
  const shape = targetShape(request.target);
  if (shape === 'place' || SHAPES[request.kind]?.includes(shape) === true) return undefined;
  const what = shape === 'list' ? 'an array of places' : 'a pattern';
  return edgeFault(
    'http.target',
    `A ${request.kind} does not take ${what} as its target.`,
    index === undefined ? {} : { index },
  );
}

function targetShape(target: Target): 'place' | TargetShape {
  if (typeof target === 'string') return 'place';
  return Array.isArray(target) ? 'list' : 'pattern';
}

const lengthAt = (value: unknown, ...path: readonly string[]): number => {
  let at: unknown = value;
  for (const name of path)
    at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[name] : undefined;
  return Array.isArray(at) ? at.length : 0;
};

/**
 * Counts places before the schema looks at each: a request over the limit is answered as such, and costs nothing.
 * Places of all the steps of a plan count together.
 */
export function checkPlaceCount(body: unknown): Fault | undefined {
  const steps = typeof body === 'object' && body !== null ? (body as { readonly steps?: unknown }).steps : undefined;
  if (Array.isArray(steps) && steps.length > STEPS_MAX) {
    return edgeFault('http.too-many-places', `The plan has ${steps.length} steps; ${STEPS_MAX} are the limit.`);
  }
  const places = Array.isArray(steps)
    ? steps.reduce<number>((sum, step) => sum + lengthAt(step, 'attach', 'target'), 0)
    : lengthAt(body, 'target');
  if (places <= PLACES_MAX) return undefined;
  return edgeFault('http.too-many-places', `The request names ${places} places; ${PLACES_MAX} are the limit.`);
}
