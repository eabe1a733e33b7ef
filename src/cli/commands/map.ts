/** Commands about BPF maps. */
import type { MapEntryView, MapRecords, MapRequest, MapView } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { table } from '../output.ts';
import { UsageError } from '../usage.ts';

const mapText = (map: MapView): string =>
  table([
    ['map', `${map.id}, number ${map.number}`],
    ['name', map.name],
    ['type', map.type],
    ['key, value', `${map.keySize}, ${map.valueSize} bytes${map.cpus > 1 ? ` for each of ${map.cpus} CPUs` : ''}`],
    ['max entries', String(map.maxEntries)],
    ['flags', [...map.flags, ...(map.frozen ? ['frozen'] : [])].join(' ') || '-'],
    ['memory', `${map.memory.used} of ${map.memory.reserved} bytes at ${map.address}`],
    ['client', `${map.client} since ${map.since}`],
    ['programs', map.programs.join(' ') || '-'],
  ]);

const entryText = (entry: MapEntryView): string => {
  const held = entry.program ?? entry.stack?.join(' < ') ?? entry.values?.join(' ') ?? entry.value;
  return `${entry.key}${held === null ? '' : `: ${held}`}\n`;
};

/** `7` is a number as little-endian bytes, `hex:00ff` bytes, `str:abc` a string with its NUL; padded to `size`. */
export function bytesOf(text: string, size: number): string {
  const given = text.startsWith('hex:')
    ? Buffer.from(text.slice(4), 'hex')
    : text.startsWith('str:')
      ? Buffer.from(`${text.slice(4)}\0`)
      : numberOf(text, size);
  if (given.length > size) throw new UsageError(`It has more than ${size} bytes.`, text, 0);
  return Buffer.concat([given, Buffer.alloc(size - given.length)]).toString('hex');
}

function numberOf(text: string, size: number): Buffer {
  if (!/^(?:-?\d+|0x[0-9a-fA-F]+)$/.test(text))
    throw new UsageError('It is neither a number, hex:BYTES nor str:TEXT.', text, 0);
  const value = BigInt.asUintN(8 * size, BigInt(text));
  if (value !== BigInt(text) && BigInt.asIntN(8 * size, value) !== BigInt(text))
    throw new UsageError(`It has more than ${size} bytes.`, text, 0);
  const hex = value.toString(16).padStart(2 * size, '0');
  return Buffer.from(hex, 'hex').reverse();
}

export interface MapFlags {
  readonly key?: string;
  readonly value?: string;
  readonly flags?: string;
}

const number = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new UsageError('It must be a number.', text, 0);
  return value;
};

export async function create(
  { client, show }: Context,
  type: string,
  name: string,
  entries: string,
  flags: MapFlags,
): Promise<ExitCode> {
  const size = type === 'ringbuf' ? '0' : '4';
  const request = {
    name,
    type: type as MapRequest['type'],
    keySize: number(flags.key ?? size),
    valueSize: number(flags.value ?? size),
    maxEntries: number(entries),
    flags: number(flags.flags ?? '0'),
  };
  return show(await client.createMap(request), mapText);
}

export async function ls({ client, show }: Context): Promise<ExitCode> {
  return show(await client.maps({ limit: 1000 }), ({ items }) =>
    table([
      ['ID', 'TYPE', 'ENTRIES', 'CLIENT', 'NAME'],
      ...items.map((map) => [map.id, map.type, String(map.maxEntries), map.client, map.name]),
    ]),
  );
}

export const showMap = async ({ client, show }: Context, id: string): Promise<ExitCode> =>
  show(await client.map(id), mapText);

export const remove = async ({ client, show }: Context, id: string): Promise<ExitCode> =>
  show(await client.deleteMap(id), ({ name }) => `${id} (${name}) deleted\n`);

export const dump = async ({ client, show }: Context, id: string): Promise<ExitCode> =>
  show(await client.mapEntries(id, { limit: 1000 }), ({ items, nextCursor }) =>
    items
      .map(entryText)
      .join('')
      .concat(nextCursor === null ? '' : `and more from ${nextCursor} on\n`),
  );

export async function lookup({ client, show }: Context, id: string, key: string): Promise<ExitCode> {
  const map = await client.map(id);
  if (!map.ok) return show(map, mapText);
  return show(await client.mapEntry(id, bytesOf(key, map.value.keySize)), entryText);
}

export async function update({ client, show }: Context, id: string, key: string, value: string): Promise<ExitCode> {
  const map = await client.map(id);
  if (!map.ok) return show(map, mapText);
  const held = value.startsWith('prog_') ? { program: value } : { value: bytesOf(value, map.value.valueSize) };
  return show(await client.updateMapEntry(id, { key: bytesOf(key, map.value.keySize), ...held }), entryText);
}

export async function forget({ client, show }: Context, id: string, key: string): Promise<ExitCode> {
  const map = await client.map(id);
  if (!map.ok) return show(map, mapText);
  return show(await client.deleteMapEntry(id, bytesOf(key, map.value.keySize)), () => '');
}

const recordsText = ({ records, lost }: MapRecords): string =>
  records
    .map(({ cpu, bytes }) => `${cpu === null ? '' : `CPU ${cpu}: `}${bytes}\n`)
    .join('')
    .concat(lost === 0 ? '' : `${lost} lost\n`);

export async function records(
  { client, show }: Context,
  id: string,
  { wait = 0, keep = false }: { readonly wait?: number; readonly keep?: boolean },
): Promise<ExitCode> {
  const query = { waitMs: wait * 1000 };
  return show(await (keep ? client.mapRecords(id, query) : client.consumeMapRecords(id, query)), recordsText);
}
