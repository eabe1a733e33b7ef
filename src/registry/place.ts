import { parseAddress, toOffset } from '../base/index.ts';
import { onlyModule } from '../image/index.ts';
import type { World } from './world.ts';

/** `tcp_set_state`, `tcp_set_state+0x10`, `tcp_set_state-8`, `nf_tables:nft_do_chain`, `0xffffffff81a3c4d0`. */
export type Place =
  | {
      readonly kind: 'symbol';
      /** `lab` of `lab:lab_t1`: looked up in that module alone; `vmlinux` stands for the kernel itself. */
      readonly module?: string;
      readonly name: string;
      readonly delta: number;
    }
  | { readonly kind: 'address'; readonly address: bigint };

const SYMBOL = /^(?:([\w-]{1,55}):)?([A-Za-z_.$][\w.$]*)(?:([+-])(0x[0-9a-fA-F]{1,8}|\d{1,9}))?$/;

/** undefined when the text is no place. */
export function parsePlace(text: string): Place | undefined {
  const address = parseAddress(text);
  if (address !== undefined) return { kind: 'address', address };
  const match = SYMBOL.exec(text);
  if (match === null) return undefined;
  const distance = match[4] === undefined ? 0 : Number(match[4]);
  return {
    kind: 'symbol',
    // Dashes of a file's name are underscores in the module's (include/linux/moduleparam.h, KBUILD_MODNAME).
    ...(match[1] === undefined ? {} : { module: match[1].replaceAll('-', '_') }),
    name: match[2] as string,
    delta: match[3] === '-' ? -distance : distance,
  };
}

/** Where a place is, when its symbol exists and it lies in the kernel's 4 GiB; nothing about what may be done there. */
export function locate(world: World, place: Place): number | undefined {
  if (place.kind === 'address') return toOffset(world.image.base, place.address);
  const start = scopeOf(world, place)?.image.symbols.offsetOf(place.name);
  return start === undefined || start + place.delta < 0 ? undefined : start + place.delta;
}

const VMLINUX = 'vmlinux';
const SCOPES = new WeakMap<World, Map<string, World>>();

/** The world in which a place's symbol is looked up: a module's own when the place names one. undefined when that module is not loaded. */
export function scopeOf(world: World, place: Place): World | undefined {
  if (place.kind === 'address' || place.module === undefined) return world;
  const { module: name } = place;
  if (name === VMLINUX) return { ...world, image: (world.core ?? world).image };
  const module = world.image.modules.find((each) => each.name === name);
  if (module === undefined) return undefined;
  const scopes = SCOPES.get(world) ?? new Map<string, World>();
  SCOPES.set(world, scopes);
  const scope = scopes.get(name) ?? { ...world, image: onlyModule(world.image, module) };
  scopes.set(name, scope);
  return scope;
}

/** `lab:lab_t1` as it was written. */
export const placeName = (place: Place & { readonly kind: 'symbol' }): string =>
  place.module === undefined ? place.name : `${place.module}:${place.name}`;
