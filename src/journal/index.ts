export { corrupt } from './faults.ts';
export { type JournalFolder, openJournalFolder } from './folder.ts';
export { Journal } from './journal.ts';
export { openLmdbStore } from './lmdb-store.ts';
export { MemoryStore, type StoreFault } from './memory-store.ts';
export {
  type JournalContents,
  type JournalDamage,
  type JournalIdentity,
  type JournalRecord,
  type OpenedJournal,
  openJournal,
  readJournal,
} from './open-journal.ts';
export type { JournalStore, StoreBatch } from './store.ts';
export {
  checkJournal,
  exportJournal,
  importJournal,
  type JournalRepair,
  type JournalReport,
  repairJournal,
} from './tools.ts';
