/** Relocations against the kernel's types: CO-RE (bpf_core_calc_relo_insn, tools/lib/bpf/relo_core.c, 6.12). */
import type { Btf } from '../../../image/index.ts';
import type { CoreRelocation } from '../btf-ext.ts';
import { kindsAgree } from './compatible.ts';
import { type CoreBudget, fail } from './core-fault.ts';
import { essentialName, typesByName } from './names.ts';
import { CORE_KINDS, type CoreKind } from './relocation-kind.ts';
import { type CoreSpec, localSpec, matchSpec } from './spec.ts';
import { type CoreResult, calculate } from './values.ts';

/** Types of the kernel that may be the object's, by the object's id. Each relocation leaves those that have what it asks for. */
export type Candidates = Map<number, readonly number[]>;

export interface CoreContext {
  readonly local: Btf;
  readonly target: Btf | undefined;
  readonly candidates: Candidates;
  readonly budget: CoreBudget;
}

function candidatesOf({ local, target, candidates }: CoreContext, type: number): readonly number[] {
  const known = candidates.get(type);
  if (known !== undefined) return known;
  const name = local.types.name(type);
  if (name === '') fail(`type ${type} has no name to look for`, 'EOPNOTSUPP');
  if (target === undefined) return fail('the image has no types (.BTF)', 'ESRCH');
  const kind = local.types.kind(type);
  const found = (typesByName(target).get(essentialName(name)) ?? []).filter((id) =>
    kindsAgree(target.types.kind(id), kind),
  );
  candidates.set(type, found);
  return found;
}

interface Match {
  readonly id: number;
  readonly spec: CoreSpec;
  readonly result: CoreResult;
}

/** All candidates that match have to say the same. */
function agree(matches: readonly Match[]): void {
  const [first, ...others] = matches;
  if (first === undefined) return;
  for (const { id, spec, result } of others) {
    if (spec.bitOffset !== first.spec.bitOffset)
      fail(
        `types ${first.id} and ${id} of the kernel have it at bit ${first.spec.bitOffset} and at bit ${spec.bitOffset}`,
      );
    if (result.isPoisoned !== first.result.isPoisoned || result.to !== first.result.to)
      fail(`types ${first.id} and ${id} of the kernel say ${first.result.to} and ${result.to}`);
  }
}

const keep = (value: number): CoreResult => ({
  isPoisoned: false,
  from: undefined,
  to: BigInt(value),
  fromSize: 0,
  toSize: 0,
  isSizeWrong: false,
});

/** What to put into the instruction. Throws CoreProblem. */
export function resolveCore(context: CoreContext, relocation: CoreRelocation): CoreResult {
  const { local, target, candidates, budget } = context;
  const kind: CoreKind | undefined = CORE_KINDS[relocation.kind];
  const { type } = relocation;
  if (kind === undefined) return fail(`relocation kind ${relocation.kind} does not exist`, 'EOPNOTSUPP');
  if (type === 0 || type >= local.count) fail(`type ${type} of ${local.count}`);
  const spec = localSpec(local.types, relocation, kind, budget);
  if (kind === 'local_type_id') return keep(type);
  const matches: Match[] = [];
  for (const id of candidatesOf(context, type)) {
    const found = target === undefined ? undefined : matchSpec(spec, kind, target.types, id, budget);
    if (found !== undefined) matches.push({ id, spec: found, result: calculate(kind, spec, found) });
  }
  agree(matches);
  const [first] = matches;
  if (first === undefined) return calculate(kind, spec, undefined);
  candidates.set(
    type,
    matches.map(({ id }) => id),
  );
  return first.result;
}
