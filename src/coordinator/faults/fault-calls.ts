/** Arming, listing and removing faults. */
import { err, ok, type Result } from '../../base/index.ts';
import { refuse } from '../../registry/index.ts';
import { COMMANDS } from '../durable/all-commands.ts';
import type { Kernel } from '../kernel.ts';
import { pageOf } from '../paging.ts';
import { siteOf } from '../places.ts';
import type { FaultCalls, FaultRequest, FaultView } from '../service-faults.ts';
import type { FaultBook } from './fault-book.ts';
import { checkFault } from './fault-kinds.ts';
import { FAULT_NO_JOURNAL, FAULT_NOT_ENABLED, FAULT_OPTIONS } from './rules.ts';

const notEnabled = () =>
  err(refuse(FAULT_NOT_ENABLED, { detail: 'This service was started without --inject-faults.' }));

function inject(kernel: Kernel, book: FaultBook, client: string, request: FaultRequest): Result<FaultView> {
  const checked = checkFault(request);
  if (!checked.ok) return checked;
  const { name, options } = checked.value;
  if (name.startsWith('journal-') && !kernel.hasJournal)
    return err(refuse(FAULT_NO_JOURNAL, { detail: `${name}: this service keeps everything in memory only.` }));
  const { command, place } = options;
  if (command !== undefined && !COMMANDS.has(command))
    return err(
      refuse(FAULT_OPTIONS, {
        detail: `${command} is no command; those are ${[...COMMANDS.keys()].sort().join(', ')}.`,
      }),
    );
  const site = place === undefined ? ok(undefined) : siteOf(kernel.view(), place);
  return site.ok ? book.arm({ ...checked.value, at: site.value }, client) : site;
}

export function faultCalls(kernel: Kernel): FaultCalls {
  const book = kernel.faults;
  if (book === undefined)
    return {
      faultInjection: () => false,
      injectFault: notEnabled,
      faults: notEnabled,
      removeFault: notEnabled,
      faultTotals: () => ({}),
      onFault: () => () => undefined,
    };
  return {
    faultInjection: () => true,
    injectFault: (caller, request) => inject(kernel, book, caller.client, request),
    faults: (page) => pageOf(book.list(), page, (each) => each),
    removeFault: (id) => book.remove(id),
    faultTotals: () => book.totals,
    onFault: (listener) => book.onFault(listener),
  };
}
