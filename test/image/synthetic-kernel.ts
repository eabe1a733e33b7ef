import { btfWriter } from './btf-writer.ts';
import { byteWriter } from './byte-writer.ts';
import { type WrittenSection, writeElf } from './elf-writer.ts';
import { type KallsymsAddressing, type KallsymsOrder, type WrittenSymbol, writeKallsyms } from './kallsyms-writer.ts';

export const SYNTHETIC_BASE = 0xffff_ffff_8100_0000n;
export const SYNTHETIC_RELEASE = '6.12.0-synthetic';
/** Functions fn_0, fn_1 …; one more than fit one kallsyms marker and its neighbour. */
export const FUNCTION_COUNT = 300;
const FUNCTIONS = 0x1000;
const STRIDE = 0x40;
const PADDING = 0x10;
const RODATA = 0x20_0000;
const DATA = 0x40_0000;
const INIT_TEXT = 0x50_0000;
const INIT_DATA = 0x60_0000;
const END = 0x80_0000;
const BTF_IDS = RODATA + 0xa0000;
/** BTF id of the one function of the fmod_ret table, fn_0. */
const FMODRET_ID = 9;

export interface SyntheticOptions {
  readonly order?: KallsymsOrder;
  readonly addressing?: KallsymsAddressing;
  readonly alternativeSize?: 12 | 14;
  readonly bugSize?: 8 | 12;
  readonly symbols?: 'kallsyms' | 'symtab' | 'none';
  readonly hasBtf?: boolean;
}

/** Offset of fn_i from `_text`. */
export const functionOffset = (i: number): number => FUNCTIONS + i * STRIDE + PADDING;

/** Instruction at fn_i + 9 by i % 5. */
const BODIES = ['jump-label-2', 'jump-label-5', 'static-call', 'bug', 'lock'] as const;
const bodiesOf = (kind: (typeof BODIES)[number]): number[] =>
  Array.from({ length: FUNCTION_COUNT }, (_, i) => i)
    .filter((i) => BODIES[i % BODIES.length] === kind)
    .map((i) => functionOffset(i) + 9);

const FENTRY = 0x100;
const RETURN_THUNK = 0x120;
const TRAMPOLINE = 0x140;

const relative32 = (opcode: number, from: number, to: number): number[] => {
  const bytes = byteWriter()
    .u8(opcode)
    .u32((to - from - 5) >>> 0);
  return [...bytes.done()];
};

function text(): Uint8Array {
  const bytes = new Uint8Array(functionOffset(FUNCTION_COUNT)).fill(0x90);
  bytes.set([0xc3], FENTRY);
  bytes.set([0xc3, 0xcc], RETURN_THUNK);
  bytes.set([...relative32(0xe9, TRAMPOLINE, RETURN_THUNK), 0x0f, 0xb9, 0xcc], TRAMPOLINE);
  for (let i = 0; i < FUNCTION_COUNT; i++) {
    const at = functionOffset(i);
    bytes.set([0xf3, 0x0f, 0x1e, 0xfa, ...relative32(0xe8, at + 4, FENTRY)], at);
    const body = at + 9;
    const kind = BODIES[i % BODIES.length];
    if (kind === 'jump-label-2') bytes.set([0xeb, 0x02], body);
    if (kind === 'jump-label-5') bytes.set([0x0f, 0x1f, 0x44, 0x00, 0x00], body);
    if (kind === 'static-call') bytes.set(relative32(0xe8, body, TRAMPOLINE), body);
    if (kind === 'bug') bytes.set([0x0f, 0x0b], body);
    if (kind === 'lock') bytes.set([0xf0, 0xff, 0x07], body);
    bytes.set([...relative32(0xe9, at + 0x20, RETURN_THUNK), 0xcc], at + 0x20);
  }
  return bytes;
}

/** A table that will lie at `offset`: s32 relative to their own place. */
function placeRelative(offset: number, targets: readonly number[]): Uint8Array {
  const out = byteWriter();
  for (const target of targets) out.u32((target - (offset + out.length)) >>> 0);
  return out.done();
}

