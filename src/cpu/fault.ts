/** What kind of access a memory fault was made by. */
export type Access = 'read' | 'write' | 'fetch';

/**
 * Why an instruction could not be executed. A fault leaves registers, flags and memory as they were before the instruction and %rip on its
 * first byte. `not-implemented` is no exception of the architecture: the simulated CPU knows what the bytes are and does not do it.
 */
export type CpuFault =
  | {
      readonly name: '#PF';
      readonly vector: 14;
      readonly address: bigint;
      readonly access: Access;
      readonly reason: 'not mapped' | 'read-only' | 'not executable' | 'text';
    }
  | { readonly name: '#GP'; readonly vector: 13; readonly reason: string; readonly address?: bigint }
  | { readonly name: '#UD'; readonly vector: 6; readonly reason: string }
  | { readonly name: '#DE'; readonly vector: 0; readonly reason: string }
  | { readonly name: 'not-implemented'; readonly mnemonic: string; readonly bytes: Uint8Array };

/** Thrown inside the room to leave an instruction; never leaves it. Not an Error: making a stack trace costs more than the fault. */
export class FaultSignal {
  readonly fault: CpuFault;
  constructor(fault: CpuFault) {
    this.fault = fault;
  }
}

export const invalidOpcode = (reason: string): FaultSignal => new FaultSignal({ name: '#UD', vector: 6, reason });
export const divideError = (reason: string): FaultSignal => new FaultSignal({ name: '#DE', vector: 0, reason });

export function generalProtection(reason: string, address?: bigint): FaultSignal {
  return new FaultSignal({ name: '#GP', vector: 13, reason, ...(address === undefined ? {} : { address }) });
}
