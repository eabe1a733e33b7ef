export { readAltInstrs } from './alt-instr.ts';
export { applyBootPatching } from './apply.ts';
export type { BootInput, BootMachine, BootResult, TextRangeBytes } from './boot-patching.ts';
export { readJumpEntries } from './jump-entries.ts';
export { readSites } from './site-tables.ts';
