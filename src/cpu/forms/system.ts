import type { Cpu } from '../cpu.ts';
import { type CpuFault, FaultSignal, generalProtection } from '../fault.ts';
import { getCF, readFlags, writeFlags, writeStatusFlags } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import { loadOf, type Op, storeOf } from '../operand.ts';
import {
  AC,
  CF,
  DF,
  EXECUTED,
  FLAG_REST,
  FS_BASE,
  GS_BASE,
  IF,
  INTERRUPT_SHADOW,
  KERNEL_GS_BASE,
  NMI_BLOCKED,
  OF,
  RAX,
  RBX,
  RCX,
  RDX,
  RIP,
  RSP,
  STATUS_FLAGS,
  TSC_AUX,
} from '../registers.ts';
import { carryOf, wide } from '../wide.ts';
import { place, value } from './alu.ts';
import { cpuidLeaf } from './cpuid.ts';

/** For forms that end their block: does it, and goes on behind it. */
const thenNext =
  (body: (c: Cpu) => void) =>
  ({ nextHigh, nextLow }: Instruction): Op =>
  (c) => {
    body(c);
    c.words[RIP] = nextLow;
    c.words[RIP + 1] = nextHigh;
  };

const setRest = (set: number, clear: number) => (): Op => (c) => {
  c.words[FLAG_REST] = ((c.words[FLAG_REST] ?? 0) & ~clear) | set;
};

/** Interrupts come one instruction after `sti`, when it was it that set IF. */
const sti = thenNext(({ words }) => {
  const rest = words[FLAG_REST] ?? 0;
  if ((rest & IF) === 0) words[INTERRUPT_SHADOW] = 1;
  words[FLAG_REST] = rest | IF;
});

const changeCarry =
  (next: (cf: number) => number) =>
  (): Op =>
  ({ words }) => {
    const flags = readFlags(words) & STATUS_FLAGS;
    writeStatusFlags(words, (flags & ~CF) | next(getCF(words)));
  };

const lahf = (): Op => (c) => {
  c.bytes[1] = readFlags(c.words) & 0xff;
};

const sahf =
  (): Op =>
  ({ words, bytes }) =>
    writeStatusFlags(words, (readFlags(words) & OF) | ((bytes[1] ?? 0) & STATUS_FLAGS & ~OF));

const cpuid = thenNext((c) => {
  const { words } = c;
  const [eax, ebx, ecx, edx] = cpuidLeaf(words[RAX] ?? 0, words[RCX] ?? 0, c.number);
  for (const [index, result] of [
    [RAX, eax],
    [RBX, ebx],
    [RCX, ecx],
    [RDX, edx],
  ] as const) {
    words[index] = result;
    words[index + 1] = 0;
  }
  c.serialise('cpuid');
});

/** The time stamp counter is the number of instructions executed before. */
function readCounter({ words }: Cpu): void {
  words[RAX] = words[EXECUTED] ?? 0;
  words[RDX] = words[EXECUTED + 1] ?? 0;
  words[RAX + 1] = words[RDX + 1] = 0;
}

const rdtscp = thenNext((c) => {
  readCounter(c);
  c.words[RCX] = c.words[TSC_AUX] ?? 0;
  c.words[RCX + 1] = 0;
});

function rdpid({ operands }: Instruction): Op {
  const store = storeOf(place(operands[0]));
  return (c) => store(c, c.words[TSC_AUX] ?? 0, 0);
}

const swapgs =
  (): Op =>
  ({ words }) => {
    for (const half of [0, 1]) {
      const gs = words[GS_BASE + half] ?? 0;
      words[GS_BASE + half] = words[KERNEL_GS_BASE + half] ?? 0;
      words[KERNEL_GS_BASE + half] = gs;
    }
  };

const readBase =
  (base: number) =>
  ({ operands }: Instruction): Op => {
    const store = storeOf(place(operands[0]));
    return (c) => store(c, c.words[base] ?? 0, c.words[base + 1] ?? 0);
  };

function requireCanonical(high: number, low: number): void {
  if (high >> 15 !== 0 && high >> 15 !== -1) throw generalProtection('a base that is not canonical', wide(high, low));
}

