import type { CpuFault } from '../cpu/index.ts';
import type { CallFault } from './call-types.ts';
import type { Execution } from './execution.ts';

/** Bytes shown in front of %rip and from it on, as an oops does (show_opcodes). */
const BEFORE = 42;
const BEHIND = 22;

/** The longest run of bytes around an address that is there. */
function bytesAround(x: Execution, rip: bigint): { readonly bytes: Uint8Array; readonly bytesAt: bigint } {
  for (const before of [BEFORE, 0]) {
    const start = rip - BigInt(before);
    const bytes = x.guest.space.peek(BigInt.asUintN(64, start), before + BEHIND);
    if (bytes !== undefined) return { bytes, bytesAt: start };
  }
  return { bytes: new Uint8Array(0), bytesAt: rip };
}

/** A fault at the present %rip; in a slot, at the instruction whose copy runs there (kprobe_fault_handler). */
export function faultAt(x: Execution, name: string, detail: string): CallFault {
  const rip = x.kprobe?.slot === undefined ? x.guest.get('rip') : x.index.address(x.kprobe.addr);
  return { name, detail, rip, ...bytesAround(x, rip) };
}

/** A fault that the CPU reported and nobody handled. */
export function faultOf(x: Execution, fault: CpuFault): CallFault {
  switch (fault.name) {
    case '#PF':
      return {
        ...faultAt(x, fault.name, `${fault.access} of memory that is ${reasonText(fault.reason)}`),
        address: fault.address,
      };
    case '#GP':
      return {
        ...faultAt(x, fault.name, fault.reason),
        ...(fault.address === undefined ? {} : { address: fault.address }),
      };
    case 'not-implemented':
      return faultAt(x, fault.name, `the simulated CPU does not execute ${fault.mnemonic}`);
    default:
      return faultAt(x, fault.name, fault.reason);
  }
}

function reasonText(reason: Extract<CpuFault, { name: '#PF' }>['reason']): string {
  return reason === 'text' ? 'kernel text, which is read-only' : reason;
}
