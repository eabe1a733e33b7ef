/** The kinds of owner of the HTTP contract, in its order. */
export const OWNER_KINDS = [
  'kprobe',
  'kretprobe',
  'kprobe_multi',
  'kretprobe_multi',
  'fprobe',
  'ftrace',
  'ftrace_direct',
  'fentry',
  'fexit',
  'fmod_ret',
  'freplace',
  'lsm',
  'livepatch',
  'jump_label',
  'static_call',
  'tracepoint',
  'kgdb',
] as const;

export type OwnerKind = (typeof OWNER_KINDS)[number];

export type Strictness = 'safe' | 'linux';

/** One place, several, or a pattern of `*` and `?`. */
export type RequestTarget = string | readonly string[] | { readonly pattern: string };

export interface AttachRequest {
  readonly kind: OwnerKind;
  readonly target: RequestTarget;
  readonly program?: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** What a decision may not make up itself: identity, caller and time. */
export interface AttachIdentity {
  readonly id: string;
  readonly client: string;
  readonly tenant: string;
  readonly nowMs: number;
}
