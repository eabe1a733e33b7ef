import { jmpRel32, NOP5 } from '../../insn/index.ts';
import type { GeneratedTrampoline } from '../../jit/index.ts';
import { remove } from '../arena.ts';
import type { BpfImage } from '../model/state.ts';
import type { Txn } from '../txn.ts';

export function teardownOf(
  at: number,
  { ipAfterCall, ipEpilogue }: Pick<GeneratedTrampoline, 'ipAfterCall' | 'ipEpilogue'>,
): BpfImage['teardown'] {
  if (ipAfterCall === undefined || ipEpilogue === undefined) return undefined;
  return { ipAfterCall: at + ipAfterCall, ipEpilogue: at + ipEpilogue };
}

/**
 * bpf_tramp_image_put, for an image that nothing reaches any more.
 *   fentry only: rcu_tasks_trace for sleepable programs, then rcu_tasks for the others and the image's own instructions.
 *   calls the original, which may sleep in it:
 *     1. The NOP behind that call becomes a jump to the epilogue, so that no program runs any more and all can be freed.
 *     2. rcu_tasks for who is about to take a reference. 3. The last call returns and gives its reference back.
 *     4. rcu_tasks for the few instructions behind that.
 * Source: kernel/bpf/trampoline.c (6.12; 6.1 alike).
 */
export function putImage(txn: Txn, { at, teardown }: BpfImage): void {
  if (teardown === undefined) {
    remove(txn, at, ['rcu_tasks_trace', 'rcu_tasks']);
    return;
  }
  const { ipAfterCall, ipEpilogue } = teardown;
  const jump = jmpRel32(ipAfterCall, ipEpilogue);
  txn.emit({ kind: 'poke', at: ipAfterCall, expected: NOP5, bytes: jump, what: 'bpf_tramp_image_put' });
  remove(txn, at, ['rcu_tasks', 'percpu_ref', 'rcu_tasks'], { jump: { at: ipAfterCall, to: ipEpilogue } });
}
