/** What a test asks the child process that runs machine code on the real CPU. Addresses are real ones in the child. */
export type NativeRequest =
  | { readonly op: 'map'; readonly address: bigint; readonly length: number }
  | { readonly op: 'write'; readonly address: bigint; readonly bytes: Uint8Array }
  | {
      readonly op: 'protect';
      readonly address: bigint;
      readonly length: number;
      readonly permissions: 'rw-' | 'r-x' | 'r--';
    }
  | { readonly op: 'read'; readonly address: bigint; readonly length: number }
  /** Base of %gs. */
  | { readonly op: 'gs'; readonly base: bigint }
  /** Calls with up to twelve integer arguments; answers %rax. */
  | { readonly op: 'call'; readonly address: bigint; readonly args: readonly bigint[] }
  /** Calls `rounds` times; answers the nanoseconds of the fastest call. */
  | { readonly op: 'time'; readonly address: bigint; readonly args: readonly bigint[]; readonly rounds: number }
  /** Address of a function of a shared object. */
  | { readonly op: 'symbol'; readonly library: string; readonly name: string };

/** One answer per request, in order: bytes for `read`, %rax for `call`, else undefined. */
export type NativeAnswer = Uint8Array | bigint | undefined;

export interface NativeMessage {
  readonly id: number;
  readonly requests: readonly NativeRequest[];
}

export type NativeReply =
  | { readonly id: number; readonly answers: readonly NativeAnswer[] }
  | { readonly id: number; readonly error: string };
