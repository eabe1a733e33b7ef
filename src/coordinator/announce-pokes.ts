import type { TextOp } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';
import type { Caller } from './service.ts';

/** Places named in an event; the rest is a count. */
export const PLACES_IN_EVENT = 8;

/** One event for each op that writes. */
export function announcePokes(kernel: Kernel, caller: Caller, attachment: string | null, ops: readonly TextOp[]): void {
  const view = kernel.view();
  for (const op of ops) {
    if (op.kind === 'wait') continue;
    const changes = op.kind === 'batch' ? op.changes : [{ at: op.at }];
    kernel.events.append('poke', {
      client: caller.client,
      attachment: ('attachment' in op ? op.attachment : undefined) ?? attachment,
      primitive: op.kind,
      reason: op.what,
      count: changes.length,
      places: changes.slice(0, PLACES_IN_EVENT).map((change) => view.place(change.at)),
    });
  }
}
