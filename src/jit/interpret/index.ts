export * from './helper.ts';
export * from './interpret.ts';
export { type BpfFaultReason, type BpfOutcome, MAX_CALL_FRAMES } from './machine.ts';
export * from './memory.ts';
