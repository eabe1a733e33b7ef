import type { Result } from '../../base/index.ts';
import type { DataRequest } from '../../image/index.ts';
import type { CallOutcome, MachineCall, MachineState } from '../call-types.ts';
import type { MachineImage } from '../machine-image.ts';

/** What a thread is started with: the image without its data, which the thread reads itself. */
export interface ThreadStart {
  readonly image: MachineImage;
  readonly data: DataRequest;
}

export interface ToThread {
  readonly id: number;
  /** Absent when it is the one that was sent last. */
  readonly state?: MachineState;
  readonly call: MachineCall;
}

export interface FromThread {
  readonly id: number;
  /** Undefined: an exception of ours, told in `problem`. */
  readonly result?: Result<CallOutcome>;
  readonly problem?: string;
}
