/** Programs in the suite's assembler syntax, verified: for tests of the verifier. */
import assert from 'node:assert/strict';
import { ok, type Result } from '../../../src/base/index.ts';
import type { BtfTypes } from '../../../src/image/index.ts';
import {
  assembleBpf,
  decodeBpf,
  HELPER_PROTOTYPES,
  layOutBpf,
  type MapSpec,
  type Refusal,
  type Verification,
  type VerifyRequest,
  verifyBpf,
} from '../../../src/jit/index.ts';

const map = (
  name: string,
  type: MapSpec['type'],
  keySize: number,
  valueSize: number,
  more: Partial<MapSpec> = {},
): MapSpec => ({
  name,
  type,
  keySize,
  valueSize,
  maxEntries: 1,
  flags: 0,
  ...more,
});

/** By the number that `lddw map_fd` and `lddw map_value` name. */
export const TEST_MAPS: readonly MapSpec[] = [
  map('map_hash_8b', 'hash', 8, 8),
  map('map_hash_48b', 'hash', 8, 48),
  map('map_array_48b', 'array', 4, 48),
  map('map_ringbuf', 'ringbuf', 0, 0, { maxEntries: 4096 }),
  map('map_array_ro', 'array', 4, 48, { flags: 1 << 7, isFrozen: true, initial: Uint8Array.of(42, 0, 0, 0, 7) }),
  map('map_prog', 'prog_array', 4, 4, { maxEntries: 4 }),
  map('map_array_2', 'array', 4, 48, { maxEntries: 2 }),
  map('map_spin_lock', 'array', 4, 8, { spinLock: 4 }),
  map('map_typed', 'array', 4, 8, { btf: { keyType: 1, valueType: 1 } }),
];

export type VerifyOptions = Partial<
  Pick<
    VerifyRequest,
    'type' | 'target' | 'logLevel' | 'checkpointsEverywhere' | 'maxInstructions' | 'isGpl' | 'isSleepable'
  >
> & {
  readonly btf?: BtfTypes;
};

export function requestOf(source: string, options: VerifyOptions = {}): VerifyRequest {
  const bytes = assembleBpf(source);
  assert.ok(bytes.ok, bytes.ok ? '' : bytes.fault.detail);
  const code = decodeBpf(bytes.value, { allowsFrameWrite: true });
  assert.ok(code.ok, code.ok ? '' : code.fault.detail);
  const functions = layOutBpf(code.value);
  assert.ok(functions.ok, functions.ok ? '' : functions.fault.detail);
  return {
    code: code.value,
    functions: functions.value,
    type: 'kprobe',
    map: (_, number) => TEST_MAPS[number],
    helper: (id) => HELPER_PROTOTYPES.get(id),
    logLevel: 1,
    ...options,
  };
}

/** Verified; a program that cannot be read fails the test. */
export function verifyAssembly(source: string, options: VerifyOptions = {}): Result<Verification, Refusal> {
  const verified = verifyBpf(requestOf(source, options));
  return verified.ok ? ok(verified.value) : verified;
}
