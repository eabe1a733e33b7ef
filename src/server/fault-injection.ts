/** What a service that was started with --inject-faults has beside others: the book of faults, and a clock that may jump. */
import { type Clock, systemClock, systemPrng } from '../base/index.ts';
import { FaultBook, type FaultBookOptions, faultyClock } from '../coordinator/index.ts';

export interface FaultInjection {
  readonly faults: FaultBook;
  /** For the whole service. */
  readonly clock: Clock;
}

export function openFaultInjection(crash: FaultBookOptions['crash']): FaultInjection {
  const faults = new FaultBook({ clock: systemClock, prng: systemPrng, crash });
  return { faults, clock: faultyClock(systemClock, faults) };
}
