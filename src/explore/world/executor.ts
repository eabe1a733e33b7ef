import { toHex } from '../../base/index.ts';
import {
  AddressSpace,
  Cpu,
  type CpuExit,
  FS_BASE,
  GS_BASE,
  INTERRUPT_SHADOW,
  KERNEL_GS_BASE,
  PAGE_SIZE,
  R15,
  type Region,
  RSP,
} from '../../cpu/index.ts';
import { ScenarioError } from '../scenario/assemble.ts';
import { END, ended, type Frame, type StackSlot } from './cpu-state.ts';

/** Where place 0 stands for the executor; linear addresses of Linux without randomisation. */
const TEXT = 0xffff_ffff_8100_0000n;
/** Places end where the arena of generated code does. */
const PLACES_END = 0x7e00_0000n;
const STACK = 0xffff_c900_0000_0000n;
const TOP = STACK + BigInt(PAGE_SIZE);
const SLOT = 8;
/** Beside what the bottom return address takes. */
const SLOTS_MAX = PAGE_SIZE / SLOT - 1;

/** Words that a frame keeps: general registers without %rsp, and the bases. */
const KEPT: readonly number[] = [
  ...Array.from({ length: R15 + 2 }, (_, n) => n).filter((n) => n !== RSP && n !== RSP + 1),
  ...[GS_BASE, FS_BASE, KERNEL_GS_BASE].flatMap((n) => [n, n + 1]),
];

/** What one instruction did: to the frame, or it was an int3. */
export type Executed =
  | { readonly kind: 'next'; readonly frame: Frame; readonly isSerialised: boolean }
  | { readonly kind: 'int3' };

/**
 * Instructions are executed by the simulated CPU of src/cpu, one at a time and from whatever bytes the fetch model let the CPU have: a frame's registers, flags
 * and stack go in, and come out again. A frame is one call with a stack of its own; the return address at its bottom leads to END. Memory that CPUs would share
 * is not part of a scenario, so an instruction that goes there cannot be played, and says so.
 */
export class Executor {
  readonly #cpu: Cpu;
  readonly #stack: Region;
  readonly #start: Int32Array;
  #bytes: Uint8Array = new Uint8Array();

  constructor() {
    const space = new AddressSpace();
    this.#stack = space.map({ name: 'stack', start: STACK, length: PAGE_SIZE, permissions: 'rw-' });
    const fetch = {
      fetch: (_cpu: Cpu, _high: number, _low: number, out: Uint8Array): number => {
        out.set(this.#bytes);
        return this.#bytes.length;
      },
      serialised: () => undefined,
    };
    this.#cpu = new Cpu({ number: 0, space, fetch });
    this.#start = this.#cpu.snapshot();
  }

  /**
   * 1. The frame into the CPU.
   * 2. One instruction.
   * 3. The CPU into a frame.
   */
  execute(frame: Frame, bytes: Uint8Array): Executed {
    const cpu = this.#cpu;
    this.#load(frame);
    this.#bytes = bytes;
    const before = cpu.serialised;
    const exit = cpu.step();
    if (exit.kind === 'trap' && exit.cause === 'int3') return { kind: 'int3' };
    if (exit.kind !== 'budget') throw new ScenarioError(`${toHex(bytes)} at ${place(frame.rip)}: ${inWords(exit)}`);
    return { kind: 'next', frame: this.#save(frame), isSerialised: cpu.serialised !== before };
  }

  #load({ rip, stack, registers, flags, isShadowed }: Frame): void {
    const cpu = this.#cpu;
    cpu.restore(this.#start);
    for (let i = 0; i < registers.length; i += 2) cpu.words[registers[i] ?? 0] = registers[i + 1] ?? 0;
    cpu.flags = flags;
    cpu.words[INTERRUPT_SHADOW] = isShadowed === true ? 1 : 0;
    cpu.set('rip', TEXT + BigInt(rip));
    if (stack.length > SLOTS_MAX) throw new ScenarioError('the stack of a call is full');
    for (const [i, slot] of [END, ...stack].entries())
      this.#stack.view.setBigUint64(offsetOf(i), slotValue(slot), true);
    cpu.set('rsp', TOP - BigInt(SLOT * (stack.length + 1)));
  }

  #save(frame: Frame): Frame {
    const cpu = this.#cpu;
    const rip = cpu.get('rip');
    const used = Number(TOP - cpu.get('rsp'));
    const isOver = rip === TEXT + BigInt(END) && used === 0;
    if (!isOver && (rip < TEXT || rip >= TEXT + PLACES_END))
      throw new ScenarioError(`it goes to 0x${rip.toString(16)}, where no text is`);
    if (!isOver && (used % SLOT !== 0 || used < SLOT || used > PAGE_SIZE))
      throw new ScenarioError('%rsp is moved out of the call’s own stack, or in between its slots');
    const { isShadowed: _, ...rest } = frame;
    if (isOver) return ended({ ...rest, flags: cpu.flags });
    return {
      ...rest,
      rip: Number(rip - TEXT),
      stack: Array.from({ length: used / SLOT - 1 }, (_unused, i) =>
        slotOf(this.#stack.view.getBigUint64(offsetOf(i + 1), true)),
      ),
      registers: KEPT.flatMap((n) => (cpu.words[n] === this.#start[n] ? [] : [n, cpu.words[n] ?? 0])),
      flags: cpu.flags,
      ...(cpu.words[INTERRUPT_SHADOW] === 1 ? { isShadowed: true } : {}),
    };
  }
}

/** From the bottom. */
const offsetOf = (slot: number): number => PAGE_SIZE - SLOT * (slot + 1);

const slotValue = (slot: StackSlot): bigint => (typeof slot === 'number' ? TEXT + BigInt(slot) : BigInt(slot));

/** A value that is a place is kept as one, so that handlers that play a return find it. */
const slotOf = (value: bigint): StackSlot =>
  value >= TEXT && value < TEXT + PLACES_END ? Number(value - TEXT) : `0x${value.toString(16)}`;

const place = (at: number): string => `0x${at.toString(16)}`;

function inWords(exit: CpuExit): string {
  if (exit.kind !== 'fault') return `${exit.kind} is not part of a scenario`;
  const { fault } = exit;
  switch (fault.name) {
    case '#PF':
      return `${fault.access} at 0x${fault.address.toString(16)}: memory that CPUs share is not part of a scenario`;
    case 'not-implemented':
      return `${fault.mnemonic} is not implemented`;
    default:
      return fault.name;
  }
}
