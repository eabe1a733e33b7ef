import type { OwnerKind } from '../model/request.ts';
import { fentryOwner, fexitOwner, fmodRetOwner, lsmOwner } from './bpf-tracing.ts';
import { fprobeOwner, kprobeMultiOwner, kretprobeMultiOwner } from './fprobe.ts';
import { freplaceOwner } from './freplace.ts';
import { ftraceDirectOwner, ftraceOwner } from './ftrace.ts';
import { jumpLabelOwner } from './jump-label.ts';
import { kgdbOwner } from './kgdb.ts';
import { kprobeOwner, kretprobeOwner } from './kprobe.ts';
import { livepatchOwner } from './livepatch.ts';
import type { Owner } from './owner.ts';
import { staticCallOwner } from './static-call.ts';
import { tracepointOwner } from './tracepoint.ts';

/** The kinds that are built. */
export const OWNERS: ReadonlyMap<OwnerKind, Owner> = new Map(
  [
    kprobeOwner,
    kretprobeOwner,
    kprobeMultiOwner,
    kretprobeMultiOwner,
    fprobeOwner,
    ftraceOwner,
    ftraceDirectOwner,
    fentryOwner,
    fexitOwner,
    fmodRetOwner,
    freplaceOwner,
    lsmOwner,
    livepatchOwner,
    jumpLabelOwner,
    staticCallOwner,
    tracepointOwner,
    kgdbOwner,
  ].map((owner) => [owner.kind, owner]),
);
