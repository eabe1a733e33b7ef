/** What a trampoline's layout other than Linux' asks of the function and of the program. */
import type { Fault } from '../../base/index.ts';
import { ARGUMENT_WORDS, type PreparedBpf, placeParameters, TRAMPOLINE_HELPERS } from '../../jit/index.ts';
import type { BpfTrampoline, TrampLinkKind } from '../model/state.ts';
import { refuse } from '../rules/rule.ts';
import { LAYOUT_HELPER, LAYOUT_KIND, LAYOUT_WORDS } from '../rules/trampoline-layout.ts';
import type { BpfTarget } from './attach-target.ts';

export type Layout = BpfTrampoline['layout'];
export const LAYOUTS: readonly Layout[] = ['linux', 'seed', 'frame', 'registers', 'r11'];

export const layoutOf = (options: Readonly<Record<string, unknown>>): Layout =>
  LAYOUTS.find((layout) => layout === options['layout']) ?? 'linux';

function carries(layout: Exclude<Layout, 'linux'>, argSizes: readonly number[]): string | undefined {
  const places = placeParameters(argSizes);
  const words = places.reduce((sum, place) => sum + place.words, 0);
  const most = ARGUMENT_WORDS[layout];
  if (words > most) return `it has ${words} words of arguments, the layout carries ${most}`;
  const isOnStack = places.some(({ register }) => register === undefined);
  return isOnStack && layout === 'seed' ? 'one of its arguments comes on the stack' : undefined;
}

/** Why a program cannot be attached with this layout; undefined when it can. */
export function layoutProblem(
  layout: Layout,
  target: BpfTarget,
  link: TrampLinkKind,
  program: PreparedBpf | undefined,
): Fault | undefined {
  if (layout === 'linux') return undefined;
  const place = target.name;
  if (link !== 'fentry')
    return refuse(LAYOUT_KIND, { detail: `The layout ${layout} runs fentry programs, not ${link}.`, place });
  const words = carries(layout, target.argSizes);
  if (words !== undefined) return refuse(LAYOUT_WORDS, { detail: `${place} cannot have it: ${words}.`, place });
  const helper = program === undefined ? undefined : calledTrampolineHelper(program);
  if (helper === undefined) return undefined;
  return refuse(LAYOUT_HELPER, { detail: `The program calls bpf_${helper}, and the layout is ${layout}.`, place });
}

function calledTrampolineHelper({ source }: PreparedBpf): string | undefined {
  const { code } = source;
  for (let slot = 0; slot < code.length; slot++) {
    const helper = code.code[slot] === 0x85 && code.src[slot] === 0 ? code.imm[slot] : undefined;
    const name = helper === undefined ? undefined : TRAMPOLINE_HELPERS.get(helper);
    if (name !== undefined) return name;
  }
  return undefined;
}
