/** From what a request names to the static key it means. */
import { err, ok, type Result } from '../../base/index.ts';
import { locate, type Place, scopeOf } from '../place.ts';
import { JUMP_LABEL_AMBIGUOUS_KEY, JUMP_LABEL_UNKNOWN_KEY } from '../rules/jump-label.ts';
import { refuse } from '../rules/rule.ts';
import type { World } from '../world.ts';
import { keyEntries, keyOf, keysBetween, labelAt } from './keys.ts';

/** Static keys inside the variables of that name. */
function keysNamed(world: World, place: Place & { readonly kind: 'symbol' }): readonly number[] {
  const symbols = scopeOf(world, place)?.image.symbols.byName(place.name) ?? [];
  return symbols.flatMap(({ offset, size }) => (offset === undefined ? [] : keysBetween(world, offset, offset + size)));
}

/** A key by its address, one of its branches, or the variable that it is or is part of. */
export function targetKey(world: World, place: Place, text: string): Result<number> {
  const isVariable = place.kind === 'symbol' && place.delta === 0;
  const namesakes = place.kind === 'symbol' ? (scopeOf(world, place)?.image.symbols.byName(place.name).length ?? 0) : 1;
  const named = isVariable ? keysNamed(world, place) : [];
  const at = locate(world, place);
  if (at !== undefined && namesakes === 1) {
    if (keyEntries(world, at) !== undefined) return ok(at);
    const label = labelAt(world, at);
    if (label !== undefined) return ok(keyOf(world, label));
  }
  if (named.length === 1) return ok(named[0] as number);
  if (named.length > 1)
    return err(
      refuse(JUMP_LABEL_AMBIGUOUS_KEY, { detail: `${text} stands for ${named.length} static keys.`, place: text }),
    );
  const detail =
    at === undefined
      ? `${text} is not in the kernel's symbol table.`
      : `${text} is no static key that the jump table names, and no static branch.`;
  return err(refuse(JUMP_LABEL_UNKNOWN_KEY, { detail, place: text }));
}
