export { CPU_COUNT } from '../machine/index.ts';
export { createCoordinator } from './create-coordinator.ts';
export * from './event-types.ts';
export type { KernelOptions } from './kernel.ts';
export { type OpenOptions, openCoordinator } from './open-coordinator.ts';
export { ForkText } from './plan-text.ts';
export { COORDINATOR_RULES } from './rules.ts';
export * from './service.ts';
export * from './service-tasks.ts';
