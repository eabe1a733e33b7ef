/** Recorded scenarios: what a real kernel answered, and which bytes it had after each step. */
import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import type { AttachRequest } from '../../src/coordinator/index.ts';

export interface RecordedStep {
  readonly op: 'attach' | 'detach';
  readonly name: string;
  readonly kind: string;
  readonly target: string;
  readonly off?: number;
  /** `OK` or an errno's name. */
  readonly errno: string;
  /** Bytes at the scenario's place after the step. */
  readonly after?: string;
  /** The function's line in enabled_functions after the step: the count and the letters R, I, D; absent when it has none. */
  readonly record?: string;
  /** Its lines in kprobes/list: `k` or `r`, with `f` for [FTRACE]; sorted; absent when there are none. */
  readonly probes?: string;
  /** How often each owner, by its name, ran when the function was called once after the step. */
  readonly fired?: Readonly<Record<string, number>>;
  /** Of bpf_modify_return_test: what the kernel's own test of it answered, side effects << 16 | sum of what was returned. */
  readonly result?: number;
}

export interface RecordedScenario {
  readonly id: string;
  /** Where the bytes were read, as `0x…`; absent when the scenario has no bytes. */
  readonly at?: string;
  readonly initial?: string;
  readonly steps: readonly RecordedStep[];
  /** Bytes that stayed for good when everybody had left: a bug of Linux. */
  readonly left?: string;
}

export interface Recording {
  readonly kernel: string;
  readonly scenarios: readonly RecordedScenario[];
}

export function readRecording(file: string): Recording {
  const packed = readFileSync(new URL(file, import.meta.url));
  return JSON.parse(brotliDecompressSync(packed).toString('utf8')) as Recording;
}

/** `bpf_modify_return_test:kp>fe:fifo` belongs to `bpf_modify_return_test`. */
export const groupOf = (id: string): string => id.split(':')[0] ?? id;

function placeOf(step: RecordedStep, defaultOffset = 0): string {
  const offset = step.off ?? defaultOffset;
  if (offset === 0) return step.target;
  return `${step.target}${offset > 0 ? '+' : '-'}0x${Math.abs(offset).toString(16)}`;
}

type RequestOf = (step: RecordedStep, body: number, addressOf: (place: string) => string) => AttachRequest;

/** Recorded kind → request; the kinds are explained in the README beside this file. `body` is where the function goes on behind its ftrace site. */
const REQUESTS: Readonly<Record<string, RequestOf>> = {
  kp: (step) => ({ kind: 'kprobe', target: placeOf(step) }),
  kpp: (step) => ({ kind: 'kprobe', target: placeOf(step), options: { postHandler: true } }),
  kpm: (step, body) => ({ kind: 'kprobe', target: placeOf(step, body) }),
  kpm_post: (step, body) => ({ kind: 'kprobe', target: placeOf(step, body), options: { postHandler: true } }),
  kpa: (step, _body, addressOf) => ({ kind: 'kprobe', target: addressOf(placeOf(step)) }),
  krp: (step) => ({ kind: 'kretprobe', target: placeOf(step) }),
  krpo: (step) => ({ kind: 'kretprobe', target: placeOf(step) }),
  fo: (step) => ({ kind: 'ftrace', target: placeOf(step) }),
  fs: (step) => ({ kind: 'ftrace', target: placeOf(step), options: { saveRegs: true } }),
  fi: (step) => ({ kind: 'ftrace', target: placeOf(step), options: { ipmodify: true, saveRegs: true } }),
  fi0: (step) => ({ kind: 'ftrace', target: placeOf(step), options: { ipmodify: true } }),
  fd: (step) => ({ kind: 'ftrace_direct', target: placeOf(step) }),
  fdo: (step) => ({ kind: 'ftrace_direct', target: placeOf(step), options: { sharesIpmodify: true } }),
  fe: (step) => ({ kind: 'fentry', target: placeOf(step) }),
  fx: (step) => ({ kind: 'fexit', target: placeOf(step) }),
  fm: (step) => ({ kind: 'fmod_ret', target: placeOf(step) }),
  fes: (step) => ({ kind: 'fentry', target: placeOf(step), options: { sleepable: true } }),
  fxs: (step) => ({ kind: 'fexit', target: placeOf(step), options: { sleepable: true } }),
  kpe: (step) => ({ kind: 'kprobe', target: placeOf(step), options: { via: 'tracefs' } }),
  bk: (step) => ({ kind: 'kprobe', target: placeOf(step), options: { via: 'perf' } }),
  bkr: (step) => ({ kind: 'kretprobe', target: placeOf(step), options: { via: 'perf' } }),
  bm: (step) => ({ kind: 'kprobe_multi', target: [placeOf(step)] }),
  bmr: (step) => ({ kind: 'kretprobe_multi', target: [placeOf(step)] }),
  fp: (step) => ({ kind: 'fprobe', target: placeOf(step) }),
  ft: (step) => ({ kind: 'ftrace', target: placeOf(step), options: { tracer: 'function' } }),
  fg: (step) => ({ kind: 'ftrace', target: placeOf(step), options: { tracer: 'function_graph' } }),
  lp1: (step) => ({ kind: 'livepatch', target: placeOf(step), options: { patch: 'lp1' } }),
  lp2: (step) => ({ kind: 'livepatch', target: placeOf(step), options: { patch: 'lp2' } }),
  lpr: (step) => ({ kind: 'livepatch', target: placeOf(step), options: { patch: 'lpr', replace: true } }),
};

export function requestOf(step: RecordedStep, body: number, addressOf: (place: string) => string): AttachRequest {
  const make = REQUESTS[step.kind];
  if (make === undefined) throw new Error(`no request for the recorded kind ${step.kind}`);
  return make(step, body, addressOf);
}

/** An ENDBR, sealed or not, is in front of the ftrace site. */
export const bodyOffset = (initial: string | undefined): number =>
  initial === undefined || /^(f30f1efa|660f1f00)/.test(initial) ? 9 : 5;
