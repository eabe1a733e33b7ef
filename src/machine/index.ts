export { ARGUMENT_BYTES_MAX } from './arguments.ts';
export type {
  CallArgument,
  CallEnd,
  CallFault,
  CallOutcome,
  FiredRecord,
  MachineCall,
  MachineState,
  MissReason,
  MissRecord,
  ModuleMemory,
  TracedLine,
} from './call-types.ts';
export { CPU_COUNT, CPU_COUNT_MAX } from './layout.ts';
export { Machine } from './machine.ts';
export { type MachineImage, machineImage } from './machine-image.ts';
export { NO_DELTA, type TextDelta, textDelta } from './text-delta.ts';
export { MachineThread } from './thread/machine-thread.ts';
export type { FromWorkload, WorkloadReport } from './thread/workload-protocol.ts';
export { WorkloadThread } from './thread/workload-thread.ts';
export { type FinishedCall, Workload, type WorkloadCounts, type WorkloadOptions } from './workload/workload.ts';
