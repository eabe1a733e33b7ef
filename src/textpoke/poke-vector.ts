import { invariant } from '../base/index.ts';
import {
  CALL_INSN_OPCODE,
  INT3_INSN_OPCODE,
  INT3_INSN_SIZE,
  JMP8_INSN_OPCODE,
  JMP32_INSN_OPCODE,
  RET_INSN_OPCODE,
} from '../insn/index.ts';

/** What an int3 handler may know of a poke: `struct text_poke_loc` (arch/x86/kernel/alternative.c, 6.12) without the bytes to write. */
export interface PokeVectorEntry {
  /** The site, counted from `_text`. */
  readonly at: number;
  /** Bytes that the poke replaces. */
  readonly len: number;
  /** INT3, RET, CALL, JMP8, JMP32 or 0x70 to 0x7f. */
  readonly opcode: number;
  /** From the site's end. */
  readonly disp: number;
}

/** `struct bp_patching_desc`. Entries ascend strictly; they mean something only while `refs` is above 0. */
export interface PokeVector {
  readonly refs: number;
  readonly entries: readonly PokeVectorEntry[];
}

export const UNPUBLISHED: PokeVector = Object.freeze({ refs: 0, entries: Object.freeze([]) });

/**
 * What poke_int3_handler does with a trap. Places count from `_text`.
 * `not-ours`: no vector, or no such site in it. `not-consumed`: the site becomes an int3 that somebody else wants to see.
 */
export type PokeInt3Answer =
  | { readonly kind: 'not-ours' }
  | { readonly kind: 'not-consumed' }
  /** ip := popped return address. */
  | { readonly kind: 'ret' }
  /** Push `returnTo`, ip := target. */
  | { readonly kind: 'call'; readonly target: number; readonly returnTo: number }
  | { readonly kind: 'jmp'; readonly target: number }
  /** ip := target when {@link jccTaken}, else next. `condition` is the opcode's low nibble. */
  | { readonly kind: 'jcc'; readonly condition: number; readonly target: number; readonly next: number };

/**
 * poke_int3_handler (arch/x86/kernel/alternative.c, 6.12) on plain data. The handler plays the *new* instruction, never the old one.
 *
 * @param vector as published, from a handler that holds a reference @param ip where the trap returns to: one past the int3
 */
export function pokeInt3Handler(vector: PokeVector, ip: number): PokeInt3Answer {
  if (vector.refs === 0) return { kind: 'not-ours' };
  const site = ip - INT3_INSN_SIZE;
  const entry = findEntry(vector.entries, site);
  if (entry === undefined) return { kind: 'not-ours' };
  const next = site + entry.len;
  const target = next + entry.disp;
  switch (entry.opcode) {
    case INT3_INSN_OPCODE:
      return { kind: 'not-consumed' };
    case RET_INSN_OPCODE:
      return { kind: 'ret' };
    case CALL_INSN_OPCODE:
      return { kind: 'call', target, returnTo: next };
    case JMP32_INSN_OPCODE:
    case JMP8_INSN_OPCODE:
      return { kind: 'jmp', target };
    default:
      invariant(entry.opcode >= 0x70 && entry.opcode <= 0x7f, () => `poke vector with opcode ${entry.opcode}`);
      return { kind: 'jcc', condition: entry.opcode & 0xf, target, next };
  }
}

function findEntry(entries: readonly PokeVectorEntry[], site: number): PokeVectorEntry | undefined {
  let low = 0;
  let high = entries.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry === undefined || entry.at === site) return entry;
    if (entry.at < site) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

const CF = 1 << 0;
const PF = 1 << 2;
const ZF = 1 << 6;
const SF = 1 << 7;
const OF = 1 << 11;

/** int3_emulate_jcc (arch/x86/include/asm/text-patching.h, 6.12): whether condition 0 to 15 holds in saved `flags` (low 32 bits of RFLAGS). */
export function jccTaken(condition: number, flags: number): boolean {
  const isLess = ((flags & SF) !== 0) !== ((flags & OF) !== 0);
  const holds = [
    (flags & OF) !== 0,
    (flags & CF) !== 0,
    (flags & ZF) !== 0,
    (flags & (CF | ZF)) !== 0,
    (flags & SF) !== 0,
    (flags & PF) !== 0,
    isLess,
    isLess || (flags & ZF) !== 0,
  ][condition >> 1];
  invariant(holds !== undefined, () => `condition ${condition}`);
  return holds !== ((condition & 1) === 1);
}
