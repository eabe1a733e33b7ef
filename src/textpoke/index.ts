export { ARENA_END, ARENA_START } from './arena.ts';
export { putPokeVector, tryGetPokeVector } from './bp-desc.ts';
export { KernelText, type PristineRange } from './kernel-text.ts';
export { compareExpected, type Poke, type PokeEntry, type PokeMismatch } from './poke-entry.ts';
export {
  POKE_HISTORY_BYTES_MAX,
  POKE_HISTORY_MAX,
  POKE_HISTORY_SITE_MAX,
  type PokeAuthor,
  PokeHistory,
  type PokeHistoryOptions,
  type PokeRecord,
} from './poke-history.ts';
export { addSummaries, NO_POKES, type PokePhase, type PokeSummary } from './poke-phase.ts';
export {
  jccTaken,
  type PokeInt3Answer,
  type PokeVector,
  type PokeVectorEntry,
  pokeInt3Handler,
} from './poke-vector.ts';
export type { Quantiles } from './recent-quantiles.ts';
export { GIVEN_UP, runPhases, runPhasesWhile } from './run-phases.ts';
export {
  type AbortNotice,
  assertHeld,
  TEXT_MUTEX_QUEUE_MAX,
  TextMutex,
  type TextMutexHeld,
  type TextMutexObserver,
  type TextMutexRequest,
  type TextMutexRule,
  type TextMutexState,
} from './text-mutex.ts';
export type { TextRun } from './text-pages.ts';
export {
  type PokeMachine,
  textPoke,
  textPokeCopy,
  textPokeSet,
  textPokeSync,
  textPokeThenSync,
  type UnsafePoke,
} from './text-poke.ts';
export { type PokePhases, TP_VEC_MAX, textPokeBp, textPokeBpBatch } from './text-poke-bp.ts';
export { TextPokeQueue, textPokeBpAll } from './text-poke-queue.ts';
export { loadText, resetText, restoreText, snapshotText, type TextSnapshot } from './text-snapshot.ts';
export { PokeTrail, undoVector } from './undo-pokes.ts';
