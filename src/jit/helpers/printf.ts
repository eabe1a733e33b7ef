/** Formats of trace_printk and snprintf. Source: bpf_bprintf_prepare, kernel/bpf/helpers.c (6.12); vsprintf of lib/vsprintf.c for what it lets through. */
import type { HelperContext } from './helper-context.ts';

/** `%`, flags, width, then what is shown: a pointer's kind, or length and conversion. */
const DIRECTIVE = /%(?:%|([-+ #0]*)(\d*)(p(?:[KxsSB]|ks|us|[iI][46])?|s|c|(?:ll|l|)[diuxX]))/y;
const MAX_STRING = 512;
/** Nobody has drawn the key that pointers are hashed with (ptr_to_hashval before it is ready). */
const POINTER = '(____ptrval____)';

function stringAt({ memory }: HelperContext, address: bigint): string {
  let text = '';
  for (let at = address; text.length < MAX_STRING; at += 1n) {
    const byte = memory.read(BigInt.asUintN(64, at), 1)?.[0];
    // strncpy_from_kernel_nofault fails as a whole.
    if (byte === undefined) return '';
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

function integer(flags: string, conversion: string, value: bigint): string {
  const bits = conversion.includes('l') ? 64 : 32;
  const letter = conversion.at(-1) as string;
  const sized = letter === 'd' || letter === 'i' ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  const digits = (sized < 0n ? -sized : sized).toString(letter === 'x' || letter === 'X' ? 16 : 10);
  const prefix = flags.includes('#') && (letter === 'x' || letter === 'X') ? `0${letter}` : '';
  const sign = sized < 0n ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  return sign + prefix + (letter === 'X' ? digits.toUpperCase() : digits);
}

function pad(text: string, flags: string, width: number, isNumber: boolean): string {
  if (flags.includes('-')) return text.padEnd(width);
  if (!flags.includes('0') || !isNumber) return text.padStart(width);
  const head = /^[-+ ]?(?:0[xX])?/.exec(text)?.[0] ?? '';
  return head + text.slice(head.length).padStart(width - head.length, '0');
}

function shown(context: HelperContext, conversion: string, flags: string, value: bigint): string | undefined {
  if (conversion === 's' || conversion === 'pks') return stringAt(context, value);
  if (conversion === 'pus') return '';
  if (conversion === 'c') return String.fromCharCode(Number(value & 0xffn));
  if (conversion === 'px') return BigInt.asUintN(64, value).toString(16).padStart(16, '0');
  if (conversion === 'p' || conversion === 'pK') return POINTER;
  if (conversion === 'ps' || conversion === 'pS' || conversion === 'pB')
    return context.symbol(value) ?? `0x${BigInt.asUintN(64, value).toString(16)}`;
  return conversion.startsWith('p') ? undefined : integer(flags, conversion, value);
}

/** The text; undefined where the kernel answers EINVAL: an unknown directive, characters that are not to be printed, too few arguments. */
export function bpfFormat(context: HelperContext, format: Uint8Array, args: readonly bigint[]): string | undefined {
  const end = format.indexOf(0);
  if (end < 0) return undefined;
  const text = String.fromCharCode(...format.subarray(0, end));
  // isprint or isspace, and ASCII.
  if (!/^[\x20-\x7e\t\n\v\f\r]*$/.test(text)) return undefined;
  let out = '';
  let used = 0;
  for (let at = 0; at < text.length; ) {
    if (text[at] !== '%') {
      out += text[at];
      at += 1;
      continue;
    }
    DIRECTIVE.lastIndex = at;
    const match = DIRECTIVE.exec(text);
    if (match === null) return undefined;
    at = DIRECTIVE.lastIndex;
    const [whole, flags = '', width = '', conversion] = match;
    if (conversion === undefined) {
      if (whole !== '%%') return undefined;
      out += '%';
      continue;
    }
    const value = args[used];
    used += 1;
    const piece = value === undefined ? undefined : shown(context, conversion, flags, value);
    if (piece === undefined) return undefined;
    out += pad(piece, flags, Number(width), /[diuxX]$/.test(conversion));
  }
  return out;
}