interface Table {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

const KEY = DATA + 0x100;

function jumpTable(offset: number): Table {
  const out = byteWriter();
  const codes = [...bodiesOf('jump-label-2'), ...bodiesOf('jump-label-5')];
  codes.forEach((code, i) => {
    out.u32((code - (offset + out.length)) >>> 0).u32((code + 4 - (offset + out.length)) >>> 0);
    out.u64(BigInt(KEY + i * 16 - (offset + out.length)) | BigInt(i & 1));
  });
  return { offset, bytes: out.done() };
}

function staticCallSites(offset: number): Table {
  const out = byteWriter();
  bodiesOf('static-call').forEach((site, i) => {
    out.u32((site - (offset + out.length)) >>> 0);
    out.u32(((KEY + 0x4000 - (offset + out.length)) | (i & 1)) >>> 0);
  });
  return { offset, bytes: out.done() };
}

function bugTable(offset: number, size: 8 | 12): Table {
  const out = byteWriter();
  for (const place of bodiesOf('bug')) {
    out.u32((place - (offset + out.length)) >>> 0);
    out.bytes(new Uint8Array(size - 4));
  }
  return { offset, bytes: out.done() };
}

function alternatives(offset: number, replacement: number, size: 12 | 14): Table {
  const out = byteWriter();
  for (const place of bodiesOf('lock')) {
    out.u32((place - (offset + out.length)) >>> 0).u32((replacement - (offset + out.length)) >>> 0);
    out.u16(3);
    if (size === 14) out.u16(0);
    out.u8(3).u8(1);
  }
  return { offset, bytes: out.done() };
}

const mcountOffsets = (): number[] => Array.from({ length: FUNCTION_COUNT }, (_, i) => functionOffset(i) + 4);

function absolute64(offset: number, values: readonly number[]): Table {
  const out = byteWriter();
  out.u64(0n);
  for (const value of values) out.u64(SYNTHETIC_BASE + BigInt(value));
  return { offset, bytes: out.done() };
}

function writeBtf(): Uint8Array {
  const btf = btfWriter();
  const int = btf.int('int', 4, 1);
  const bool = btf.int('_Bool', 1, 4);
  const pair = btf.struct('pair', 16);
  const pairPointer = btf.pointer(pair);
  const callback = btf.pointer(btf.proto(int, [['', btf.pointer(0)]]));
  btf.func('fn_0', btf.proto(0, []));
  btf.func(
    'fn_1',
    btf.proto(int, [
      ['p', pairPointer],
      ['state', int],
    ]),
  );
  btf.func(
    'fn_2',
    btf.proto(btf.typedef('ok_t', bool), [
      ['by_value', pair],
      ['cb', callback],
    ]),
  );
  btf.func(
    'fn_3',
    btf.proto(pairPointer, [
      ['fmt', btf.pointer(btf.constant(btf.int('char', 1)))],
      ['', 0],
    ]),
  );
  return btf.done();
}

function symtab(symbols: readonly WrittenSymbol[], indexOf: (address: bigint) => number): WrittenSection[] {
  const table = byteWriter().bytes(new Uint8Array(24));
  const strings = byteWriter().u8(0);
  for (const { name, address, type } of symbols) {
    const binding = type === type.toLowerCase() ? 0 : 1;
    table
      .u32(strings.length)
      .u8((binding << 4) | 2)
      .u8(0)
      .u16(indexOf(address))
      .u64(address)
      .u64(0n);
    strings.text(name).u8(0);
  }
  return [
    { name: '.symtab', address: 0n, flags: '', type: 2, link: '.strtab', entrySize: 24, bytes: table.done() },
    { name: '.strtab', address: 0n, flags: '', type: 3, bytes: strings.done() },
  ];
}

interface Laid {
  readonly banner: Table;
  readonly jumps: Table;
  readonly calls: Table;
  readonly mcount: Table;
  readonly blacklist: Table;
}

function symbolsOf(laid: Laid): WrittenSymbol[] {
  const at = (name: string, offset: number, type: string): WrittenSymbol => ({
    name,
    address: SYNTHETIC_BASE + BigInt(offset),
    type,
  });
  const around = (start: string, stop: string, table: Table): WrittenSymbol[] => [
    at(start, table.offset, 'D'),
    at(stop, table.offset + table.bytes.length, 'D'),
  ];
  const functions = Array.from({ length: FUNCTION_COUNT }, (_, i) => [
    at(`__pfx_fn_${i}`, functionOffset(i) - PADDING, 'T'),
    at(`fn_${i}`, functionOffset(i), 'T'),
    ...(i % 100 === 7 ? [at('twin', functionOffset(i), 't')] : []),
  ]).flat();
  const symbols = [
    { name: 'per_cpu_thing', address: 0x1000n, type: 'A' },
    at('_text', 0, 'T'),
    at('__fentry__', FENTRY, 'T'),
    at('__x86_return_thunk', RETURN_THUNK, 'T'),
    at('__SCT__call', TRAMPOLINE, 'T'),
    ...functions,
    at('__noinstr_text_start', functionOffset(10) - PADDING, 'T'),
    at('__noinstr_text_end', functionOffset(12) - PADDING, 'T'),
    at('linux_banner', laid.banner.offset, 'R'),
    at('bpf_test_modify_return_ids', BTF_IDS, 'r'),
    ...around('__start___jump_table', '__stop___jump_table', laid.jumps),
    ...around('__start_static_call_sites', '__stop_static_call_sites', laid.calls),
    at('key', KEY, 'd'),
    ...around('__start_mcount_loc', '__stop_mcount_loc', laid.mcount),
    ...around('__start_kprobe_blacklist', '__stop_kprobe_blacklist', laid.blacklist),
    at('_end', END, 'B'),
  ];
  return symbols
    .map((symbol, i) => ({ symbol, i }))
    .sort((a, b) => (a.symbol.address < b.symbol.address ? -1 : a.symbol.address > b.symbol.address ? 1 : a.i - b.i))
    .map(({ symbol }) => symbol);
}

/** Bytes of several tables at their places in one section that begins at `start`. */
function section(start: number, tables: readonly Table[]): Uint8Array {
  const bytes = new Uint8Array(Math.max(...tables.map((t) => t.offset + t.bytes.length)) - start);
  for (const table of tables) bytes.set(table.bytes, table.offset - start);
  return bytes;
}

function tablesOf(): Laid {
  return {
    banner: {
      offset: RODATA,
      bytes: Buffer.from(`Linux version ${SYNTHETIC_RELEASE} (someone@somewhere) #1 SMP\n\0`, 'latin1'),
    },
    jumps: jumpTable(RODATA + 0x1000),
    calls: staticCallSites(RODATA + 0x4000),
    mcount: absolute64(INIT_DATA, mcountOffsets()),
    blacklist: absolute64(INIT_DATA + 0x2000, [functionOffset(1), functionOffset(3)]),
  };
}

/** A kernel of {@link FUNCTION_COUNT} functions with the sections and tables of a real one, small enough to fuzz. */
export function syntheticKernel(options: SyntheticOptions = {}): {
  readonly elf: Uint8Array;
  readonly symbols: readonly WrittenSymbol[];
} {
  const laid = tablesOf();
  const symbols = symbolsOf(laid).filter(
    (s) => s.address >= SYNTHETIC_BASE || (options.addressing ?? 'percpu') !== 'relative',
  );
  const kallsyms =
    (options.symbols ?? 'kallsyms') === 'kallsyms'
      ? writeKallsyms(symbols, SYNTHETIC_BASE, options.order ?? 'after', options.addressing ?? 'percpu')
      : new Uint8Array(8);
  const address = (offset: number): bigint => SYNTHETIC_BASE + BigInt(offset);
  const at = (name: string, flags: string, offset: number, bytes: Uint8Array): WrittenSection => ({
    name,
    flags,
    address: address(offset),
    bytes,
  });
  const replacement = INIT_TEXT + 0x1000;
  const sites = INIT_DATA + 0x8000;
  const lists = {
    returns: sites,
    seals: sites + 0x1000,
    locks: sites + 0x2000,
    alternatives: sites + 0x4000,
    bugs: DATA + 0x8000,
    ex: RODATA + 0x80000,
  };
  const sections: WrittenSection[] = [
    at('.text', 'AX', 0, text()),
    at(
      '.rodata',
      'WA',
      RODATA,
      section(RODATA, [laid.banner, laid.jumps, laid.calls, { offset: RODATA + 0x8000, bytes: kallsyms }]),
    ),
    at(
      '__ex_table',
      'A',
      lists.ex,
      byteWriter()
        .u32((functionOffset(4) + 9 - lists.ex) >>> 0)
        .u32(0)
        .u32(0)
        .done(),
    ),
    ...(options.hasBtf === false ? [] : [at('.BTF', 'A', RODATA + 0x90000, writeBtf())]),
    at('.BTF_ids', 'A', BTF_IDS, byteWriter().u32(1).u32(1).u32(FMODRET_ID).u32(0x20).done()),
    at('.data', 'WA', DATA, new Uint8Array(0x6000)),
    at('__bug_table', 'WA', lists.bugs, bugTable(lists.bugs, options.bugSize ?? 12).bytes),
    { name: '.data..percpu', flags: 'WA', address: 0n, bytes: new Uint8Array(0x2000) },
    at('.init.text', 'AX', INIT_TEXT, new Uint8Array(0x100).fill(0x90)),
    at('.altinstr_replacement', 'AX', replacement, Uint8Array.of(0x90, 0x90, 0x90)),
    at('.init.data', 'WA', INIT_DATA, section(INIT_DATA, [laid.mcount, laid.blacklist])),
    at(
      '.return_sites',
      'A',
      lists.returns,
      placeRelative(
        lists.returns,
        Array.from({ length: FUNCTION_COUNT }, (_, i) => functionOffset(i) + 0x20),
      ),
    ),
    at('.ibt_endbr_seal', 'A', lists.seals, placeRelative(lists.seals, [functionOffset(0), functionOffset(5)])),
    at(
      '.smp_locks',
      'A',
      lists.locks,
      Uint8Array.of(...placeRelative(lists.locks, bodiesOf('lock')), ...new Uint8Array(8)),
    ),
    at(
      '.altinstructions',
      'A',
      lists.alternatives,
      alternatives(lists.alternatives, replacement, options.alternativeSize ?? 14).bytes,
    ),
    { name: '.bss', flags: 'WA', address: address(END - 0x1000), size: 0x1000 },
  ];
  const index = (a: bigint): number =>
    Math.max(
      1,
      sections.findIndex((s) => a >= s.address && a < s.address + BigInt(s.bytes?.length ?? s.size ?? 0)) + 1,
    );
  const named = options.symbols === 'symtab' ? symtab(symbols, index) : [];
  return { elf: writeElf([...sections, ...named]), symbols };
}
