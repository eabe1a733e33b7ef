/** Which steps of a plan can matter to each other at all: those that meet in a function, or share something global. */
import { type AttachRequest, locate, parsePlace } from '../registry/index.ts';
import type { PlanKernel } from './kernel.ts';
import { stepOf } from './plan-situation.ts';
import { type Search, take } from './solve-search.ts';

/** A step that is refused alone and names more functions than this is taken to meet everybody. */
const FUNCTIONS_MAX = 5_000;
const EVERYBODY = 'everybody';

function functionKey(kernel: PlanKernel, offset: number): string {
  return `f${kernel.world.image.symbols.containing(offset)?.offset ?? offset}`;
}

function placesKeys(kernel: PlanKernel, target: AttachRequest['target']): readonly string[] {
  const { symbols } = kernel.world.image;
  if (typeof target !== 'string' && 'pattern' in target) {
    const keys: string[] = [];
    for (const symbol of symbols.matching(target.pattern)) {
      if (keys.length > FUNCTIONS_MAX) return [EVERYBODY];
      if (symbol.offset !== undefined) keys.push(functionKey(kernel, symbol.offset));
    }
    return keys;
  }
  const texts = typeof target === 'string' ? [target] : target;
  return texts.flatMap((text) => {
    const place = parsePlace(text);
    const offset = place === undefined ? undefined : locate(kernel.world, place);
    return offset === undefined ? [] : [functionKey(kernel, offset)];
  });
}

/** What goes beyond functions: names and replacement of livepatches, and the ops that all kprobes with a post_handler share. */
function globalKeys(search: Search, { kind, options = {} }: AttachRequest, hasReplace: boolean): readonly string[] {
  if (kind === 'livepatch') {
    const patch = options['patch'];
    return [...(hasReplace ? ['livepatches'] : []), ...(typeof patch === 'string' ? [`patch ${patch}`] : [])];
  }
  const isShared = kind === 'kprobe' && options['postHandler'] === true;
  return isShared && search.kernel.world.strictness === 'linux' ? ['kprobe_ipmodify_ops'] : [];
}

class Groups {
  readonly #parent = new Map<string, string>();

  find(key: string): string {
    let at = key;
    for (let up = this.#parent.get(at); up !== undefined; up = this.#parent.get(at)) {
      const above = this.#parent.get(up);
      if (above !== undefined) this.#parent.set(at, above);
      at = up;
    }
    return at;
  }

  join(a: string, b: string): void {
    const [x, y] = [this.find(a), this.find(b)];
    if (x !== y) this.#parent.set(x, y);
  }
}

export interface Grouped {
  readonly groups: readonly (readonly number[])[];
  /** Steps that are refused even when they come first. */
  readonly refusedFirst: readonly number[];
}

/** Groups of steps that share nothing, each ascending, ordered by their first step. Takes every step once, alone. */
export function groupSteps(search: Search): Grouped {
  const { kernel, steps, start } = search;
  const groups = new Groups();
  const refusedFirst: number[] = [];
  const hasReplace = steps.some((step) => 'attach' in step && step.attach.options?.['replace'] === true);
  const join = (step: string, keys: readonly string[]): void => {
    for (const key of keys) groups.join(step, key);
  };
  for (const [index, step] of steps.entries()) {
    const name = `step ${index}`;
    const taken = take(search, start, index, 0);
    if (taken.kind === 'refused') refusedFirst.push(index);
    const { outcome } = taken.kind === 'granted' ? taken.decision : { outcome: undefined };
    if (outcome?.kind === 'granted')
      join(
        name,
        outcome.attachment.sites.map((site) => functionKey(kernel, site)),
      );
    if ('detach' in step) {
      const planned = stepOf(step.detach);
      join(name, planned === undefined ? [] : [`step ${planned}`]);
      continue;
    }
    if (taken.kind === 'refused') join(name, placesKeys(kernel, step.attach.target));
    join(name, globalKeys(search, step.attach, hasReplace));
  }
  const isCoupled = groups.find(EVERYBODY) !== EVERYBODY;
  const found = new Map<string, number[]>();
  for (const index of steps.keys()) {
    const root = isCoupled ? EVERYBODY : groups.find(`step ${index}`);
    const group = found.get(root) ?? [];
    group.push(index);
    found.set(root, group);
  }
  return { groups: [...found.values()], refusedFirst };
}
