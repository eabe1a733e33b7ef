/** The rest of the recordings, and why some of it is not replayed. */
import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';

export interface MoreStep {
  readonly op: 'attach' | 'detach' | 'cmd';
  readonly name?: string;
  readonly kind?: string;
  readonly cmd?: string;
  readonly target?: string;
  readonly off?: number;
  /** `OK` or an errno's name. */
  readonly errno: string;
  readonly after?: string;
  readonly functions?: readonly string[];
  readonly probes?: readonly string[];
}

export interface MoreScenario {
  readonly id: string;
  readonly at?: string;
  readonly initial?: string;
  readonly target?: string;
  readonly steps: readonly MoreStep[];
}

export function readMore(file: string): readonly MoreScenario[] {
  const packed = readFileSync(new URL(file, import.meta.url));
  return (JSON.parse(brotliDecompressSync(packed).toString('utf8')) as { scenarios: readonly MoreScenario[] })
    .scenarios;
}

/** Commands for which there is no request: a pattern, and why. */
const NO_REQUEST: readonly (readonly [RegExp, string])[] = [
  [/^bpf-same-prog-twice$/, 'the same program attached twice: programs that are loaded have their own tests'],
  [
    /^bpf-kmulti:(?:bad flags|both|neither|link flags|huge cnt|bad ptr)$/,
    'arguments of bpf(2) that a request does not have',
  ],
  [/^(?:ft|fd|fdm|kp)-rereg$/, 'one ftrace_ops or kprobe registered twice: each request makes its own'],
  [/^(?:fd|fdm)-modify$/, 'modify_ftrace_direct by its owner: a direct call keeps its target for life here'],
  [/^(?:ft-addip-ipmodify|fd-addip)$/, 'a filter changed while its ops is registered: an attachment keeps its sites'],
  [/^fdm-unregister-wrong-addr$/, 'unregistering with an address that was not registered: a detach knows its own'],
  [/^kp-symbol-and-addr$/, 'a kprobe with a symbol and an address: a place is one of the two'],
  [/^kp-generated:bpf prog$|^ft-generated:bpf prog/, 'the program is not attached, so that it has no code here'],
  [/^lp:(?:rmmod-enabled|disable-then-enable)$/, 'enabled written with other words, and how far a transition was'],
  [/^ft-flags:rcu$/, 'FTRACE_OPS_FL_RCU: an ops here is always watched by RCU'],
  [/:(?:kpe|bk)>kpp:lifo$|:fe:__rcu_read_(?:lock|unlock)$/, 'the recorded machine hung: there is no answer'],
  [/^ambiguous:fps:/, 'which of several namesakes the lab looked at: the listing of the others was not read'],
  [/:lsm:/, 'an LSM program that names no hook’s own function: recorded at loading the program'],
];

const HUNG_6_1 = 'the recorded machine ended with ftrace dead, which a further process noticed';

export function reasonOf(version: '6.12' | '6.1', { id }: MoreScenario): string | undefined {
  if (version === '6.1' && /^ipmodify-share:(?!lab_t1)/.test(id)) return HUNG_6_1;
  return NO_REQUEST.find(([pattern]) => pattern.test(id))?.[1];
}
