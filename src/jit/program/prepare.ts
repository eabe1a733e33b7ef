import { ok, type Prng, type Result } from '../../base/index.ts';
import { type BpfCode, type BpfFunction, decodeBpf, layOutBpf } from '../bpf/index.ts';
import { type CompiledBpf, type CompileRequest, compileBpf } from '../compile/index.ts';
import { blindConstants, fixUpBpf, type MapReference, resolveMaps } from '../rewrite/index.ts';

/** Code with the functions that it consists of; the first is the program. */
export interface BpfText {
  readonly code: BpfCode;
  readonly functions: readonly BpfFunction[];
}

/** A program between its bytecode and its machine code. */
export interface PreparedBpf {
  /** As it was given: what the interpreter runs. */
  readonly source: BpfText;
  /** As the compiler takes it: what `bpftool prog dump xlated` shows. */
  readonly xlated: BpfText;
  /** Where each slot of the source, and its end, begins in the translated code. */
  readonly startOf: Int32Array;
  /** Bytes of stack of each function, where a verifier has found them. */
  readonly stackDepths?: readonly number[];
}

export const moved = (functions: readonly BpfFunction[], startOf: Int32Array): readonly BpfFunction[] =>
  functions.map(({ start, end }) => ({ start: startOf[start] as number, end: startOf[end] as number }));

/**
 * Reads bytecode that no verifier has seen or will see: type `raw`, where any well-formed program of RFC 9669 may run. Its instructions name
 * `maps` by their place in the list. Faults are those of `decodeBpf`, `layOutBpf`, `resolveMaps` and `fixUpBpf`.
 */
export function prepareRawBpf(bytes: Uint8Array, maps: readonly MapReference[] = []): Result<PreparedBpf> {
  const code = decodeBpf(bytes);
  if (!code.ok) return code;
  const functions = layOutBpf(code.value);
  if (!functions.ok) return functions;
  const resolved = resolveMaps(code.value, maps);
  if (!resolved.ok) return resolved;
  return prepareBpf({ code: resolved.value, functions: functions.value });
}

/** Reads what a verifier has made of a program. Faults are those of `resolveMaps` and `fixUpBpf`. */
export function prepareVerifiedBpf(
  bytes: Uint8Array,
  stackDepths: readonly number[],
  maps: readonly MapReference[] = [],
): Result<PreparedBpf> {
  const code = decodeBpf(bytes, { allowsInternal: true });
  if (!code.ok) return code;
  const functions = layOutBpf(code.value);
  if (!functions.ok) return functions;
  const resolved = resolveMaps(code.value, maps);
  if (!resolved.ok) return resolved;
  const prepared = prepareBpf({ code: resolved.value, functions: functions.value });
  return prepared.ok ? ok({ ...prepared.value, stackDepths }) : prepared;
}

/** Makes decoded code fit for the compiler; 64-bit immediates are resolved and bounds are checked, if at all, before it comes here. */
export function prepareBpf(source: BpfText): Result<PreparedBpf> {
  const fixed = fixUpBpf(source.code);
  if (!fixed.ok) return fixed;
  const { code, startOf } = fixed.value;
  return ok({ source, xlated: { code, functions: moved(source.functions, startOf) }, startOf });
}

export interface JitRequest extends Omit<CompileRequest, 'code' | 'functions'> {
  /** Blinds constants with what it draws (net.core.bpf_jit_harden). */
  readonly blind?: Prng;
}

export interface JitedBpf extends CompiledBpf {
  /** What was compiled: the translated code, or that with its constants blinded. */
  readonly text: BpfText;
}

/** Compiles a prepared program. Faults are those of `blindConstants` and `compileBpf`. */
export function jitBpf(
  { xlated, stackDepths }: Pick<PreparedBpf, 'xlated' | 'stackDepths'>,
  request: JitRequest,
): Result<JitedBpf> {
  const { blind, ...rest } = request;
  const text = blind === undefined ? ok(xlated) : blinded(xlated, blind);
  if (!text.ok) return text;
  const depths = stackDepths === undefined ? {} : { stackDepths };
  const compiled = compileBpf({ ...rest, ...depths, ...text.value });
  return compiled.ok ? ok({ ...compiled.value, text: text.value }) : compiled;
}

function blinded({ code, functions }: BpfText, prng: Prng): Result<BpfText> {
  const result = blindConstants(code, prng);
  if (!result.ok) return result;
  return ok({ code: result.value.code, functions: moved(functions, result.value.startOf) });
}
