/**
 * What a decision wants done to text, in order. The coordinator carries the list out through textpoke/ under text_mutex; a plan carries
 * it out on an overlay. Every op names the bytes it expects.
 */
/** What must pass before generated code is freed: grace periods, and (percpu_ref) that the last call through a BPF image has returned. */
export type GracePeriod = 'rcu' | 'rcu_tasks' | 'rcu_tasks_rude' | 'rcu_tasks_trace' | 'percpu_ref';

export interface TextChange {
  readonly at: number;
  readonly expected: Uint8Array;
  readonly bytes: Uint8Array;
}

export type TextOp =
  /** Generated code appears in the arena (text_poke_copy). */
  | { readonly kind: 'install'; readonly at: number; readonly bytes: Uint8Array; readonly what: string }
  /** Generated code vanishes after the grace periods (text_poke_set). */
  | {
      readonly kind: 'remove';
      readonly at: number;
      readonly expected: Uint8Array;
      readonly what: string;
      readonly after: readonly GracePeriod[];
    }
  /**
   * One byte, or more that no CPU can be executing and why, then a sync round: arming or disarming an int3, bytes behind one
   * (text_poke, text_poke_sync).
   */
  | ({
      readonly kind: 'byte';
      readonly what: string;
      readonly notExecuting?: string;
      readonly attachment?: string;
    } & TextChange)
  /** One instruction through the int3 protocol (text_poke_bp). `emulate` is what int3 handlers play where it differs from `bytes`. */
  | ({
      readonly kind: 'poke';
      readonly what: string;
      readonly emulate?: Uint8Array;
      readonly attachment?: string;
    } & TextChange)
  /** A grace period passes under text_mutex before what follows. */
  | { readonly kind: 'wait'; readonly period: GracePeriod; readonly what: string }
  /** Many, sorted, 256 to a batch (text_poke_queue, text_poke_finish). */
  | { readonly kind: 'batch'; readonly changes: readonly TextChange[]; readonly what: string };

export interface OpCost {
  readonly pokes: number;
  readonly batches: number;
  readonly syncRounds: number;
}

export const TP_VEC_MAX = 256;

/** What carrying out the ops costs, by the rules of the protocol: three sync rounds per batch of up to 256 multi-byte changes. */
export function forecast(ops: readonly TextOp[]): OpCost {
  let pokes = 0;
  let batches = 0;
  let syncRounds = 0;
  for (const op of ops) {
    if (op.kind === 'byte') {
      pokes += 1;
      syncRounds += 1;
    } else if (op.kind === 'poke' || op.kind === 'batch') {
      const count = op.kind === 'poke' ? 1 : op.changes.length;
      const rounds = Math.ceil(count / TP_VEC_MAX);
      pokes += count;
      batches += rounds;
      syncRounds += 3 * rounds;
    }
  }
  return { pokes, batches, syncRounds };
}

/** What text has after an op: places with their new bytes. */
export function* writesOf(op: TextOp): Generator<readonly [number, Uint8Array]> {
  switch (op.kind) {
    case 'remove':
      yield [op.at, new Uint8Array(op.expected.length).fill(0xcc)];
      return;
    case 'wait':
      return;
    case 'batch':
      for (const change of op.changes) yield [change.at, change.bytes];
      return;
    default:
      yield [op.at, op.bytes];
  }
}
