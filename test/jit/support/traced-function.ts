/**
 * A function with a trampoline and programs, as machine code for one place, so that a simulated CPU and the real one run the same bytes. A caller
 * passes arguments as the System V ABI says; the function writes down what it got, every program what it saw.
 */
import { invariant, type KernelAddress, toAddress } from '../../../src/base/index.ts';
import { callRel32 } from '../../../src/insn/index.ts';
import {
  assembleBpf,
  type BpfTrampolineRequest,
  generateBpfTrampoline,
  isDirectLayout,
  jitBpf,
  jitBpfForFunction,
  prepareRawBpf,
  type TrampolineLayout,
  type TrampolineProgramKind,
  trampolineFlags,
} from '../../../src/jit/index.ts';
import {
  ARGUMENT_REGISTERS,
  R10,
  R11,
  RAX,
  RBP,
  RBX,
  RDI,
  type Register,
  RSI,
  RSP,
} from '../../../src/jit/x86/registers.ts';
import { type X86Emitter, x86Emitter } from '../../../src/jit/x86/x86-emitter.ts';
import { NATIVE_JIT_CPU } from '../../support/native/native-cpu.ts';
import { value } from '../../support/results.ts';

export interface TracedPlace {
  readonly base: KernelAddress;
  /** A page of data per record below. */
  readonly data: bigint;
}

export interface WantedProgram {
  readonly kind: TrampolineProgramKind;
  readonly cookie: bigint;
  readonly returns: number;
  /** __bpf_prog_enter answers 0: the program is left out. */
  readonly isSkipped: boolean;
  /** More of it, in the suite's syntax, behind the prologue: R6 is the context. */
  readonly more?: string;
  /** In place of writing down every word. */
  readonly body?: string;
}

export interface WantedTrace {
  readonly layout: TrampolineLayout;
  readonly argSizes: readonly number[];
  readonly programs: readonly WantedProgram[];
  readonly callsGetFuncIp: boolean;
  readonly sharesIpmodify: boolean;
  readonly bmi2?: boolean;
}

/** Bytes of code and data that one trace takes. */
export const TRACED_CODE_SIZE = 0x8000;
export const RECORD_SIZE = 0x400;
const [ENTER, EXIT, TRAMP_ENTER, TRAMP_EXIT, CALLER, FUNCTION, TRAMPOLINE, PROGRAMS] = [
  0, 0x80, 0x100, 0x180, 0x200, 0x400, 0x800, 0x2000,
];
export const CALLER_AT = CALLER;
export const FUNCTION_AT = FUNCTION;
const PROGRAM_SIZE = 0x600;
/** Fields of a record. Words seen; then what enter, exit and the program left. */
export const FIELD = {
  cookie: 0x200,
  started: 0x208,
  skips: 0x210,
  order: 0x218,
  count: 0x220,
  ip: 0x228,
  alignment: 0x230,
} as const;
/** Record 0: the arguments, by register and stack word; 1: what the function got; from 2 on: a program's. */
const ARGUMENTS = 0;
export const FUNCTION_RECORD = 1;
export const programRecord = (index: number): number => index + 2;
const STACK_ARGUMENTS = 0x40;
/** In record 0: how many programs have run, and the references of the image. */
const ORDER = 0x300;
export const IMAGE_REFERENCES = 0x308;
export const RETURNED = 0x1122_3344_5566_7788n;
/** What enter answers as the time of start. */
const START = 0x1234;
const JUNK = 0x6666_6666_6666_6666n;
const SIB_RSP = 0x24;

const FORGOTTEN: readonly Register[] = [...ARGUMENT_REGISTERS, R10, R11];
const clobber = (code: X86Emitter): void => {
  for (const register of FORGOTTEN) code.movImm64(register, JUNK);
};

const piece = (at: number, emit: (code: X86Emitter) => void): readonly [number, Uint8Array] => {
  const code = x86Emitter(at);
  emit(code);
  return [at, code.finish()];
};

/** __bpf_prog_enter and its like: rdi the program, here its record; rsi the run context, which begins with the cookie. */
const enter = (code: X86Emitter): void => {
  code.load(RAX, RSI, 0);
  code.store(RDI, FIELD.cookie, RAX);
  code.load(RAX, RDI, FIELD.skips);
  clobber(code);
  code.raw(0xc3);
};

const exit = (code: X86Emitter): void => {
  code.store(RDI, FIELD.started, RSI);
  clobber(code);
  code.movImm64(RAX, JUNK);
  code.raw(0xc3);
};

/** `incq (%rdi)` or `decq (%rdi)` */
const reference = (modRm: 0x07 | 0x0f) => (code: X86Emitter) => {
  code.raw(0x48, 0xff, modRm);
  clobber(code);
  code.movImm64(RAX, JUNK);
  code.raw(0xc3);
};

