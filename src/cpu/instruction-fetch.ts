import type { Cpu } from './cpu.ts';

/** Longest instruction the architecture allows, and so the most that is ever asked for. */
export const FETCH_MAX = 15;

/**
 * What makes a CPU forget instructions it has fetched (SDM vol. 3, "Serializing Instructions"). `ipi` is the round of interrupts of
 * text_poke_sync: its handler runs sync_core. `interrupt`, `nmi` and `trap` are the returns from those handlers, which are iret.
 */
export type SerialisingEvent = 'cpuid' | 'serialize' | 'iret' | 'wrmsr' | 'ipi' | 'interrupt' | 'nmi' | 'trap';

/**
 * Where a CPU's instruction bytes come from. A CPU without one has the strong model: it always sees the bytes that memory holds now. Another
 * model answers per CPU and may return bytes that memory held earlier; it must keep whatever it remembers itself.
 */
export interface InstructionFetch {
  /**
   * Puts the bytes that this CPU decodes at the address into `out` (15 long), from index 0.
   * @returns how many are there, 1 to 15; fewer than 15 when what lies behind cannot be fetched; 0 when the first byte cannot
   * (the CPU then answers #PF for the first byte it needed and did not get)
   */
  fetch(cpu: Cpu, addressHigh: number, addressLow: number, out: Uint8Array): number;
  /** The CPU serialised: after this, only bytes fetched later may be decoded. Called before the next fetch. */
  serialised(cpu: Cpu, event: SerialisingEvent): void;
}
