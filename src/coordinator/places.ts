import { err, formatAddress, ok, type Result, toAddress, toHex } from '../base/index.ts';
import { disassemble, INT3_INSN_OPCODE, JMP32_INSN_SIZE as JUMP_SIZE } from '../insn/index.ts';
import {
  ftraceLocation,
  locate,
  locateProgram,
  PLACE_UNKNOWN,
  parsePlace,
  parseProgramPlace,
  programFunctionAt,
  refuse,
  siteFacts,
  TARGET_INVALID,
  type Txn,
  trampolineSite,
} from '../registry/index.ts';
import { siteOwners, wireAddress } from './answers.ts';
import type { SiteOwner, TextView } from './service.ts';
import { unknownPlace } from './symbols.ts';

export const TEXT_LENGTH_MAX = 64 * 1024;

/** The offset a place stands for, in text. */
export function textOffsetOf(view: Txn, text: string): Result<number> {
  const program = parseProgramPlace(text);
  if (program !== undefined) {
    const at = locateProgram(view, program);
    return at === undefined ? err(refuse(PLACE_UNKNOWN, { detail: `${text} is not text.`, place: text })) : ok(at);
  }
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
  if (!offset.ok) return offset;
  const isProgram = programFunctionAt(view, offset.value) !== undefined;
  return ok(
    isProgram ? trampolineSite(view, offset.value) : (ftraceLocation(view.world, offset.value) ?? offset.value),
  );
}

function ownersIn(view: Txn, start: number, length: number): readonly SiteOwner[] {
  const found = new Map<string, SiteOwner>();
  for (const attachment of view.attachments.values())
    for (const site of attachment.sites)
      if (site >= start && site < start + length)
        for (const owner of siteOwners(view, siteFacts(view, site).owners)) found.set(owner.attachment, owner);
  return [...found.values()];
}

type Instruction = TextView['instructions'][number];

/** What is shown before the instruction that a probe hides. */
const PROBE_TEXTS = { int3: 'int3   # kprobe, hides: ', jump: 'jmp kprobe_optinsn_slot   # kprobe, hides: ' } as const;

/** Live text with the bytes that kprobes hide put back, so that what follows a probe is decoded from its true start. */
function withoutKprobes(
  view: Txn,
  start: number,
  live: Uint8Array,
): { readonly bytes: Uint8Array; readonly probed: ReadonlyMap<number, string> } {
  const bytes = live.slice();
  const probed = new Map<number, string>();
  for (const [at, entry] of view.kprobeTable) {
    if (entry.first === 'original' || at + JUMP_SIZE <= start || at >= start + live.length) continue;
    const hidden = [entry.opcode, ...(entry.opt?.copied ?? [])];
    for (const [i, byte] of hidden.entries())
      if (at + i >= start && at + i < start + live.length) bytes[at + i - start] = byte;
    probed.set(at, PROBE_TEXTS[entry.first]);
  }
  return { bytes, probed };
}

function instructions(view: Txn, start: number, live: Uint8Array): readonly Instruction[] {
  const { world } = view;
  const { base, symbols } = world.image;
  const symbolize = (address: bigint): string | undefined => {
    const generated = view.arena.allocations.get(Number(address - base));
    if (generated !== undefined) return generated.what;
    const symbol = symbols.containing(Number(address - base));
    if (symbol === undefined) return undefined;
    return symbol.address === address ? symbol.name : `${symbol.name}+0x${(address - symbol.address).toString(16)}`;
  };
  const { bytes, probed } = withoutKprobes(view, start, live);
  return disassemble(bytes, start, base, symbolize).map((insn) => ({
    address: wireAddress(world, insn.offset),
    bytes: toHex(live.subarray(insn.offset - start, insn.offset - start + insn.length)),
    text: `${probed.get(insn.offset) ?? ''}${insn.text}`,
    target: insn.target === undefined ? null : formatAddress(toAddress(base, insn.target)),
  }));
}

/** The longest readable piece of at most `length` bytes from here on. */
function readable(view: Txn, start: number, length: number): number {
  let low = 1;
  let high = Math.min(length, TEXT_LENGTH_MAX);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (view.text.contains(start, middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

export function textView(view: Txn, text: string, length: number): Result<TextView> {
  const offset = textOffsetOf(view, text);
  if (!offset.ok) return offset;
  const start = offset.value;
  const { world } = view;
  const live = view.text.bytes(start, readable(view, start, length));
  const isCore = world.pristine.contains(start, live.length);
  const original = isCore
    ? world.pristine.bytes(start, live.length)
    : new Uint8Array(live.length).fill(INT3_INSN_OPCODE);
  return ok({
    address: wireAddress(world, start),
    symbol: placeName(view, start),
    bytes: toHex(live),
    original: toHex(original),
    instructions: instructions(view, start, live),
    owners: ownersIn(view, start, live.length),
  });
}

/** Generated code has no symbol; what it was made for names it. */
function placeName(view: Txn, at: number): string {
  if (view.world.pristine.contains(at, 1)) return view.place(at);
  const holder = view.arena.allocations.find((each) => at >= each.at && at < each.at + each.size);
  if (holder === undefined) return 'free arena';
  return at === holder.at ? `[${holder.what}]` : `[${holder.what}]+0x${(at - holder.at).toString(16)}`;
}
