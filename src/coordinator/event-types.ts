/** Types of the events that are told. */
export const EVENT_TYPES = [
  'attached',
  'detached',
  'rejected',
  'poke',
  'quarantined',
  'call',
  'session',
  'image',
  'task',
  'transition',
  'program',
  'exploration',
  'workload',
  'map',
  'module',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];
