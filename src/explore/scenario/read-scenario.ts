import { FETCH_MODELS } from '../../cpu/index.ts';
import { ScenarioError } from './assemble.ts';
import { checkContents } from './check-contents.ts';
import { BUILTINS, GRACE_PERIODS, LOCKS, PROPERTIES, type Scenario } from './scenario.ts';

/** What a value must be; answers what is wrong with it, with its path. */
type Shape = (value: unknown, path: string) => string | undefined;

const STRING_MAX = 200;
const LIST_MAX = 256;

const text: Shape = (value, path) =>
  typeof value === 'string' && value.length <= STRING_MAX
    ? undefined
    : `${path} must be a string of at most ${STRING_MAX}`;
const count: Shape = (value, path) =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 100 ? undefined : `${path} must be 0 to 100`;
const flag: Shape = (value, path) => (typeof value === 'boolean' ? undefined : `${path} must be true or false`);
const one =
  (words: readonly string[]): Shape =>
  (value, path) =>
    words.includes(value as string) ? undefined : `${path} must be one of ${words.join(' ')}`;
const either =
  (...shapes: readonly Shape[]): Shape =>
  (value, path) => {
    const problems = shapes.map((shape) => shape(value, path));
    return problems.includes(undefined) ? undefined : problems.join(', or ');
  };
const list =
  (shape: Shape): Shape =>
  (value, path) => {
    if (!Array.isArray(value) || value.length > LIST_MAX) return `${path} must be a list of at most ${LIST_MAX}`;
    for (const [i, item] of value.entries()) {
      const problem = shape(item, `${path}[${i}]`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
const record =
  (shape: Shape): Shape =>
  (value, path) => {
    if (!isObject(value) || Object.keys(value).length > LIST_MAX) return `${path} must be an object`;
    for (const [key, item] of Object.entries(value)) {
      const problem = text(key, path) ?? shape(item, `${path}.${key}`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
/** Keys that end in `?` may be absent; others than these may not be there. */
const object =
  (shapes: Readonly<Record<string, Shape>>): Shape =>
  (value, path) => {
    if (!isObject(value)) return `${path} must be an object`;
    for (const key of Object.keys(value))
      if (shapes[key] === undefined && shapes[`${key}?`] === undefined) return `${path}.${key} is not known`;
    for (const [name, shape] of Object.entries(shapes)) {
      const key = name.replace('?', '');
      if (value[key] === undefined) {
        if (name === key) return `${path}.${key} is missing`;
        continue;
      }
      const problem = shape(value[key], `${path}.${key}`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const code = list(text);
const poke = { at: text, to: code, 'from?': code, 'emulate?': code };

/** By `op`: its other fields. */
const OPS: Readonly<Record<string, Readonly<Record<string, Shape>>>> = {
  lock: { lock: one(LOCKS) },
  unlock: { lock: one(LOCKS) },
  trylock: { lock: one(LOCKS) },
  poke: { pokes: list(object(poke)) },
  queue: poke,
  finish: {},
  arm: { at: text },
  disarm: { at: text },
  'add-kprobe': { at: text, owner: text },
  'del-kprobe': { at: text },
  'detour-kprobe': { at: text, target: text },
  copy: { name: text },
  free: { name: text },
  wait: { for: one(GRACE_PERIODS) },
  set: { variable: text, value: either(text, code) },
  attached: { owner: text },
  detaching: { owner: text },
};

const op: Shape = (value, path) => {
  if (!isObject(value)) return `${path} must be an object`;
  const fields = Object.hasOwn(OPS, String(value['op'])) ? OPS[String(value['op'])] : undefined;
  if (fields === undefined) return `${path}.op must be one of ${Object.keys(OPS).join(' ')}`;
  return object({ op: text, ...fields })(value, path);
};

const visits = object({ run: text, times: count });

const SCENARIO = object({
  name: text,
  about: (value, path) => (typeof value === 'string' && value.length <= 4000 ? undefined : `${path} must be a string`),
  fetch: one(FETCH_MODELS),
  text: list(
    object({
      name: text,
      at: text,
      'code?': code,
      'does?': one(BUILTINS),
      'owner?': text,
      'variable?': text,
      'absent?': flag,
    }),
  ),
  'variables?': record(either(text, code)),
  'attached?': code,
  'on?': record(code),
  patchers: list(object({ do: list(op) })),
  cpus: list(
    object({
      run: text,
      times: either(count, one(['forever'])),
      'irq?': visits,
      'nmi?': visits,
      'flags?': (v, p) => (Number.isInteger(v) ? undefined : `${p} must be an integer`),
    }),
  ),
  'hold?': list(one(PROPERTIES)),
  'final?': record(code),
});

/** Reads a scenario; throws {@link ScenarioError} with the path of the first mistake. */
export function readScenario(value: unknown): Scenario {
  const problem = SCENARIO(value, 'scenario');
  if (problem !== undefined) throw new ScenarioError(problem);
  const scenario = value as Scenario;
  try {
    checkContents(scenario);
  } catch (error) {
    // An encoder's: a nop of 13 bytes, a jump that does not reach.
    if (error instanceof RangeError) throw new ScenarioError(error.message);
    throw error;
  }
  return scenario;
}
