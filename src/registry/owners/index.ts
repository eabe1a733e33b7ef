import type { OwnerKind } from '../model/request.ts';
import { fentryOwner } from './fentry.ts';
import { ftraceDirectOwner, ftraceOwner } from './ftrace.ts';
import { kprobeOwner, kretprobeOwner } from './kprobe.ts';
import type { Owner } from './owner.ts';

/** The kinds that are built. */
export const OWNERS: ReadonlyMap<OwnerKind, Owner> = new Map(
  [kprobeOwner, kretprobeOwner, ftraceOwner, ftraceDirectOwner, fentryOwner].map((owner) => [owner.kind, owner]),
);
