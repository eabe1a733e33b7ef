import type { Fault, MaybeSteps, Result } from '../../base/index.ts';
import type { ProgramPlace } from '../bpf/programs.ts';
import type { AttachIdentity, OwnerKind, RequestTarget } from '../model/request.ts';
import type { Attachment, BpfProgram } from '../model/state.ts';
import type { Place } from '../place.ts';
import type { Txn } from '../txn.ts';
import type { OptionSpecs, Options } from './options.ts';

/** An attach request whose options are checked and whose target is read. */
export interface OwnerRequest {
  readonly target: ParsedTarget;
  readonly options: Options;
  readonly identity: AttachIdentity;
  /** The loaded program to run, of the owner's kind; without one it runs a built-in one. */
  readonly program?: BpfProgram | undefined;
}

/** Places in the kernel. */
export type KernelTarget =
  | { readonly kind: 'place'; readonly place: Place; readonly text: string }
  | { readonly kind: 'places'; readonly places: readonly { readonly place: Place; readonly text: string }[] }
  | { readonly kind: 'pattern'; readonly pattern: string };

/** `prog:ID`, for who attaches to BPF programs. */
export interface ProgramTargetPlace {
  readonly kind: 'program';
  readonly program: ProgramPlace;
  readonly text: string;
}

export type ParsedTarget = KernelTarget | ProgramTargetPlace;

export interface Attached {
  /** Addresses whose bytes the owner wants changed. */
  readonly sites: readonly number[];
  /** Generated code that lives as long as the attachment. */
  readonly owned: readonly number[];
}

/** One kind of owner: how it attaches, how it leaves. All of it works on a Txn and returns faults. */
export interface Owner {
  readonly kind: OwnerKind;
  readonly options: OptionSpecs;
  /** What its target may be besides one place. */
  readonly takes: readonly ('places' | 'pattern' | 'program')[];
  /** The options of an attachment that brings a program, when they say less or other than that asks for. */
  withProgram?(options: Options): Result<Options>;
  /** In steps by owners of very many sites, as detach. */
  attach(txn: Txn, request: OwnerRequest): MaybeSteps<Result<Attached>>;
  detach(txn: Txn, attachment: Attachment): MaybeSteps<Fault | undefined>;
  /** Absent when the kind cannot be disabled without leaving. */
  setEnabled?(txn: Txn, attachment: Attachment, enabled: boolean): Fault | undefined;
  /** setEnabled is asked even when nothing would change: Linux refuses that. */
  readonly refusesSameState?: true;
}

export type { RequestTarget };
