/**
 * The two other front doors of kprobes: perf_event_open and tracefs' kprobe_events check more than register_kprobe does.
 * Source: kernel/trace/trace_kprobe.c validate_probe_symbol, within_notrace_func (6.12; 6.1 answers other errnos through tracefs).
 */
import type { Errno, Fault } from '../../base/index.ts';
import { UNKNOWN } from '../kernels/fact.ts';
import { TRACEFS_SYMBOL_ERRNO } from '../kernels/kprobe-facts.ts';
import type { Options } from '../owners/options.ts';
import { type Place, placeName, scopeOf } from '../place.ts';
import { unsettled } from '../rules/kernel.ts';
import { KPROBE_EVENT_AMBIGUOUS, KPROBE_EVENT_NOTRACE, KPROBE_EVENT_UNKNOWN } from '../rules/kprobe.ts';
import { OPTION_INVALID } from '../rules/request.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { ftraceSiteIn } from '../world.ts';
import { kprobeAddress } from './address.ts';

function symbolFault(txn: Txn, place: Place & { readonly kind: 'symbol' }, isTracefs: boolean): Fault | undefined {
  const name = placeName(place);
  const { fact } = txn.world;
  // number_of_same_symbols: without a module's name, the kernel's symbols and those of all modules.
  const { image } = scopeOf(txn.world, place) ?? txn.world;
  const count = scopeOf(txn.world, place) === undefined ? 0 : image.symbols.byName(place.name).length;
  if (count === 1) return undefined;
  const rule = count === 0 ? KPROBE_EVENT_UNKNOWN : KPROBE_EVENT_AMBIGUOUS;
  const tracefs = isTracefs ? fact(TRACEFS_SYMBOL_ERRNO) : 'its own';
  if (tracefs === UNKNOWN)
    return unsettled(TRACEFS_SYMBOL_ERRNO, { detail: `${count} symbols are called ${name}.`, place: name });
  // Recorded: tracefs of 6.12 parses the name first and reports any trouble with it as EINVAL.
  const errno: Errno = tracefs === 'EINVAL' ? 'EINVAL' : rule.errno;
  const near = count === 0 ? image.symbols.near(place.name, 3) : [];
  return refuse(rule, {
    errno,
    detail: count === 0 ? `${name} is not in the kernel's symbol table.` : `${count} symbols are called ${name}.`,
    place: name,
    ...(near.length > 0 ? { remedies: [`Did you mean ${near.join(', ')}?`] } : {}),
  });
}

function hasNoSite(txn: Txn, addr: number): boolean {
  const symbol = txn.world.image.symbols.containing(addr);
  if (symbol?.offset === undefined) return false;
  return ftraceSiteIn(txn.world, symbol.offset, symbol.offset + symbol.size - 1) === undefined;
}

/** foo.cold and foo.isra.0 may be probed when foo may. */
function isNotrace(txn: Txn, addr: number): boolean {
  if (!hasNoSite(txn, addr)) return false;
  const name = txn.world.image.symbols.containing(addr)?.name ?? '';
  const dot = name.indexOf('.');
  const base = dot < 0 ? undefined : txn.world.image.symbols.offsetOf(name.slice(0, dot));
  return base === undefined || hasNoSite(txn, base);
}

/** Why perf or tracefs does not let the probe through; undefined for register_kprobe itself. */
export function frontDoor(txn: Txn, place: Place, options: Options, hasPostHandler: boolean): Fault | undefined {
  const { via } = options;
  if (via !== 'perf' && via !== 'tracefs') return undefined;
  if (hasPostHandler)
    return refuse(OPTION_INVALID, {
      detail: `A kprobe through ${via} has no post_handler; only register_kprobe takes one.`,
    });
  const ambiguous = place.kind === 'symbol' ? symbolFault(txn, place, via === 'tracefs') : undefined;
  if (ambiguous !== undefined) return ambiguous;
  const resolved = kprobeAddress(txn, place);
  // What is wrong with the address itself is register_kprobe's to say.
  if (!resolved.ok || !isNotrace(txn, resolved.value.addr)) return undefined;
  const where = txn.place(resolved.value.addr);
  return refuse(KPROBE_EVENT_NOTRACE, { detail: `${where} is in a notrace function.`, place: where });
}