const PRESERVED: readonly Register[] = [RBX, 12, 13, 14, 15];
const MARK = 0x5a5a_0000n;

/** caller(rdi = record 0): passes its words, checks that registers and stack came back, answers what the function did. */
const caller = (stackWords: number) => (code: X86Emitter) => {
  code.push(RBP);
  code.movReg(RBP, RSP);
  for (const register of PRESERVED) code.push(register);
  // Five pushes behind %rbp: one more word makes it a multiple of 16.
  const padding = stackWords % 2 === 0 ? 8 : 16;
  code.raw(0x48, 0x83, 0xec, padding);
  code.movReg(RAX, RDI);
  for (let word = stackWords - 1; word >= 0; word--) {
    code.load(RBX, RAX, STACK_ARGUMENTS + 8 * word);
    code.push(RBX);
  }
  for (const [index, register] of ARGUMENT_REGISTERS.entries()) code.load(register, RAX, 8 * index);
  for (const register of PRESERVED) code.movImm64(register, MARK + BigInt(register));
  code.call(FUNCTION);
  const used = 8 * PRESERVED.length + padding + 8 * stackWords;
  for (const register of PRESERVED) {
    code.movImm64(RDI, MARK + BigInt(register));
    trapUnlessEqual(code, register, RDI);
  }
  code.lea(RDI, RBP, -used);
  trapUnlessEqual(code, RSP, RDI);
  code.raw(0x48, 0x81, 0xc4);
  code.imm32(padding + 8 * stackWords);
  for (const register of PRESERVED.toReversed()) code.pop(register);
  code.pop(RBP);
  code.raw(0xc3);
};

/** `cmp; je 1f; ud2; 1:` */
function trapUnlessEqual(code: X86Emitter, a: number, b: number): void {
  code.raw(0x48 | (a > 7 ? 1 : 0) | (b > 7 ? 4 : 0), 0x39, 0xc0 | (a & 7) | ((b & 7) << 3), 0x74, 0x02, 0x0f, 0x0b);
}

/** One word of a function's arguments: where the ABI puts it. */
export type WordPlace = { readonly register: number } | { readonly stack: number };

/** System V ABI, 3.2.3, written down once more: a parameter is in registers as a whole or on the stack as a whole. */
export function abiPlaces(argSizes: readonly number[]): readonly WordPlace[] {
  const places: WordPlace[] = [];
  let free = 0;
  let pushed = 0;
  for (const size of argSizes) {
    const words = size > 8 ? 2 : 1;
    const fits = free + words <= 6;
    for (let word = 0; word < words; word++) places.push(fits ? { register: free++ } : { stack: pushed++ });
  }
  return places;
}

/** The function: writes its words and where its stack is, forgets its registers, answers a constant. */
const traced =
  (places: readonly WordPlace[], place: TracedPlace, trampoline: number | undefined) => (code: X86Emitter) => {
    code.raw(0xf3, 0x0f, 0x1e, 0xfa);
    const site = code.here;
    code.bytes(trampoline === undefined ? Uint8Array.of(0x0f, 0x1f, 0x44, 0, 0) : callRel32(site, trampoline));
    code.movImm64(RAX, place.data + BigInt(FUNCTION_RECORD * RECORD_SIZE));
    for (const [index, each] of places.entries()) {
      if ('register' in each) code.store(RAX, 8 * index, ARGUMENT_REGISTERS[each.register] as Register);
      else {
        code.raw(0x4c, 0x8b, 0x94, SIB_RSP);
        code.imm32(8 + 8 * each.stack);
        code.store(RAX, 8 * index, R10);
      }
    }
    code.store(RAX, FIELD.alignment, RSP);
    clobber(code);
    code.movImm64(RAX, RETURNED);
    code.raw(0xc3);
  };

/** A program that writes down what it sees of its context, and in which turn it ran. */
function programSource(wanted: WantedProgram, words: number, record: bigint, data: bigint, reads: number): string {
  const isFull = wanted.body === undefined;
  const lines = [
    'mov %r6, %r1',
    `lddw %r7, 0x${record.toString(16)}`,
    `lddw %r8, 0x${(data + BigInt(ORDER)).toString(16)}`,
  ];
  lines.push('ldxdw %r2, [%r8]', `stxdw [%r7+${FIELD.order}], %r2`, 'add %r2, 1', 'stxdw [%r8], %r2');
  if (wanted.more !== undefined) lines.push(wanted.more);
  if (isFull)
    for (let word = 0; word < words; word++) lines.push(`ldxdw %r3, [%r6+${8 * word}]`, `stxdw [%r7+${8 * word}], %r3`);
  else lines.push(wanted.body ?? '');
  if (isFull && reads >= 1) lines.push('ldxdw %r3, [%r6-8]', `stxdw [%r7+${FIELD.count}], %r3`);
  if (isFull && reads >= 2) lines.push('ldxdw %r3, [%r6-16]', `stxdw [%r7+${FIELD.ip}], %r3`);
  return [...lines, `mov %r0, ${wanted.returns}`, 'exit'].join('\n');
}

