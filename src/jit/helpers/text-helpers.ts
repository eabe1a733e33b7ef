/** Helpers of text and of control. Source: kernel/trace/bpf_trace.c, kernel/bpf/helpers.c, kernel/bpf/bpf_iter.c (6.12). */
import type { Errno } from '../../base/index.ts';
import { failed, read, u32, write, write64 } from './access.ts';
import type { BpfCallback, HelperArgs, HelperBody, HelperContext } from './helper-context.ts';
import { bpfFormat } from './printf.ts';

/** MAX_TRACE_PRINTK_VARARGS, MAX_BPRINTF_VARARGS, MAX_BPRINTF_BUF. */
const TRACE_PRINTK_ARGS = 3;
const VARARGS_MAX = 12;
const TEXT_MAX = 1024;
const BPF_MAX_LOOPS = 8n << 20n;

/** The text as the tracing buffer keeps it; answers its length. */
function trace(context: HelperContext, text: string | undefined): bigint {
  if (text === undefined) return failed('EINVAL');
  const kept = text.slice(0, TEXT_MAX - 1);
  const { task, cpu } = context;
  const shown = kept.replace(/\n$/, '');
  context.trace(`${task.comm}-${task.pid} [${String(cpu).padStart(3, '0')}] bpf_trace_printk: ${shown}`, shown);
  return BigInt(kept.length);
}

const tracePrintk: HelperBody = ([format, size, ...args], context) =>
  trace(context, bpfFormat(context, read(context, format, u32(size)), args.slice(0, TRACE_PRINTK_ARGS)));

function words(context: HelperContext, data: bigint, length: number): readonly bigint[] | undefined {
  if (length % 8 !== 0 || length > VARARGS_MAX * 8 || (length > 0 && data === 0n)) return undefined;
  const bytes = length === 0 ? new Uint8Array() : read(context, data, length);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: length / 8 }, (_, i) => view.getBigUint64(8 * i, true));
}

const traceVprintk: HelperBody = ([format, size, data, length], context) => {
  const args = words(context, data, u32(length));
  return args === undefined
    ? failed('EINVAL')
    : trace(context, bpfFormat(context, read(context, format, u32(size)), args));
};

/** A NUL-terminated string, its NUL included. */
function constString(context: HelperContext, address: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let at = address; bytes.at(-1) !== 0; at += 1n) bytes.push(read(context, at, 1)[0] ?? 0);
  return Uint8Array.from(bytes);
}

/** Answers the length that the whole text has, with its NUL. */
const snprintf: HelperBody = ([to, sizeArg, format, data, length], context) => {
  const args = words(context, data, u32(length));
  const text = args === undefined ? undefined : bpfFormat(context, constString(context, format), args);
  if (text === undefined) return failed('EINVAL');
  const size = u32(sizeArg);
  if (size > 0) {
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0xff).subarray(0, size - 1);
    write(context, to, Uint8Array.from([...bytes, 0]));
  }
  return BigInt(text.length + 1);
};

/** What __bpf_strtoull copies of a text, without its NUL. */
const NUMBER_MAX = 63;
const RADIX = {
  8: { digits: /^[0-7]*/, literal: '0o' },
  10: { digits: /^[0-9]*/, literal: '' },
  16: { digits: /^[0-9a-f]*/i, literal: '0x' },
} as const;
const isSpace = (byte: number | undefined): boolean => byte === 0x20 || (byte !== undefined && byte >= 9 && byte <= 13);

/** The number at the beginning of a text and how many bytes it took, or why there is none (__bpf_strtoull). */
function numberIn(
  bytes: Uint8Array,
  flags: bigint,
): { readonly magnitude: bigint; readonly isNegative: boolean; readonly consumed: bigint } | Errno {
  if (![0n, 8n, 10n, 16n].includes(flags)) return 'EINVAL';
  let at = 0;
  while (isSpace(bytes[at])) at++;
  const isNegative = bytes[at] === 0x2d;
  if (isNegative) at++;
  const text = String.fromCharCode(...bytes.subarray(at, at + NUMBER_MAX));
  // _parse_integer_fixup_radix (lib/kstrtox.c)
  const isHex = /^0x[0-9a-f]/i.test(text);
  const base = flags === 0n ? (isHex ? 16n : text.startsWith('0') ? 8n : 10n) : flags;
  const prefix = base === 16n && /^0x/i.test(text) ? 2 : 0;
  const { digits, literal } = RADIX[Number(base) as keyof typeof RADIX];
  const [number = ''] = digits.exec(text.slice(prefix)) ?? [];
  if (number === '') return 'EINVAL';
  const magnitude = BigInt(`${literal}${number}`);
  if (magnitude > U64_MAX) return 'ERANGE';
  return { magnitude, isNegative, consumed: BigInt(at + prefix + number.length) };
}

const U64_MAX = (1n << 64n) - 1n;
const S64_MAX = (1n << 63n) - 1n;

/** The result is 0 when there is no number. */
const strtox =
  (reach: (magnitude: bigint, isNegative: boolean) => Errno | undefined): HelperBody =>
  ([text, size, flags, to], context) => {
    write64(context, to, 0n);
    const found = numberIn(read(context, text, u32(size)), flags);
    if (typeof found === 'string') return failed(found);
    const { magnitude, isNegative, consumed } = found;
    const refused = reach(magnitude, isNegative);
    if (refused !== undefined) return failed(refused);
    write64(context, to, BigInt.asUintN(64, isNegative ? -magnitude : magnitude));
    return consumed;
  };

const strtol = strtox((magnitude, isNegative) => (magnitude > S64_MAX + (isNegative ? 1n : 0n) ? 'ERANGE' : undefined));
const strtoul = strtox((_, isNegative) => (isNegative ? 'EINVAL' : undefined));

/** strncmp: the difference of the first bytes that differ, as -1, 0 or 1. */
const strncmp: HelperBody = ([text, size, other], context) => {
  const left = read(context, text, u32(size));
  for (const [i, a] of left.entries()) {
    const b = read(context, other + BigInt(i), 1)[0] ?? 0;
    if (a !== b) return BigInt.asUintN(64, a < b ? -1n : 1n);
    if (a === 0) break;
  }
  return 0n;
};

/** The callback is given the number of the round and its context; anything but 0 ends the loop. Answers how often it was called. */
function* loop([count, callee, argument, flags]: HelperArgs, _: HelperContext): Generator<BpfCallback, bigint, bigint> {
  if (flags !== 0n) return failed('EINVAL');
  const rounds = count & 0xffff_ffffn;
  if (rounds > BPF_MAX_LOOPS) return failed('E2BIG');
  for (let i = 0n; i < rounds; i++) if ((yield { callee, args: [i, argument] }) !== 0n) return i + 1n;
  return rounds;
}

export const TEXT_HELPERS: readonly (readonly [number, HelperBody])[] = [
  [6, tracePrintk],
  [105, strtol],
  [106, strtoul],
  [165, snprintf],
  [177, traceVprintk],
  [181, loop],
  [182, strncmp],
];
