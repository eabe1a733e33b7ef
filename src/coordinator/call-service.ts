/** What the coordinator offers of calls; part of service.ts. */
import type { TextView } from './service.ts';

export type CallArgumentRequest =
  /** A whole number: decimal, negative, or `0x…`. */
  | string
  | number
  /** Allocated, its address passed; its contents come back. */
  | { readonly buffer: string }
  /** The address of a place. */
  | { readonly symbol: string };

export interface CallRequest {
  readonly function: string;
  readonly args: readonly CallArgumentRequest[];
  /** Missing arguments by prototype: pointers get zeroed memory of what they point to. */
  readonly sample?: boolean;
  readonly cpu?: number;
  /** How many executed instructions to show. */
  readonly trace?: number;
  readonly maxInstructions?: number;
  readonly maxMs?: number;
}

/** How often an attachment ran in calls since the service started, and how often it would have and did not, by reason. */
export interface AttachmentCounters {
  readonly hits: number;
  /** Executed between entering the owner and leaving it, in all hits. */
  readonly instructions: number;
  readonly misses: Readonly<Record<string, number>>;
}

/** The same of all calls since the service started. */
export interface CallTotals {
  /** By what they ended with. */
  readonly calls: Readonly<Record<string, number>>;
  /** By kind of attachment. */
  readonly hits: Readonly<Record<string, number>>;
  readonly misses: readonly { readonly kind: string; readonly reason: string; readonly count: number }[];
}

export interface CallFired {
  readonly attachment: string;
  readonly kind: string;
  readonly place: string;
  readonly args: readonly string[];
  readonly returnValue: string | null;
  readonly instructions: number;
}

export interface CallAnswer {
  readonly function: string;
  readonly ended: 'returned' | 'fault' | 'budget';
  /** %rax; null unless the function returned. */
  readonly returnValue: string | null;
  readonly instructions: number;
  readonly fired: readonly CallFired[];
  readonly misses: readonly { readonly attachment: string; readonly kind: string; readonly reason: string }[];
  readonly registers: Readonly<Record<string, string>>;
  readonly log: readonly string[];
  readonly buffers: readonly { readonly arg: number; readonly address: string; readonly bytes: string }[];
  readonly fault: {
    readonly name: string;
    readonly detail: string;
    readonly rip: string;
    readonly place: string;
    readonly address: string | null;
    readonly bytes: string;
    readonly instructions: TextView['instructions'];
  } | null;
  /** What was used up. */
  readonly exceeded: 'instructions' | 'time' | null;
  readonly trace: readonly { readonly address: string; readonly place: string }[];
}
