/** Exceptions that the kernel has an answer to: fix-ups of faulting instructions, and the ud2 of WARN. */
import type { CpuFault } from '../../cpu/index.ts';
import type { Execution } from '../execution.ts';

const ENTRY_SIZE = 12n;
/** include/asm/extable_fixup_types.h (6.1, 6.12). */
const EX_TYPE_DEFAULT = 1;
const EX_TYPE_FAULT = 2;
const EX_TYPE_UACCESS = 3;
const EX_TYPE_MASK = 0xff;

const BUGFLAG_WARNING = 1;
const BUGFLAG_ONCE = 2;
const BUGFLAG_DONE = 4;
const UD2_SIZE = 2n;
const NAME_MAX = 128;

/** Entry of a table of 12-byte place-relative entries whose first word is `wanted`; its address and bytes. */
function entryOf(
  x: Execution,
  table: string,
  wanted: bigint,
): { readonly at: bigint; readonly view: DataView } | undefined {
  const start = x.index.symbol(`__start_${table}`);
  const end = x.index.symbol(`__stop_${table}`);
  if (start === undefined || end === undefined) return undefined;
  const bytes = x.guest.space.peek(start, Number(end - start));
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + Number(ENTRY_SIZE) <= bytes.length; at += Number(ENTRY_SIZE)) {
    const place = start + BigInt(at);
    if (place + BigInt(view.getInt32(at, true)) !== wanted) continue;
    return { at: place, view: new DataView(bytes.buffer, at, Number(ENTRY_SIZE)) };
  }
  return undefined;
}

/** fixup_exception, arch/x86/mm/extable.c, for the types that go to their fix-up and do little else. True: execution goes on. */
export function fixupException(x: Execution, fault: CpuFault): boolean {
  if (fault.name !== '#PF' && fault.name !== '#GP') return false;
  const entry = entryOf(x, '__ex_table', x.guest.get('rip'));
  if (entry === undefined) return false;
  const type = entry.view.getInt32(8, true) & EX_TYPE_MASK;
  if (type !== EX_TYPE_DEFAULT && type !== EX_TYPE_FAULT && type !== EX_TYPE_UACCESS) return false;
  if (type === EX_TYPE_FAULT) x.guest.set('rax', BigInt(fault.vector));
  x.guest.set('rip', entry.at + 4n + BigInt(entry.view.getInt32(4, true)));
  return true;
}

function stringAt(x: Execution, address: bigint): string {
  let text = '';
  for (let i = 0; i < NAME_MAX; i++) {
    const byte = x.guest.space.peek(address + BigInt(i), 1)?.[0];
    if (byte === undefined || byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** handle_bug and report_bug (arch/x86/kernel/traps.c, lib/bug.c): a WARN is logged and stepped over; BUG is not handled. */
export function bugTrap(x: Execution, fault: CpuFault): boolean {
  if (fault.name !== '#UD') return false;
  const rip = x.guest.get('rip');
  const entry = entryOf(x, '__bug_table', rip);
  if (entry === undefined) return false;
  const flags = entry.view.getUint16(10, true);
  const file = stringAt(x, entry.at + 4n + BigInt(entry.view.getInt32(4, true)));
  const place = `${file}:${entry.view.getUint16(8, true)}`;
  if ((flags & BUGFLAG_WARNING) === 0) {
    x.log.push(`kernel BUG at ${place}!`);
    return false;
  }
  const isSilent = (flags & BUGFLAG_ONCE) !== 0 && (flags & BUGFLAG_DONE) !== 0;
  if (!isSilent) x.log.push(`WARNING: CPU: ${x.guest.cpu.number} at ${place}`);
  if ((flags & BUGFLAG_ONCE) !== 0) x.guest.space.poke(entry.at + 10n, Uint8Array.of(flags | BUGFLAG_DONE));
  x.guest.set('rip', rip + UD2_SIZE);
  return true;
}