export interface TracedCode {
  readonly code: Uint8Array;
  readonly image: Uint8Array;
  readonly places: readonly WordPlace[];
  /** Bytes of each program's machine code. */
  readonly programs: readonly Uint8Array[];
}

/** Everything of one trace. Throws what a generator refuses. */
export function tracedCode(wanted: WantedTrace, place: TracedPlace): TracedCode {
  const { layout, argSizes } = wanted;
  const places = abiPlaces(argSizes);
  const cpu = { ...NATIVE_JIT_CPU, bmi2: wanted.bmi2 ?? false };
  const isLinux = layout === 'linux-6.12' || layout === 'linux-6.1';
  const programs = wanted.programs.map((each, index) => {
    const record = place.data + BigInt(programRecord(index) * RECORD_SIZE);
    const words = places.length + (each.kind === 'fexit' ? 1 : 0);
    const reads = isLinux ? (wanted.callsGetFuncIp ? 2 : 1) : 0;
    const source = value(assembleBpf(programSource(each, words, record, place.data, reads)));
    const prepared = value(prepareRawBpf(source));
    const request = { at: PROGRAMS + index * PROGRAM_SIZE, base: place.base, cpu, helper: () => undefined };
    const jited = isDirectLayout(layout)
      ? jitBpfForFunction(prepared, { layout, argSizes }, request)
      : jitBpf(prepared, request);
    const { bytes } = value(jited);
    invariant(bytes.length <= PROGRAM_SIZE, 'a program fits its place');
    return { bytes, at: request.at, record };
  });
  const request: BpfTrampolineRequest = {
    layout,
    at: TRAMPOLINE,
    base: place.base,
    function: { entry: FUNCTION, startsWithEndbr: true },
    argSizes,
    programs: wanted.programs.map(({ kind, cookie }, index) => ({
      kind,
      cookie,
      entry: (programs[index] as (typeof programs)[number]).at,
      prog: (programs[index] as (typeof programs)[number]).record,
      sleepable: false,
      recursionChecked: true,
    })),
    flags: trampolineFlags({ ...wanted, tailCallCtx: false }),
    image: place.data + BigInt(IMAGE_REFERENCES),
    symbols: {
      __bpf_prog_enter_recur: ENTER,
      __bpf_prog_exit_recur: EXIT,
      __bpf_tramp_enter: TRAMP_ENTER,
      __bpf_tramp_exit: TRAMP_EXIT,
    },
    cpu,
  };
  const image = value(generateBpfTrampoline(request)).bytes;
  const code = new Uint8Array(TRACED_CODE_SIZE).fill(0xcc);
  const pieces = [
    piece(ENTER, enter),
    piece(EXIT, exit),
    piece(TRAMP_ENTER, reference(0x07)),
    piece(TRAMP_EXIT, reference(0x0f)),
    piece(CALLER, caller(places.filter((each) => 'stack' in each).length)),
    piece(FUNCTION, traced(places, place, wanted.programs.length > 0 ? TRAMPOLINE : undefined)),
    [TRAMPOLINE, image] as const,
    ...programs.map(({ at, bytes }) => [at, bytes] as const),
  ];
  for (const [at, bytes] of pieces) code.set(bytes, at);
  return { code, image, places, programs: programs.map(({ bytes }) => bytes) };
}

/** The records before a call with these argument words. */
export function tracedData(wanted: WantedTrace, places: readonly WordPlace[], words: readonly bigint[]): Uint8Array {
  const data = new Uint8Array(RECORD_SIZE * programRecord(wanted.programs.length));
  const view = new DataView(data.buffer);
  for (const [index, each] of places.entries()) {
    const at = 'register' in each ? 8 * each.register : STACK_ARGUMENTS + 8 * each.stack;
    view.setBigUint64(ARGUMENTS * RECORD_SIZE + at, words[index] ?? 0n, true);
  }
  for (const [index, { isSkipped }] of wanted.programs.entries())
    view.setBigUint64(programRecord(index) * RECORD_SIZE + FIELD.skips, isSkipped ? 0n : BigInt(START), true);
  return data;
}

/** Reads what a call left. */
export function recordReader(data: Uint8Array): (record: number, field: number) => bigint {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return (record, field) => view.getBigUint64(record * RECORD_SIZE + field, true);
}

export const functionAddress = (place: TracedPlace): bigint => toAddress(place.base, FUNCTION);
