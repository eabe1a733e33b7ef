/**
 * SPEC as bpftrace users type it: `kprobe:tcp_set_state+0x10`, `fentry:tcp_set_state`, `fentry:vmlinux:tcp_set_state`,
 * `kprobe_multi:tcp_*`, `ftrace:tcp_close,tcp_sendmsg`.
 */
import type { AttachRequest, OwnerKind } from '../client/index.ts';
import { UsageError } from './usage.ts';

const KINDS: readonly OwnerKind[] = [
  'kprobe',
  'kretprobe',
  'kprobe_multi',
  'kretprobe_multi',
  'fprobe',
  'ftrace',
  'ftrace_direct',
  'fentry',
  'fexit',
  'fmod_ret',
  'freplace',
  'lsm',
  'livepatch',
  'jump_label',
  'static_call',
  'tracepoint',
  'kgdb',
];

/** Names that bpftrace has for the same kinds. */
const ALIASES: Readonly<Record<string, OwnerKind>> = {
  k: 'kprobe',
  kr: 'kretprobe',
  kfunc: 'fentry',
  kretfunc: 'fexit',
  f: 'fentry',
  fr: 'fexit',
};

const TAKES_MANY: ReadonlySet<OwnerKind> = new Set([
  'kprobe_multi',
  'kretprobe_multi',
  'fprobe',
  'ftrace',
  'livepatch',
]);
const TAKES_PATTERN: ReadonlySet<OwnerKind> = new Set(['kprobe_multi', 'kretprobe_multi', 'fprobe', 'ftrace']);

const PLACE = /^(?:0x[0-9a-fA-F]{1,16}|(?:[\w-]+:)?[A-Za-z_.$][\w.$]*)(?:\+(0x[0-9a-fA-F]+|\d+))?/;

function readKind(spec: string): { readonly kind: OwnerKind; readonly rest: number } {
  const colon = spec.indexOf(':');
  if (colon < 0) throw new UsageError('a SPEC is KIND:PLACE, for example kprobe:tcp_set_state+0x10', spec, spec.length);
  const word = spec.slice(0, colon);
  const kind = Object.hasOwn(ALIASES, word) ? ALIASES[word] : KINDS.find((k) => k === word);
  if (kind === undefined)
    throw new UsageError(`unknown kind ${JSON.stringify(word)}; kinds are ${KINDS.join(' ')}`, spec, 0);
  return { kind, rest: colon + 1 };
}

/** Checks one place; the offset comes back in hex, as the service writes it. */
function readPlace(spec: string, start: number, end: number): string {
  const text = spec.slice(start, end);
  if (text === '') throw new UsageError('a place is missing', spec, start);
  const match = PLACE.exec(text);
  const length = match?.[0].length ?? 0;
  if (length < text.length) {
    throw new UsageError('a place is SYMBOL, MODULE:SYMBOL, SYMBOL+0xOFFSET or 0xADDRESS', spec, start + length);
  }
  const offset = match?.[1];
  if (offset === undefined || offset.startsWith('0x')) return text;
  return `${text.slice(0, text.length - offset.length)}0x${Number(offset).toString(16)}`;
}

/** Skips `vmlinux:`, which bpftrace lists functions with; other modules stay part of the place. */
const skipKernel = (spec: string, start: number): number =>
  spec.startsWith('vmlinux:', start) ? start + 'vmlinux:'.length : start;

/** Throws {@link UsageError} with the column at fault. */
export function parseSpec(spec: string): Pick<AttachRequest, 'kind' | 'target'> {
  const { kind, rest } = readKind(spec);
  const start = skipKernel(spec, rest);
  const wild = spec.slice(start).search(/[*?]/);
  if (wild >= 0) {
    if (!TAKES_PATTERN.has(kind)) {
      const hint = kind === 'kprobe' || kind === 'kretprobe' ? `; use ${kind}_multi` : '';
      throw new UsageError(`a ${kind} takes no pattern${hint}`, spec, start + wild);
    }
    const foreign = spec.slice(start).search(/[^\w.$*?]/);
    if (foreign >= 0) throw new UsageError('in a pattern only * and ? are special', spec, start + foreign);
    return { kind, target: { pattern: spec.slice(start) } };
  }
  const comma = spec.indexOf(',', start);
  if (comma < 0) return { kind, target: readPlace(spec, start, spec.length) };
  if (!TAKES_MANY.has(kind)) throw new UsageError(`a ${kind} takes one place`, spec, comma);
  const places: string[] = [];
  for (let at = start; at <= spec.length; ) {
    const next = spec.indexOf(',', at);
    const end = next < 0 ? spec.length : next;
    places.push(readPlace(spec, at, end));
    at = end + 1;
  }
  return { kind, target: places };
}

/** `key=value`: true, false and decimal integers are what they look like, everything else is text; `key` alone is true. */
export function parseOption(text: string): readonly [string, unknown] {
  const equals = text.indexOf('=');
  const key = equals < 0 ? text : text.slice(0, equals);
  const bad = /[^A-Za-z0-9_]/.exec(key);
  if (key === '' || bad !== null) throw new UsageError('an option is KEY=VALUE', text, bad?.index ?? 0);
  if (equals < 0) return [key, true];
  const value = text.slice(equals + 1);
  if (value === 'true' || value === 'false') return [key, value === 'true'];
  return [key, /^\d{1,15}$/.test(value) ? Number(value) : value];
}
