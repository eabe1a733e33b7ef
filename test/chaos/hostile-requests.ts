/**
 * Requests that no well-behaved client sends, made from the service's own OpenAPI document. Each follows from a seed and a number. What could change
 * the kernel carries a field that no schema knows, or is no JSON at all: the service must refuse every one of them.
 */
import { type Prng, seededPrng } from '../../src/base/index.ts';

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
}

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> };
}

export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface HostileRequest {
  readonly what: string;
  readonly bytes: Buffer;
  /** Nothing comes behind these bytes, although their framing may promise it. */
  readonly isAll: boolean;
}

const pick = <T>(random: Prng, all: readonly T[]): T => all[random.below(all.length)] as T;

const STRINGS: readonly string[] = [
  '',
  ' ',
  'tcp_set_state',
  '0xffffffffffffffff',
  '-1',
  '../../etc/passwd',
  'a'.repeat(5_000),
  '\u0000',
  '\u202e\ud83d\ude00',
  "'; drop table sites; --",
  '{{7*7}}',
  '__proto__',
  'att_00000000000000000000000000',
  '*'.repeat(200),
  '1e309',
  'NaN',
  '\r\nx-injected: 1',
];
const NUMBERS: readonly number[] = [0, -1, 1.5, 2 ** 53, -(2 ** 63), 1e300, 4294967296, 65536];

/** Text of a value that may fit the schema in places; kept as text, because some of it is nothing that JSON.stringify makes. */
function valueText(random: Prng, document: ApiDocument, schema: Schema | undefined, depth: number): string {
  const known = schema?.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1) ?? ''];
  if (known === undefined || depth > 5 || random.below(5) === 0) return anyText(random);
  if (known.enum !== undefined) return JSON.stringify(pick(random, known.enum));
  if (known.anyOf !== undefined) return valueText(random, document, pick(random, known.anyOf), depth + 1);
  if (known.properties !== undefined) {
    const fields = Object.entries(known.properties).filter(() => random.below(4) > 0);
    return `{${fields.map(([name, each]) => `${JSON.stringify(name)}:${valueText(random, document, each, depth + 1)}`).join()}}`;
  }
  if (known.type === 'array')
    return `[${Array.from({ length: random.below(4) }, () => valueText(random, document, known.items, depth + 1)).join()}]`;
  return anyText(random);
}

function anyText(random: Prng): string {
  switch (random.below(9)) {
    case 0:
      return 'null';
    case 1:
      return pick(random, ['true', 'false']);
    case 2:
      return String(pick(random, NUMBERS));
    case 3:
      return '1'.repeat(400);
    case 4:
      return '['.repeat(2_000) + ']'.repeat(2_000);
    case 5:
      return `[${'0,'.repeat(random.below(3_000))}0]`;
    case 6:
      return '{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"x":1}}}';
    default:
      return JSON.stringify(pick(random, STRINGS));
  }
}

/** A body that must be refused, whatever the schema. */
function bodyBytes(random: Prng, document: ApiDocument, schema: Schema | undefined): Buffer {
  const value = valueText(random, document, schema, 0);
  const known = value.startsWith('{') && value !== '{}' ? `${value.slice(1, -1)},` : '';
  const strange = `{${known}"no_such_field":${anyText(random)}}`;
  switch (random.below(8)) {
    case 0:
      return Buffer.from(strange.slice(0, random.below(strange.length)));
    case 1:
      return Buffer.from(`${strange}${pick(random, ['}', ',', '\0', '{}', 'x'])}`);
    case 2:
      return Buffer.concat([
        Buffer.from('{"no_such_field":"'),
        Buffer.from([0xff, 0xc0, 0xaf, 0xed, 0xa0, 0x80]),
        Buffer.from('"}'),
      ]);
    case 3:
      return Buffer.from(pick(random, ['[]', 'null', '"text"', '17', '\ufeff{}x', "{'a':1}", '{a:1}']));
    case 4:
      return Buffer.from(`{"no_such_field":1,${'"kind":"kprobe",'.repeat(50)}"target":"tcp_set_state"}`);
    default:
      return Buffer.from(strange);
  }
}

const PATH_PARTS = [
  '%00',
  '%ff%fe',
  '%2e%2e%2f',
  'a'.repeat(2_000),
  'tcp_set_state%2b0x10',
  '%',
  '%zz',
  '0xffffffffffffffff',
  '~',
  '😀',
];
const QUERY_VALUES = [
  '-1',
  '0',
  '99999999999',
  '1e9',
  'NaN',
  '',
  '%00',
  'a'.repeat(3_000),
  '[]',
  '{"a":1}',
  'true',
  '%ff',
  '..',
  '18446744073709551616',
];

