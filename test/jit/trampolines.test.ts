/**
 * Compares generated BPF trampolines with those that a real 6.12 kernel generated, byte for byte, on three CPU configurations. The
 * pointers the kernel allocated (programs, image descriptor) are read out of the recorded image's `movabs`
 * instructions; everything else, lengths, order and all displacements included, has to come out of the generator.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { kernelAddress, toHex, toOffset } from '../../src/base/index.ts';
import { decodeInsn, isEndbr } from '../../src/insn/index.ts';
import {
  type BpfTrampolineRequest,
  type GeneratedCodeCpu,
  generateBpfTrampoline,
  type TrampolineProgram,
  trampolineFlags,
} from '../../src/jit/index.ts';

interface Recording {
  readonly config: string;
  readonly function: string;
  readonly proto: string;
  readonly combo: string;
  readonly address: string;
  readonly entry: string;
  readonly at: string;
  readonly hex: string;
  /** Made while a livepatch was on the function. */
  readonly sharesIpmodify?: boolean;
  readonly programs: readonly { readonly kind: 'fe' | 'fx' | 'fm'; readonly prog: string; readonly entry: string }[];
}

interface Recordings {
  readonly returnThunk: Readonly<Record<string, string>>;
  readonly symbols: Readonly<Record<string, string>>;
  readonly items: readonly Recording[];
}

const RECORDINGS = JSON.parse(
  readFileSync(new URL('../conformance/trampolines.json', import.meta.url), 'utf8'),
) as Recordings;

/** Where `_text` was; the recording kernel ran with nokaslr. */
const BASE = kernelAddress(0xffff_ffff_8100_0000n);
/** `pcpu_hot + X86_call_depth` of that kernel lies at 0x35010 of the per-CPU segment, which is linked at 0. */
const CALL_DEPTH = Number(BigInt.asUintN(64, 0x35010n - BASE));
/** What the recorder passed as bpf_cookie with its program of that name. */
const COOKIE = 0x1122_3344_5566_7788n;
const MAX_WORDS_6_1 = 6;
const KIND = { fe: 'fentry', fx: 'fexit', fm: 'fmod_ret' } as const;

function offsetOf(address: string): number {
  const offset = toOffset(BASE, BigInt(address));
  assert.ok(offset !== undefined, `${address} lies below _text`);
  return offset;
}

/** Size in bytes of a parameter as the recorded prototypes write it. */
function sizeOf(parameter: string): number {
  if (parameter.includes('*')) return 8;
  const struct = /struct lab_s(\d+)/.exec(parameter);
  if (struct !== null) return Number(struct[1]);
  if (/\b(long|u64)\b/.test(parameter)) return 8;
  if (/\bshort\b/.test(parameter)) return 2;
  return /\bchar\b/.test(parameter) ? 1 : 4;
}

function argSizes(proto: string): readonly number[] {
  const list = proto.slice(proto.indexOf('(') + 1, proto.lastIndexOf(')')).trim();
  return list === '' ? [] : list.split(',').map(sizeOf);
}

function cpuOf(config: string): GeneratedCodeCpu {
  const thunk = RECORDINGS.returnThunk[config];
  return {
    sls: true,
    ibt: true,
    ...(thunk === undefined ? {} : { returnThunk: offsetOf(thunk) }),
    ...(config.includes('call depth') ? { callDepth: CALL_DEPTH } : {}),
  };
}

/** What the image loads into %rdi with 64 bits: constants that only the recording kernel could know. */
function recordedPointers(bytes: Uint8Array): readonly bigint[] {
  const pointers: bigint[] = [];
  for (let at = 0; at < bytes.length; ) {
    const insn = decodeInsn(bytes, at, at);
    assert.ok(insn !== undefined, `a recorded image does not decode at ${at}`);
    if (insn.opcode === 0xbf && insn.length === 10)
      pointers.push(new DataView(bytes.buffer, bytes.byteOffset + at + 2, 8).getBigUint64(0, true));
    at += insn.length;
  }
  return pointers;
}

function requestOf(item: Recording): BpfTrampolineRequest {
  const recorded = Uint8Array.from(Buffer.from(item.hex, 'hex'));
  const pointers = recordedPointers(recorded).filter((pointer) => pointer !== COOKIE);
  // Newest first within a kind; fentry, then fmod_ret, then fexit is the order of the kernel's image.
  const running = (['fe', 'fm', 'fx'] as const).flatMap((kind) =>
    item.programs.filter((program) => program.kind === kind).toReversed(),
  );
  const flags = trampolineFlags({
    programs: running.map(({ kind }) => ({ kind: KIND[kind] })),
    callsGetFuncIp: item.programs.some((program) => program.prog === 'func_ip'),
    sharesIpmodify: item.sharesIpmodify ?? false,
    tailCallCtx: false,
  });
  const image = flags.callOrig ? (pointers.shift() ?? 0n) : 0n;
  const programs = running.map((program): TrampolineProgram => {
    const prog = pointers.shift() ?? 0n;
    assert.equal(pointers.shift(), prog, 'enter and exit get the same program');
    return {
      kind: KIND[program.kind],
      entry: offsetOf(program.entry),
      prog,
      cookie: program.prog === 'cookie' ? COOKIE : 0n,
      sleepable: false,
      recursionChecked: true,
    };
  });
  return {
    layout: 'linux-6.12',
    at: offsetOf(item.at),
    base: BASE,
    function: { entry: offsetOf(item.address), startsWithEndbr: isEndbr(Buffer.from(item.entry, 'hex')) },
    argSizes: argSizes(item.proto),
    programs,
    flags,
    image,
    symbols: Object.fromEntries(Object.entries(RECORDINGS.symbols).map(([name, at]) => [name, offsetOf(at)])),
    cpu: cpuOf(item.config),
  };
}

const configs = [...new Set(RECORDINGS.items.map((item) => item.config))];

for (const config of configs) {
  test(`trampolines of 6.12 are equal byte for byte: ${config}`, (t) => {
    const items = RECORDINGS.items.filter((item) => item.config === config);
    let equal = 0;
    for (const item of items) {
      const result = generateBpfTrampoline(requestOf(item));
      assert.ok(result.ok, `${item.function} ${item.combo}`);
      assert.equal(toHex(result.value.bytes), item.hex, `${item.function} ${item.combo} ${item.proto}`);
      equal += 1;
    }
    t.diagnostic(`${equal} of ${items.length} equal`);
    assert.equal(equal, items.length);
  });
}

test('the recordings reach past six argument words, so the stack-argument code is compared, too', () => {
  const beyond = RECORDINGS.items.filter(
    (item) => argSizes(item.proto).reduce((sum, size) => sum + Math.ceil(size / 8), 0) > MAX_WORDS_6_1,
  );
  assert.ok(beyond.length >= 10);
});

test('recorded marks: ipAfterCall is a nop5 and ipEpilogue begins the call of __bpf_tramp_exit', () => {
  for (const item of RECORDINGS.items) {
    const request = requestOf(item);
    const result = generateBpfTrampoline(request);
    assert.ok(result.ok);
    const { ipAfterCall, ipEpilogue, bytes } = result.value;
    assert.equal(ipAfterCall !== undefined, request.flags.callOrig);
    if (ipAfterCall === undefined || ipEpilogue === undefined) continue;
    assert.equal(toHex(bytes.subarray(ipAfterCall, ipAfterCall + 5)), '0f1f440000');
    assert.equal(toHex(bytes.subarray(ipEpilogue, ipEpilogue + 2)), '48bf');
  }
});
