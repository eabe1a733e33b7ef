/** The part of a packed image that loading modules needs: what the kernel exports, and the little of its data that patching a module looks at. */
import { kernelAddress } from '../../base/index.ts';
import type { BootMachine } from '../boot/index.ts';
import type { ExportedSymbol, ModuleSupport } from '../kernel-image.ts';
import type { Columns, Packed } from '../packed/container.ts';
import type { RawKernel, RawSection } from '../raw-kernel.ts';
import type { RawSymbols } from '../raw-symbols.ts';
import { upperBound } from '../symbol-index.ts';
import { type ExportColumns, readExports } from './exports.ts';

/** Larger exported objects are tables that no patch site looks into. */
const OBJECT_MAX = 4096;
const VERMAGIC_MAX = 256;

interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

function vermagicOf(kernel: RawKernel): string | undefined {
  const at = kernel.symbolOffset('vermagic');
  if (at === undefined) return undefined;
  for (let length = VERMAGIC_MAX; length > 0; length >>= 1) {
    const bytes = kernel.read(at, length);
    const end = bytes?.indexOf(0) ?? -1;
    if (bytes !== undefined && end >= 0) return Buffer.from(bytes.subarray(0, end)).toString('latin1');
  }
  return undefined;
}

/** Contents of the object that a symbol names, up to the next symbol. */
function objectAt(kernel: RawKernel, symbols: RawSymbols, offset: number): Piece | undefined {
  const address = kernel.base + BigInt(offset);
  const next = symbols.addresses[upperBound(symbols.addresses, address)];
  const size = next === undefined ? 0 : Number(next - address);
  if (size === 0 || size > OBJECT_MAX) return undefined;
  const bytes = kernel.read(offset, size);
  return bytes === undefined ? undefined : { at: offset, bytes };
}

const isData = (sections: readonly RawSection[], offset: number): boolean => {
  const section = sections.find((s) => s.offset !== undefined && offset >= s.offset && offset < s.offset + s.size);
  return section !== undefined && !section.executable;
};

/** Exported objects, pv_ops and the template of call thunks. */
function piecesOf(kernel: RawKernel & { readonly symbols: RawSymbols }, exports: ExportColumns): readonly Piece[] {
  const pieces = new Map<number, Piece>();
  const keep = (piece: Piece | undefined): void => void (piece !== undefined && pieces.set(piece.at, piece));
  for (const address of exports.address) {
    const offset = Number(address - kernel.base);
    if (offset > 0 && isData(kernel.sections, offset)) keep(objectAt(kernel, kernel.symbols, offset));
  }
  const ops = kernel.symbolOffset('pv_ops');
  if (ops !== undefined) keep(objectAt(kernel, kernel.symbols, ops));
  const template = kernel.symbolOffset('skl_call_thunk_template');
  const tail = kernel.symbolOffset('skl_call_thunk_tail');
  const accounting =
    template === undefined || tail === undefined || tail <= template || tail - template > OBJECT_MAX
      ? undefined
      : kernel.read(template, tail - template);
  if (template !== undefined && accounting !== undefined) keep({ at: template, bytes: accounting });
  return [...pieces.values()].sort((a, b) => a.at - b.at);
}

function concatenated(pieces: readonly Piece[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let at = 0;
  for (const { bytes } of pieces) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}

export interface ModuleMeta {
  readonly vermagic?: string;
  readonly hasExports: boolean;
  readonly capabilities: readonly number[];
}

export function moduleColumns(
  kernel: RawKernel & { readonly symbols: RawSymbols },
  machine: BootMachine,
): { readonly meta: ModuleMeta; readonly columns: Columns } {
  const exports = readExports(kernel);
  const pieces = piecesOf(kernel, exports ?? { names: new Uint8Array(0), address: [], gplFrom: 0, crc: [] });
  const states = [...machine.keyStates].filter(([key]) => key >= 0);
  const vermagic = vermagicOf(kernel);
  return {
    meta: {
      ...(vermagic === undefined ? {} : { vermagic }),
      hasExports: exports !== undefined,
      capabilities: machine.capabilities,
    },
    columns: {
      'exports.names': exports?.names ?? new Uint8Array(0),
      'exports.address': BigUint64Array.from(exports?.address ?? []),
      'exports.gplFrom': Uint32Array.of(exports?.gplFrom ?? 0),
      'exports.crc': Uint32Array.from(exports?.crc ?? []),
      'data.at': Uint32Array.from(pieces, ({ at }) => at),
      'data.size': Uint32Array.from(pieces, ({ bytes }) => bytes.length),
      'data.bytes': concatenated(pieces),
      'keyStates.key': Uint32Array.from(states, ([key]) => key),
      'keyStates.isOn': Uint8Array.from(states, ([, isOn]) => Number(isOn)),
    },
  };
}

function exportsOf(packed: Packed): ReadonlyMap<string, ExportedSymbol> {
  const names = Buffer.from(packed.u8('exports.names')).toString('latin1').split('\0');
  const addresses = packed.u64('exports.address');
  const crcs = packed.u32('exports.crc');
  const gplFrom = packed.u32('exports.gplFrom')[0] ?? 0;
  const found = new Map<string, ExportedSymbol>();
  for (const [i, address] of addresses.entries()) {
    const name = names[i] ?? '';
    const crc = crcs[i];
    const symbol = {
      name,
      address: kernelAddress(address),
      isGpl: i >= gplFrom,
      ...(crc === undefined ? {} : { crc }),
    };
    if (!found.has(name)) found.set(name, symbol);
  }
  return found;
}

function dataReader(packed: Packed): ModuleSupport['readData'] {
  const starts = packed.u32('data.at');
  const sizes = packed.u32('data.size');
  const bytes = packed.u8('data.bytes');
  const places: number[] = [];
  let sum = 0;
  for (const size of sizes) {
    places.push(sum);
    sum += size;
  }
  return (offset, length) => {
    const i = upperBound(starts, offset) - 1;
    const within = offset - (starts[i] ?? 0);
    if (i < 0 || within + length > (sizes[i] as number)) return undefined;
    const at = (places[i] as number) + within;
    return bytes.subarray(at, at + length);
  };
}

/** Tables become maps when the first module is loaded: most services never load one. */
export function openModuleSupport(packed: Packed, meta: ModuleMeta): ModuleSupport {
  let exports: ReadonlyMap<string, ExportedSymbol> | undefined;
  let states: ReadonlyMap<number, boolean> | undefined;
  let read: ModuleSupport['readData'] | undefined;
  const keyStates = (): ReadonlyMap<number, boolean> => {
    const on = packed.u8('keyStates.isOn');
    states ??= new Map(Array.from(packed.u32('keyStates.key'), (key, i) => [key, on[i] === 1]));
    return states;
  };
  return {
    vermagic: meta.vermagic,
    hasExports: meta.hasExports,
    exported: (name) => {
      exports ??= exportsOf(packed);
      return exports.get(name);
    },
    capabilities: meta.capabilities,
    keyState: (key) => keyStates().get(key),
    readData: (offset, length) => {
      read ??= dataReader(packed);
      return read(offset, length);
    },
  };
}