function target(random: Prng, path: string, operation: Operation): string {
  const filled = path.replace(/\{\w+\}/g, () => pick(random, PATH_PARTS));
  const named = (operation.parameters ?? []).filter((each) => each.in === 'query').map(({ name }) => name);
  // `all` would be somebody's right to ask: it is no malformed value.
  const names = [...named.filter((name) => name !== 'all'), 'no_such_parameter', '__proto__'];
  const query = Array.from(
    { length: random.below(4) },
    () => `${pick(random, names)}=${pick(random, QUERY_VALUES)}`,
  ).join('&');
  return query === '' ? filled : `${filled}?${query}`;
}

const STRANGE_HEADERS: readonly string[] = [
  'x-ktextd-client: \u0007bell',
  `x-ktextd-client: ${'n'.repeat(500)}`,
  'x-ktextd-session: nonsense',
  'x-ktextd-deadline-ms: -5',
  'x-ktextd-deadline-ms: soon',
  `idempotency-key: ${'k'.repeat(5_000)}`,
  'idempotency-key: \u0001',
  'if-match: W/"zzz"',
  'if-match: *',
  'authorization: Bearer \u00ff\u00fe',
  'authorization: Basic Og==',
  'origin: http://evil.example',
  'sec-fetch-site: cross-site',
  'expect: 200-maybe',
  'accept: text/nothing;q=zzz',
  'accept-encoding: bomb',
  `cookie: ${'c=1;'.repeat(2_000)}`,
  `x-long: ${'h'.repeat(20_000)}`,
  'range: bytes=-1--1',
  'connection: upgrade\r\nupgrade: websocket',
  'content-length: 5',
  'content-length: -1',
  'content-length: 99999999999999999999',
  'transfer-encoding: chunked, identity',
  'bad header without colon',
  ' : nothing',
];

const CONTENT_TYPES = [
  'application/json',
  'application/json; charset=utf-16',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'application/json\t;',
  '',
  'application/octet-stream',
];
const METHODS = [
  'TRACE',
  'OPTIONS',
  'CONNECT',
  'PROPFIND',
  'GET',
  'HEAD',
  'DELETE',
  'PATCH',
  'PUT',
  'POST',
  'get',
  'G\u0001T',
  'A'.repeat(300),
];

/** A framing that does not hold: the socket says more or less than its headers. */
function brokenFrames(random: Prng, host: string): Buffer {
  const start = `POST /v1/attachments HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\nconnection: close\r\n`;
  return Buffer.from(
    pick(random, [
      `${start}transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
      `${start}transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n`,
      `${start}content-length: 2\r\ncontent-length: 7\r\n\r\n{}`,
      `${start}transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}`,
      `POST /v1/attachments HTTP/9.9\r\nhost: ${host}\r\n\r\n`,
      'GET / HTTP/1.1\r\n\r\n',
      `GET / HTTP/1.1\r\nhost: ${host}\r\nhost: other\r\nconnection: close\r\n\r\n`,
      `GET /v1/image HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n`,
      `GET http://[::1 HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
      '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001',
      '\0'.repeat(100),
      `GET /${'a/'.repeat(20_000)} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
    ]),
    'latin1',
  );
}

/** Request number `index`. */
export function hostileRequest(document: ApiDocument, host: string, seed: number, index: number): HostileRequest {
  const random = seededPrng(seed + Math.imul(index, 0x9e3779b1));
  if (random.below(12) === 0) return { what: 'broken framing', bytes: brokenFrames(random, host), isAll: true };
  const path = pick(random, Object.keys(document.paths));
  const operations = document.paths[path] ?? {};
  const method = random.below(10) === 0 ? pick(random, METHODS) : pick(random, Object.keys(operations)).toUpperCase();
  const operation = operations[method.toLowerCase()] ?? {};
  const schema = operation.requestBody?.content['application/json']?.schema;
  const takesBody = ['POST', 'PUT', 'PATCH'].includes(method);
  // A missing body may be a valid one: then there is none that could be damaged.
  const body = takesBody
    ? bodyBytes(random, document, schema)
    : random.below(10) === 0
      ? Buffer.from('{"x":1}')
      : Buffer.alloc(0);
  const type = takesBody
    ? `content-type: ${random.below(4) === 0 ? pick(random, CONTENT_TYPES) : 'application/json'}\r\n`
    : '';
  const headers = Array.from({ length: random.below(3) }, () => `${pick(random, STRANGE_HEADERS)}\r\n`).join('');
  const many = random.below(40) === 0 ? Array.from({ length: 3_000 }, (_, i) => `x-${i}: 1\r\n`).join('') : '';
  const where = target(random, path, operation);
  const head = `${method} ${where} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${type}${headers}${many}${body.length > 0 ? `content-length: ${body.length}\r\n` : ''}\r\n`;
  return {
    what: `${method} ${where.slice(0, 120)}`,
    bytes: Buffer.concat([Buffer.from(head, 'latin1'), body]),
    isAll: random.below(4) === 0,
  };
}