const writeBase =
  (base: number) =>
  ({ operands }: Instruction): Op => {
    const from = value(operands[0]);
    const load = loadOf(from);
    return (c) => {
      const low = load(c);
      const high = from.size === 8 ? c.valueHigh : 0;
      requireCanonical(high, low);
      c.words[base] = low;
      c.words[base + 1] = high;
    };
  };

/** The model-specific registers that exist; the value is the index of the word. */
const MSRS: ReadonlyMap<number, number> = new Map([
  [0xc000_0100, FS_BASE],
  [0xc000_0101, GS_BASE],
  [0xc000_0102, KERNEL_GS_BASE],
  [0xc000_0103, TSC_AUX],
  [0x10, EXECUTED],
]);

function msrIndex(number: number): number {
  const index = MSRS.get(number >>> 0);
  if (index === undefined) throw generalProtection(`MSR 0x${(number >>> 0).toString(16)} does not exist here`);
  return index;
}

const rdmsr = thenNext(({ words }) => {
  const index = msrIndex(words[RCX] ?? 0);
  words[RAX] = words[index] ?? 0;
  words[RDX] = index === TSC_AUX ? 0 : (words[index + 1] ?? 0);
  words[RAX + 1] = words[RDX + 1] = 0;
});

const wrmsr = thenNext((c) => {
  const { words } = c;
  const index = msrIndex(words[RCX] ?? 0);
  const low = words[RAX] ?? 0;
  const high = words[RDX] ?? 0;
  if (index === EXECUTED) throw generalProtection('the time stamp counter counts instructions and cannot be set');
  if (index === TSC_AUX && high !== 0) throw generalProtection('IA32_TSC_AUX has 32 bits');
  if (index !== TSC_AUX) requireCanonical(high, low);
  words[index] = low;
  if (index !== TSC_AUX) words[index + 1] = high;
  c.serialise('wrmsr');
});

/** Pops RIP, CS, RFLAGS, RSP, SS. Interrupts and NMIs are let in again as the frame says. */
function iret(): Op {
  return (c) => {
    const { words, space } = c;
    const base = words[RSP] ?? 0;
    const baseHigh = words[RSP + 1] ?? 0;
    const frame = [0, 8, 16, 24, 32].map((offset) => {
      const at = (base + offset) | 0;
      const low = space.read64((baseHigh + carryOf(base, offset, at)) | 0, at);
      return { low, high: space.high };
    });
    const [rip, cs, flags, rsp] = frame;
    if (rip === undefined || cs === undefined || flags === undefined || rsp === undefined) return;
    if ((cs.low & 3) !== 0) throw new FaultSignal(userMode);
    words[RIP] = rip.low;
    words[RIP + 1] = rip.high;
    words[RSP] = rsp.low;
    words[RSP + 1] = rsp.high;
    writeFlags(words, flags.low);
    words[NMI_BLOCKED] = 0;
    c.serialise('iret');
  };
}

const userMode: CpuFault = { name: 'not-implemented', mnemonic: 'iret to user mode', bytes: Uint8Array.of(0x48, 0xcf) };

/** `alone` in its block: the count is brought up to date between blocks. */
const rdtsc = thenNext(readCounter);

const nop = (): Op => () => undefined;

/** Caches are not modelled; the address must be readable all the same. */
function flush({ operands }: Instruction): Op {
  const load = loadOf(value(operands[0]));
  return (c) => void load(c);
}

/** al = byte at rbx + al. The segment can be overridden; compilers do not use it. */
function xlat(): Op {
  return (c) => {
    const { words, bytes } = c;
    const al = bytes[0] ?? 0;
    const low = ((words[RBX] ?? 0) + al) | 0;
    const high = ((words[RBX + 1] ?? 0) + carryOf(words[RBX] ?? 0, al, low)) | 0;
    bytes[0] = c.space.read8(high, low);
  };
}

const PRIVILEGED = 'user mode may not execute it';
const OWN_VALUES = 'each processor has its own answer';

