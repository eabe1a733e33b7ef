import { err, ok, type Result, toHex } from '../../base/index.ts';
import type { BtfTypes } from '../../image/index.ts';
import { bytesOfBpfCode, decodeBpf, layOutBpf } from '../bpf/index.ts';
import { HELPER_PROTOTYPES, helperName } from '../helpers/index.ts';
import { withKernelAddresses } from './kernel-names.ts';
import type { FunctionTypes, KernelName, VerifiedType, VerifierMap, VerifyTarget } from './request.ts';
import { rewriteVerified } from './rewrite-verified.ts';
import { type Refusal, type VerifyStats, verifyBpf } from './verify.ts';

/** A program as it comes in, in plain data. */
export interface VerifyBytesRequest {
  readonly bytes: Uint8Array;
  readonly type: VerifiedType;
  readonly target?: VerifyTarget;
  readonly functionTypes?: readonly FunctionTypes[];
  /** What instructions count as maps (BPF_PSEUDO_MAP_IDX). */
  readonly maps: readonly VerifierMap[];
  /** Variables and functions of the kernel that its instructions name, by their number in BTF. */
  readonly kernelNames?: ReadonlyMap<number, KernelName>;
  readonly isGpl?: boolean;
  readonly isSleepable?: boolean;
  readonly logLevel: 0 | 1 | 2;
  readonly cpus?: number;
  readonly maxInstructions?: number;
}

/** A program that was accepted, as it is compiled. */
export interface VerifiedBytes {
  /** Hex: instructions that only a verifier makes among them, dead ones gone. */
  readonly code: string;
  /** Bytes of stack of each function. */
  readonly stackDepths: readonly number[];
  /** Functions that are left, by their places in what was given; undefined: all. */
  readonly kept?: readonly number[];
  /** End of what it reads of its context, in bytes. */
  readonly maxCtxOffset: number;
  readonly stats: VerifyStats;
  readonly log: string;
}

const BPF_PSEUDO_MAP_IDX = 5;
const BPF_PSEUDO_MAP_IDX_VALUE = 6;

/** Reads, verifies and rewrites a program. Faults are those of `decodeBpf`, `layOutBpf` and `verifyBpf`, each with a log. */
export function verifyBytes(request: VerifyBytesRequest, btf: BtfTypes | undefined): Result<VerifiedBytes, Refusal> {
  const code = decodeBpf(request.bytes, { allowsFrameWrite: true });
  if (!code.ok) return err({ ...code.fault, log: `${code.fault.detail}\n` });
  const functions = layOutBpf(code.value);
  if (!functions.ok) return err({ ...functions.fault, log: `${functions.fault.detail}\n` });
  const { type, target, functionTypes, maps, isGpl, logLevel, cpus, maxInstructions, kernelNames, isSleepable } =
    request;
  const kernelName = (id: number): KernelName | undefined => kernelNames?.get(id);
  const verified = verifyBpf({
    code: code.value,
    functions: functions.value,
    type,
    map: (source, number) =>
      source === BPF_PSEUDO_MAP_IDX || source === BPF_PSEUDO_MAP_IDX_VALUE ? maps[number] : undefined,
    kernelName,
    helper: (id) => HELPER_PROTOTYPES.get(id),
    helperName,
    logLevel,
    ...(btf === undefined ? {} : { btf }),
    ...(target === undefined ? {} : { target }),
    // Types that are not of these functions say nothing.
    ...(functionTypes?.length === functions.value.length ? { functionTypes } : {}),
    ...(isGpl === undefined ? {} : { isGpl }),
    ...(isSleepable === undefined ? {} : { isSleepable }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(maxInstructions === undefined ? {} : { maxInstructions }),
  });
  if (!verified.ok) return verified;
  const { stats, log, maxCtxOffset } = verified.value;
  const named = withKernelAddresses(code.value, kernelName);
  const rewritten = rewriteVerified(named, functions.value, verified.value, type);
  const { stackDepths, kept } = rewritten;
  return ok({
    code: toHex(bytesOfBpfCode(rewritten.code)),
    stackDepths,
    maxCtxOffset,
    stats,
    log,
    ...(kept.length === functions.value.length ? {} : { kept }),
  });
}
