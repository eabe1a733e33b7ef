/** A kernel as a value: attaching and detaching make another one, so that every order of a set shares what it has in common. */

import type { Errno, ReadableText } from '../../src/base/index.ts';
import { bytesEqual, toHex } from '../../src/base/index.ts';
import { ForkText } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import type { Machine } from '../../src/machine/index.ts';
import {
  type AttachRequest,
  type Decision,
  decideAttach,
  decideDetach,
  decideOptimizer,
  ftraceLocation,
  initialState,
  type KernelState,
  makeWorld,
  ownedBytes,
  type RulesKernel,
  readOnly,
  type Strictness,
  siteFacts,
  type World,
  withRulesOf,
} from '../../src/registry/index.ts';
import { withArena } from '../../test/support/arena-text.ts';
import { firingProblems } from './firing.ts';
import { FUNCTION, MATRIX_OWNERS, type MatrixOwner } from './owners.ts';

export interface MatrixKernel {
  readonly state: KernelState;
  readonly text: ForkText;
}

export interface Cell {
  /** `attached`, `chained`, `shared`, or the errno. */
  readonly verdict: 'attached' | 'chained' | 'shared' | Errno;
  readonly rule: string | undefined;
  readonly warnings: readonly string[];
  /** Who runs, in order, by place in the set that is attached. */
  readonly chain: readonly number[];
  /** Names of the facts about kernel versions that the answer rests on. */
  readonly facts: readonly string[];
  readonly kernel: MatrixKernel;
}

export interface Lab {
  readonly world: World;
  readonly start: MatrixKernel;
  readonly owners: readonly MatrixOwner[];
  /** Attaches; `place` names the attachment. */
  attach(kernel: MatrixKernel, owner: MatrixOwner, place: number): Cell;
  detach(
    kernel: MatrixKernel,
    place: number,
  ): { readonly kernel: MatrixKernel; readonly warnings: readonly string[]; readonly fault?: string };
  /** The kprobe optimizer's run, when it owes something. */
  settle(kernel: MatrixKernel): MatrixKernel;
  /** What is wrong with the text; empty when every changed byte is what its owners say. */
  audit(kernel: MatrixKernel): readonly string[];
  /** Calls the function: what is wrong with who fired and what it returned. Empty when the lab has no machine. */
  call(kernel: MatrixKernel): readonly string[];
}

const idOf = (place: number): string => `owner_${place}`;

function audit(world: World, { state, text }: MatrixKernel, base: ReadableText): readonly string[] {
  const problems: string[] = [];
  let owned = 0;
  for (const { at, bytes, what } of ownedBytes(readOnly(world, state, text))) {
    const actual = text.bytes(at, bytes.length);
    if (!bytesEqual(actual, bytes))
      problems.push(`${what} at _text+0x${at.toString(16)} is ${toHex(actual)}, not ${toHex(bytes)}`);
    const below = base.bytes(at, bytes.length);
    for (const [i, byte] of bytes.entries()) if (below[i] !== byte) owned += 1;
  }
  const stray = text.differing() - owned;
  if (problems.length === 0 && stray !== 0) problems.push(`${stray} changed bytes that nobody accounts for`);
  return problems;
}

/** An instruction of the body that a kprobe takes. */
function bodyPlace(world: World, start: MatrixKernel, size: number): string {
  for (let offset = 9; offset < size; offset++) {
    const target = `${FUNCTION}+0x${offset.toString(16)}`;
    const decision = attachAs(world, start, { kind: 'kprobe', target }, 0);
    if (decision.outcome.kind === 'granted') return target;
  }
  throw new Error(`no instruction of ${FUNCTION} takes a kprobe`);
}

function attachAs(world: World, kernel: MatrixKernel, request: AttachRequest, place: number): Decision {
  const identity = { id: idOf(place), client: `client-${place}`, tenant: 'matrix', nowMs: place };
  return decideAttach(world, kernel.state, kernel.text, { request, identity, sequence: place });
}

/** The world, and which facts were read since it was last asked. */
function watched(world: World): { readonly world: World; readonly read: () => readonly string[] } {
  const names = new Set<string>();
  const fact: World['fact'] = (each) => {
    names.add(each.name);
    return world.fact(each);
  };
  const read = (): readonly string[] => {
    const found = [...names].sort();
    names.clear();
    return found;
  };
  return { world: { ...world, fact }, read };
}

/**
 * With a machine, the function is called in every state that attaching leads to. `rules`: the version whose rules decide; the image's own when
 * there is none.
 */
export function makeLab(image: KernelImage, strictness: Strictness, machine?: Machine, rules?: RulesKernel): Lab {
  const own = makeWorld(image, { strictness });
  const { world, read } = watched(rules === undefined ? own : withRulesOf(own, rules));
  const base = withArena(world);
  const start: MatrixKernel = { state: initialState(world), text: ForkText.over(base) };
  const [symbol] = image.symbols.byName(FUNCTION);
  if (symbol === undefined) throw new Error(`the image has no ${FUNCTION}`);
  const at = ftraceLocation(world, symbol.offset as number);
  if (at === undefined) throw new Error(`${FUNCTION} has no ftrace site`);
  const site = `0x${(image.base + BigInt(at)).toString(16)}`;
  const body = bodyPlace(world, start, symbol.size);
  const places = {
    start: symbol.offset as number,
    site: at,
    body: (symbol.offset as number) + Number(body.slice(body.indexOf('+') + 1)),
  };
  const after = ({ text }: MatrixKernel, decision: Decision): MatrixKernel => ({
    state: decision.state,
    text: text.after(decision.ops),
  });
  return {
    world,
    start,
    owners: MATRIX_OWNERS,
    attach(kernel, { kind, options, at }, place) {
      const target = typeof at === 'object' ? at.named : { entry: FUNCTION, site, body }[at];
      read();
      const decision = attachAs(world, kernel, { kind, options, target }, place);
      const facts = read();
      const { outcome, warnings } = decision;
      const next = after(kernel, decision);
      if (outcome.kind === 'refused')
        return { verdict: outcome.fault.errno, rule: outcome.fault.rule, warnings, chain: [], facts, kernel: next };
      const view = readOnly(world, next.state, next.text);
      const [first] = outcome.attachment.sites;
      const chain = first === undefined ? [place] : siteFacts(view, first).chain.map((id) => Number(id.slice(6)));
      const verdict = outcome.verdict === 'chained' || outcome.verdict === 'shared' ? outcome.verdict : 'attached';
      return { verdict, rule: undefined, warnings, chain, facts, kernel: next };
    },
    detach(kernel, place) {
      const decision = decideDetach(world, kernel.state, kernel.text, idOf(place));
      const { outcome, warnings } = decision;
      const fault = outcome.kind === 'refused' ? { fault: outcome.fault.rule } : {};
      return { kernel: after(kernel, decision), warnings, ...fault };
    },
    settle(kernel) {
      let settled = kernel;
      while (settled.state.optimizer.isKicked) {
        const { state, ops } = decideOptimizer(world, settled.state, settled.text);
        settled = { state, text: settled.text.after(ops) };
      }
      return settled;
    },
    audit: (kernel) => audit(world, kernel, base),
    call: (kernel) => (machine === undefined ? [] : firingProblems(machine, world, kernel, places)),
  };
}

/** ftrace has shut itself down: every site stays as it is, whoever leaves. */
export const isDead = ({ state }: MatrixKernel): boolean => state.ftrace.isDisabled;

export const isHere = ({ state }: MatrixKernel, place: number): boolean => state.attachments.has(idOf(place));
