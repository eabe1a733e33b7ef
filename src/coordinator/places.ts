import { err, formatAddress, ok, type Result, toAddress, toHex } from '../base/index.ts';
import { disassemble } from '../insn/index.ts';
import {
  ftraceLocation,
  locate,
  PLACE_UNKNOWN,
  parsePlace,
  refuse,
  siteFacts,
  TARGET_INVALID,
  type Txn,
} from '../registry/index.ts';
import { siteOwners, wireAddress } from './answers.ts';
import type { SiteOwner, TextView } from './service.ts';
import { unknownPlace } from './symbols.ts';

export const TEXT_LENGTH_MAX = 64 * 1024;

/** The offset a place stands for, in text. */
export function textOffsetOf(view: Txn, text: string): Result<number> {
  const place = parsePlace(text);
  if (place === undefined)
    return err(refuse(TARGET_INVALID, { detail: `${JSON.stringify(text)} is not a place.`, place: text }));
  const offset = locate(view.world, place);
  if (offset === undefined) return unknownPlace(view.world, place.kind === 'symbol' ? place.name : text);
  if (view.text.contains(offset, 1)) return ok(offset);
  return err(refuse(PLACE_UNKNOWN, { detail: `${text} is not text.`, place: text }));
}

/** The site a place means: the ftrace site of a function, else the instruction itself. */
export function siteOf(view: Txn, text: string): Result<number> {
  const offset = textOffsetOf(view, text);
  return offset.ok ? ok(ftraceLocation(view.world, offset.value) ?? offset.value) : offset;
}

function ownersIn(view: Txn, start: number, length: number): readonly SiteOwner[] {
  const found = new Map<string, SiteOwner>();
  for (const attachment of view.attachments.values())
    for (const site of attachment.sites)
      if (site >= start && site < start + length)
        for (const owner of siteOwners(view, siteFacts(view, site).owners)) found.set(owner.attachment, owner);
  return [...found.values()];
}

export function textView(view: Txn, text: string, length: number): Result<TextView> {
  const offset = textOffsetOf(view, text);
  if (!offset.ok) return offset;
  let available = Math.min(length, TEXT_LENGTH_MAX);
  while (available > 1 && !view.text.contains(offset.value, available)) available = Math.floor(available / 2);
  const { world } = view;
  const bytes = view.text.bytes(offset.value, available);
  const symbolize = (address: bigint): string | undefined => {
    const distance = address - world.image.base;
    const symbol =
      distance < 0n || distance > 0xffff_ffffn ? undefined : world.image.symbols.containing(Number(distance));
    if (symbol === undefined) return undefined;
    return symbol.address === address ? symbol.name : `${symbol.name}+0x${(address - symbol.address).toString(16)}`;
  };
  return ok({
    address: wireAddress(world, offset.value),
    symbol: view.place(offset.value),
    bytes: toHex(bytes),
    original: toHex(
      world.image.pristine.contains(offset.value, available)
        ? world.pristine.bytes(offset.value, available)
        : new Uint8Array(available).fill(0xcc),
    ),
    instructions: disassemble(bytes, offset.value, world.image.base, symbolize).map((insn) => ({
      address: wireAddress(world, insn.offset),
      bytes: toHex(insn.bytes),
      text: insn.text,
      target: insn.target === undefined ? null : formatAddress(toAddress(world.image.base, insn.target)),
    })),
    owners: ownersIn(view, offset.value, available),
  });
}
