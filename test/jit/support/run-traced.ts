/** Runs a traced function on a simulated CPU and on the real one. */
import { kernelAddress, toAddress } from '../../../src/base/index.ts';
import { AddressSpace, Cpu, PAGE_SIZE } from '../../../src/cpu/index.ts';
import { NativeProcess } from '../../support/native-process/native-process.ts';
import { CALLER_AT, TRACED_CODE_SIZE, type TracedPlace } from './traced-function.ts';

/** Below 2 GiB of one another and free in a process that has just begun. */
export const TRACED_PLACE: TracedPlace = { base: kernelAddress(0x5000_0000n), data: 0x5100_0000n };
const DATA_SIZE = 0x2_0000;
const STACK = 0x5200_0000n;
const STACK_SIZE = 8 * PAGE_SIZE;
const SENTINEL = 0x5300_0000n;
const MAX_INSTRUCTIONS = 100_000;

export type TracedResult = { readonly value: bigint; readonly data: Uint8Array } | { readonly problem: string };

export function simulateTraced(code: Uint8Array, data: Uint8Array): TracedResult {
  const space = new AddressSpace();
  const { base } = TRACED_PLACE;
  space.map({ name: 'code', start: base, length: TRACED_CODE_SIZE, permissions: 'r-x', initial: code });
  space.map({ name: 'data', start: TRACED_PLACE.data, length: DATA_SIZE, permissions: 'rw-', initial: data });
  space.map({ name: 'stack', start: STACK, length: STACK_SIZE, permissions: 'rw-' });
  const cpu = new Cpu({ number: 0, space });
  cpu.sentinel = SENTINEL;
  cpu.set('rip', toAddress(base, CALLER_AT));
  cpu.set('rsp', STACK + BigInt(STACK_SIZE));
  cpu.set('rdi', TRACED_PLACE.data);
  cpu.push(SENTINEL);
  const exit = cpu.run(MAX_INSTRUCTIONS);
  if (exit.kind !== 'returned') return { problem: `${exit.kind} at +0x${(cpu.get('rip') - base).toString(16)}` };
  return { value: cpu.get('rax'), data: (space.peek(TRACED_PLACE.data, data.length) ?? data).slice() };
}

/** The real CPU, with the code and data of traced functions where TRACED_PLACE says. */
export class NativeTraced {
  readonly #process = new NativeProcess();
  #isMapped = false;

  async run(code: Uint8Array, data: Uint8Array): Promise<TracedResult> {
    const { base } = TRACED_PLACE;
    if (!this.#isMapped) {
      await this.#process.run([
        { op: 'map', address: base, length: TRACED_CODE_SIZE },
        { op: 'map', address: TRACED_PLACE.data, length: DATA_SIZE },
      ]);
      this.#isMapped = true;
    }
    const answers = await this.#process.run([
      { op: 'protect', address: base, length: TRACED_CODE_SIZE, permissions: 'rw-' },
      { op: 'write', address: base, bytes: code },
      { op: 'protect', address: base, length: TRACED_CODE_SIZE, permissions: 'r-x' },
      { op: 'write', address: TRACED_PLACE.data, bytes: data },
      { op: 'call', address: toAddress(base, CALLER_AT), args: [TRACED_PLACE.data] },
      { op: 'read', address: TRACED_PLACE.data, length: data.length },
    ]);
    return { value: answers[4] as bigint, data: answers[5] as Uint8Array };
  }

  close(): void {
    this.#process.close();
  }
}