export const SYSTEM_FORMS: readonly Form[] = [
  { name: 'cpuid', encoding: '0f a2', operands: '', build: cpuid, ends: true, notCompared: OWN_VALUES },
  { name: 'rdtsc', encoding: '0f 31', operands: '', build: rdtsc, ends: 'alone', notCompared: OWN_VALUES },
  { name: 'rdtscp', encoding: '0f 01 f9', operands: '', build: rdtscp, ends: 'alone', notCompared: OWN_VALUES },
  { name: 'rdpid', encoding: 'f3 0f c7 /7', operands: 'Rq', build: rdpid, notCompared: OWN_VALUES },
  { name: 'stac', encoding: '0f 01 cb', operands: '', build: setRest(AC, 0), notCompared: PRIVILEGED },
  { name: 'clac', encoding: '0f 01 ca', operands: '', build: setRest(0, AC), notCompared: PRIVILEGED },
  { name: 'cli', encoding: 'fa', operands: '', build: setRest(0, IF), notCompared: PRIVILEGED },
  { name: 'sti', encoding: 'fb', operands: '', build: sti, ends: true, notCompared: PRIVILEGED },
  { name: 'cld', encoding: 'fc', operands: '', build: setRest(0, DF) },
  { name: 'std', encoding: 'fd', operands: '', build: setRest(DF, 0) },
  { name: 'cmc', encoding: 'f5', operands: '', build: changeCarry((cf) => cf ^ 1) },
  { name: 'clc', encoding: 'f8', operands: '', build: changeCarry(() => 0) },
  { name: 'stc', encoding: 'f9', operands: '', build: changeCarry(() => 1) },
  { name: 'lahf', encoding: '9f', operands: '', build: lahf },
  { name: 'sahf', encoding: '9e', operands: '', build: sahf },
  { name: 'swapgs', encoding: '0f 01 f8', operands: '', build: swapgs, notCompared: PRIVILEGED },
  { name: 'rdfsbase', encoding: 'f3 0f ae /0', operands: 'Ry', build: readBase(FS_BASE), notCompared: OWN_VALUES },
  { name: 'rdgsbase', encoding: 'f3 0f ae /1', operands: 'Ry', build: readBase(GS_BASE), notCompared: OWN_VALUES },
  { name: 'wrfsbase', encoding: 'f3 0f ae /2', operands: 'Ry', build: writeBase(FS_BASE), notCompared: OWN_VALUES },
  { name: 'wrgsbase', encoding: 'f3 0f ae /3', operands: 'Ry', build: writeBase(GS_BASE), notCompared: OWN_VALUES },
  { name: 'rdmsr', encoding: '0f 32', operands: '', build: rdmsr, ends: 'alone', notCompared: PRIVILEGED },
  { name: 'wrmsr', encoding: '0f 30', operands: '', build: wrmsr, ends: true, notCompared: PRIVILEGED },
  { name: 'iretq', encoding: 'cf w1', operands: '', build: iret, ends: true, notCompared: 'its frame names selectors' },
  {
    name: 'serialize',
    encoding: 'np 0f 01 e8',
    operands: '',
    build: thenNext((c) => c.serialise('serialize')),
    ends: true,
    notCompared: 'not every processor has it',
  },
  { name: 'lfence', encoding: 'np 0f ae /5', operands: 'Rd', build: nop },
  { name: 'mfence', encoding: 'np 0f ae /6', operands: 'Rd', build: nop },
  { name: 'sfence', encoding: 'np 0f ae /7', operands: 'Rd', build: nop },
  { name: 'clflush', encoding: 'np 0f ae /7', operands: 'Mb', build: flush },
  { name: 'clflushopt', encoding: '66 0f ae /7', operands: 'Mb', build: flush },
  { name: 'clwb', encoding: '66 0f ae /6', operands: 'Mb', build: flush },
  { name: 'prefetchw', encoding: '0f 0d /r', operands: 'Mb', build: nop },
  { name: 'pause', encoding: 'f3 90', operands: '', build: nop },
  { name: 'xlat', encoding: 'd7', operands: '', build: xlat },
];
