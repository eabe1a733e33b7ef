import { parseAddress, toOffset } from '../base/index.ts';
import type { World } from './world.ts';

/** `tcp_set_state`, `tcp_set_state+0x10`, `tcp_set_state-8`, `0xffffffff81a3c4d0`. */
export type Place =
  | { readonly kind: 'symbol'; readonly name: string; readonly delta: number }
  | { readonly kind: 'address'; readonly address: bigint };

const SYMBOL = /^([A-Za-z_.$][\w.$]*)(?:([+-])(0x[0-9a-fA-F]{1,8}|\d{1,9}))?$/;

/** undefined when the text is no place. */
export function parsePlace(text: string): Place | undefined {
  const address = parseAddress(text);
  if (address !== undefined) return { kind: 'address', address };
  const match = SYMBOL.exec(text);
  if (match === null) return undefined;
  const distance = match[3] === undefined ? 0 : Number(match[3]);
  return { kind: 'symbol', name: match[1] as string, delta: match[2] === '-' ? -distance : distance };
}

/** Where a place is, when its symbol exists and it lies in the kernel's 4 GiB; nothing about what may be done there. */
export function locate(world: World, place: Place): number | undefined {
  if (place.kind === 'address') return toOffset(world.image.base, place.address);
  const start = world.image.symbols.offsetOf(place.name);
  return start === undefined || start + place.delta < 0 ? undefined : start + place.delta;
}
