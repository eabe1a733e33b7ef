export { originalBytes } from './arena.ts';
export { type Attachable, attachable } from './attachable.ts';
export { type OwnedBytes, ownedBytes } from './attribution.ts';
export { checkExtension } from './bpf/program-target.ts';
export {
  dropProgram,
  loadProg,
  locateProgram,
  type ProgramToLoad,
  parseProgramPlace,
  programFunctionAt,
} from './bpf/programs.ts';
export { trampolineSite } from './bpf/text-poke.ts';
export {
  type AttachInput,
  type Decision,
  decideAttach,
  decideAttachSteps,
  decideDetach,
  decideDetachSteps,
  decideSetEnabled,
  PLACES_MAX,
  readOnly,
  type Verdict,
} from './decide.ts';
export type { Change, DecisionOf } from './decision.ts';
export { type FactReader, factAt, type KernelFact } from './kernels/fact.ts';
export { factsOfRule, KERNEL_FACTS } from './kernels/index.ts';
export { BUILT_KERNELS, EVIDENCE, isAtLeast, latestOf, type RulesKernel, rulesKernel } from './kernels/versions.ts';
export { decideOptimizer, OPTIMIZE_DELAY_JIFFIES, type OptimizerRun } from './kprobe/optimizer.ts';
export {
  decideForce,
  decideTransitionWork,
  TRANSITION_RETRY_MS,
  type TransitionDecision,
} from './livepatch/decide.ts';
export {
  type LivepatchFacts,
  livepatchFacts,
  obstacleText,
  type Straggler,
  stragglersOf,
} from './livepatch/describe.ts';
export { klpHandlerTarget } from './livepatch/stack.ts';
export {
  accessProblem,
  type CreateMapRequest,
  decideConsume,
  decideCreateMap,
  decideDeleteElement,
  decideDeleteMap,
  decideMapWrites,
  decideUpdateElement,
  MAP_LIMITS,
  type MapChange,
  type MapWrite,
  mapUnknown,
  programsOfMap,
  readKey,
  type UpdateElementRequest,
} from './maps/decide.ts';
export { frozenContents } from './maps/program-maps.ts';
export { type Reachable, reachable } from './maps/reachable.ts';
export type { BpfMap, ProgramMap } from './maps/state.ts';
export { initialState } from './model/initial-state.ts';
export type { LoadedModule } from './model/loaded-module.ts';
export {
  type AttachIdentity,
  type AttachRequest,
  OWNER_KINDS,
  type OwnerKind,
  type RequestTarget,
  type Strictness,
} from './model/request.ts';
export type {
  Attachment,
  BpfFunctionInfo,
  BpfProgram,
  BpfProgramType,
  KernelState,
  KlpState,
  Task,
  TaskFrame,
  TaskKind,
  TaskRunState,
  VerifiedProgram,
} from './model/state.ts';
export {
  decideModuleLoad,
  decideModuleStep,
  type LoadInput,
  type ModuleDecision,
  type ModuleStep,
} from './modules/decide-module.ts';
export { dependents, moduleHolders } from './modules/in-use.ts';
export { type ModuleRecord, moduleRecord, restoreModules } from './modules/restore-modules.ts';
export { OverlayText } from './overlay-text.ts';
export { locate, type Place, parsePlace } from './place.ts';
export { bpfJitCpu } from './program/jit-cpu.ts';
export {
  attachmentsOf,
  BPF_PROGRAM_TYPES,
  decideLoadProgram,
  decideUnloadProgram,
  jitedProgram,
  type LoadProgramRequest,
  type ProgramDecision,
  preparedProgram,
  programUnknown,
} from './program/load.ts';
export {
  decideLoadObject,
  type LoadedObject,
  type LoadObjectRequest,
  type ObjectDecision,
  type ObjectProgramRequest,
} from './program/load-object.ts';
export {
  objectVerificationJob,
  runVerification,
  type VerificationJob,
  verificationJob,
  verifiedProgram,
} from './program/verify.ts';
export { RULES } from './rules/index.ts';
export { KERNEL_UNSETTLED } from './rules/kernel.ts';
export { MAP_ELEMENT } from './rules/map.ts';
export { MODULE_UNKNOWN } from './rules/module.ts';
export { SECTION_TYPE } from './rules/object.ts';
export { programFault, VERIFICATION_BUDGET } from './rules/program.ts';
export {
  ATTACHMENT_NOT_YOURS,
  ATTACHMENT_UNKNOWN,
  PLACE_UNKNOWN,
  SYMBOL_AMBIGUOUS,
  TARGET_INVALID,
} from './rules/request.ts';
export { type FaultDetails, type Rule, refuse } from './rules/rule.ts';
export { TASK_NOT_YOURS } from './rules/task.ts';
export { describeRuntime } from './runtime/describe-runtime.ts';
export type {
  CountedCode,
  EnteredCode,
  OpsUser,
  Runtime,
  RuntimeExtension,
  RuntimeKprobe,
  RuntimeOps,
  RuntimeOptprobe,
  RuntimeProgram,
  RuntimeTracepoint,
} from './runtime/runtime.ts';
export { type SiteFacts, siteFacts } from './site-view.ts';
export { decideSysctl, readSysctl, SYSCTLS, type Sysctl, type SysctlName } from './sysctl/sysctl.ts';
export {
  decideEndTask,
  decideMoveTask,
  decideNewTask,
  FRAMES_MAX,
  type TaskChange,
  type TaskDecision,
  type TaskRequest,
  taskUnknown,
} from './tasks/decide.ts';
export { forecast, type GracePeriod, type OpCost, type TextChange, type TextOp, writesOf } from './text-op.ts';
export type { Txn } from './txn.ts';
export { kernelView, VIEW_NAMES } from './views/views.ts';
export { describePlace, ftraceLocation, makeWorld, type World, withRulesOf, worldOf } from './world.ts';
