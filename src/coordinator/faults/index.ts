export { CommandTrial, mayHitCommands } from './command-trial.ts';
export { FAULTS_MAX, FaultBook, type FaultBookOptions } from './fault-book.ts';
export { faultyClock, faultyStore } from './faulty.ts';
export { FAULT_RULES } from './rules.ts';
