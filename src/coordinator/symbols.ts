import { err, formatAddress, ok, type Result } from '../base/index.ts';
import { type KernelSymbol, moduleAt } from '../image/index.ts';
import { attachable, PLACE_UNKNOWN, parsePlace, refuse, SYMBOL_AMBIGUOUS, type World } from '../registry/index.ts';
import { cursorStart } from './paging.ts';
import type { Page, PageRequest, SymbolView } from './service.ts';

export const ATTACHABLE_KINDS = ['kprobe', 'ftrace', 'fentry', 'fmodRet', 'livepatch'] as const;
type AttachableKind = (typeof ATTACHABLE_KINDS)[number];

export function symbolView(world: World, symbol: KernelSymbol): SymbolView {
  const { why, ...can } = attachable(world, symbol);
  return {
    name: symbol.name,
    address: formatAddress(symbol.address),
    size: symbol.size,
    type: symbol.type,
    module: symbol.offset === undefined ? null : (moduleAt(world.image, symbol.offset)?.name ?? null),
    prototype: world.image.btf?.prototype(symbol.name)?.text ?? null,
    attachable: can,
    why,
  };
}

/** A page starts behind the symbols that earlier pages looked at, so that a filter that seldom matches still moves on. */
export function listSymbols(
  world: World,
  query: { readonly match?: string; readonly attachable?: string } & PageRequest,
): Result<Page<SymbolView>> {
  const start = cursorStart(query);
  if (!start.ok) return start;
  const skip = start.value;
  const kind = query.attachable as AttachableKind | undefined;
  const items: SymbolView[] = [];
  let index = 0;
  for (const symbol of world.image.symbols.matching(query.match ?? '*')) {
    index += 1;
    if (index <= skip) continue;
    if (items.length === query.limit) return ok({ items, nextCursor: String(index - 1) });
    if (kind !== undefined && !attachable(world, symbol)[kind]) continue;
    items.push(symbolView(world, symbol));
  }
  return ok({ items, nextCursor: null });
}

export function unknownPlace(world: World, name: string): Result<never> {
  const near = world.image.symbols.near(name, 5);
  return err(
    refuse(PLACE_UNKNOWN, {
      detail: `${name} is not in ${world.image.release}.`,
      place: name,
      ...(near.length > 0 ? { remedies: [`Did you mean ${near.join(', ')}?`] } : {}),
    }),
  );
}

export function oneSymbol(world: World, name: string): Result<SymbolView> {
  const place = parsePlace(name);
  if (place?.kind === 'address') {
    const symbol = world.image.symbols.containing(Number(place.address - world.image.base));
    return symbol === undefined ? unknownPlace(world, name) : ok(symbolView(world, symbol));
  }
  const found = world.image.symbols.byName(name);
  const [only] = found;
  if (only === undefined) return unknownPlace(world, name);
  if (found.length > 1) {
    const addresses = found.map((symbol) => formatAddress(symbol.address));
    return err(
      refuse(SYMBOL_AMBIGUOUS, {
        detail: `${found.length} symbols are called ${name}: ${addresses.join(', ')}.`,
        place: name,
        remedies: addresses.map((address) => `Ask for ${address}.`),
      }),
    );
  }
  return ok(symbolView(world, only));
}
