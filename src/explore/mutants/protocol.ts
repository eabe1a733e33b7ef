import type { Op } from '../scenario/scenario.ts';
import type { Mutant } from './mutant.ts';
import { bareTextPoke, firstBeforeTail, tailBeforeInt3, withoutSync } from './protocol-steps.ts';

const STALE = ['weak', 'quad', 'line'] as const;
const ALTERNATIVE = 'Linux 6.12, arch/x86/kernel/alternative.c: text_poke_bp_batch';

/** One step of textPokeBpBatch or of its handler done wrong. */
export const PROTOCOL_MUTANTS: readonly Mutant[] = [
  {
    name: 'no-sync-after-int3',
    title: 'The sync after the int3 is dropped',
    scenario: 'int3-call-straddling',
    breaks: 'no-mix',
    models: STALE,
    differs: 'textPokeBpBatch, phase 1: `yield { kind: "sync", after: "int3" }` is left out.',
    story: [
      'The int3 is stored, and the tail right behind it. A CPU that fetched byte 0 before the int3 and has not serialised since still has the old first byte; when it comes to fetch the tail it gets the new one. It executes an instruction that nobody wrote.',
      'The sync is what makes "byte 0 is an int3" true for all CPUs and not only for the one that stored it.',
    ],
    sources: [ALTERNATIVE, 'Intel SDM vol. 3, "Handling Self- and Cross-Modifying Code"'],
    mutation: withoutSync('int3'),
  },
  {
    name: 'no-sync-after-tail',
    title: 'The middle sync is dropped',
    scenario: 'int3-call-straddling',
    breaks: 'no-mix',
    models: STALE,
    differs: 'textPokeBpBatch, phase 2: `yield { kind: "sync", after: "tail" }` is left out.',
    story: [
      'The tail is stored, then byte 0. A CPU may have fetched the old tail before, and fetches byte 0 now: the new opcode with the old operand.',
      'This is the sync that the commit which brought the protocol believes to be unnecessary on Intel processors, and keeps. Whether it is needed depends on how an instruction is fetched. Where all its bytes come from one moment (`line`, and a site that lies within one line) the new byte 0 brings the new tail with it, because it was stored later, and the explorer finds nothing: see the scenario `int3-call` under `line`. Where the site straddles two lines they may come from two moments, and where nothing but the manuals counts any byte may.',
    ],
    sources: [
      ALTERNATIVE,
      'Linux commit fd4363fff3d9 ("x86: Introduce int3 (breakpoint)-based instruction patching")',
      'Intel SDM vol. 3, "Handling Self- and Cross-Modifying Code"',
    ],
    mutation: withoutSync('tail'),
  },
  {
    name: 'no-sync-after-first',
    title: 'The last sync is dropped',
    scenario: 'int3-call',
    breaks: 'int3-handled',
    models: ['weak', 'quad', 'line', 'sc'],
    differs: 'textPokeBpBatch, phase 3: `yield { kind: "sync", after: "first" }` is left out.',
    story: [
      'The new instruction stands there, the vector is retired, and a CPU that still has the int3 traps, or has trapped and not looked yet. Nobody knows the trap any more: an oops. The sync also waits for handlers, which run with interrupts off; so it is missed even where nobody is ever stale.',
    ],
    sources: [ALTERNATIVE],
    mutation: withoutSync('first'),
  },
  {
    name: 'tail-before-int3',
    title: 'The tail is written before the int3',
    scenario: 'int3-call',
    breaks: 'no-mix',
    models: ['weak', 'quad', 'line', 'sc'],
    differs: 'The bytes of phase 2 are stored right after `publish`, before phase 1.',
    story: [
      'Nothing hides the tail while it changes: the old first byte and the new operand are there for everybody to see. No weakness of fetching is needed to fall into it.',
    ],
    sources: [ALTERNATIVE],
    mutation: tailBeforeInt3,
  },
  {
    name: 'first-before-tail',
    title: 'The first byte is written before the tail',
    scenario: 'int3-call',
    breaks: 'no-mix',
    models: ['weak', 'quad', 'line', 'sc'],
    differs: 'The bytes of phase 3 are stored before phase 2.',
    story: ['The int3 is lifted from a tail that is still the old one.'],
    sources: [ALTERNATIVE],
    mutation: firstBeforeTail,
  },
  {
    name: 'unsorted-batch',
    title: 'The batch is not sorted',
    scenario: 'batch-of-3',
    breaks: 'int3-handled',
    models: ['weak', 'quad', 'line', 'sc'],
    differs: 'The published vector has its entries in falling order; textPokeBpBatch insists on rising.',
    story: [
      'The handler searches the vector by halves. In a vector that does not ascend it looks on the wrong side, does not find a site that is there, and lets its int3 go to whoever comes next: nobody.',
    ],
    sources: [`${ALTERNATIVE}, text_poke_flush; poke_int3_handler`],
    mutation: { vector: (entries) => [...entries].reverse() },
  },
  {
    name: 'vector-without-reference',
    title: 'The vector is reused while a handler reads it',
    scenario: 'poke-beside-kprobe',
    breaks: 'vector-held',
    models: ['weak', 'quad', 'line', 'sc'],
    differs: 'The handler looks at the vector without tryGetPokeVector, so phase 4 has nobody to wait for.',
    story: [
      'A CPU that trapped at one of the sites keeps the last sync waiting, because a handler runs with interrupts off. But the poke handler is asked about every int3, a kprobe somewhere else included. Such a CPU has seen that a vector is published; before it reads it, the poker retires it and goes on to the next.',
      'Linux met it with several kprobes under ftracetest: the handler found the pointer cleared and the count not. The first cure was one more round of IPIs, the one that stayed is a count of the handlers that are inside.',
    ],
    sources: ['Linux commits 285a54efe386 and 1f676247f36a (x86/alternatives)', `${ALTERNATIVE}, try_get_desc`],
    mutation: { takesNoReference: true },
  },
  {
    name: 'single-poke-meets-queue',
    title: 'A single poke meets a queued batch',
    scenario: 'queue-then-single',
    breaks: 'int3-handled',
    models: ['weak', 'quad', 'line', 'sc'],
    differs:
      'A single poke is added to the shared vector behind what is queued there, without the flush of `mustFlush`.',
    story: [
      'Jump labels queue their sites under one hold of text_mutex and apply them under another. When single pokes came to share that vector, one that arrives in between lands behind entries with higher addresses. The vector is no longer sorted, and the handler does not find what is in it.',
    ],
    sources: ['Linux commit c0704a32 (x86/alternatives, 2025)', `${ALTERNATIVE}, text_poke_queue`],
    mutation: {
      // What was queued goes with the single poke in one vector, in the order in which it came.
      ops: (ops) =>
        ops.flatMap((op): readonly Op[] => {
          if (op.op === 'queue') return [];
          const queued = ops.flatMap((other) => (other.op === 'queue' ? [other] : []));
          return op.op === 'poke' ? [{ op: 'poke', pokes: [...op.pokes, ...queued] }] : [op];
        }),
      vector: (entries) => (entries.length === 2 ? [...entries].reverse() : entries),
    },
  },
  {
    name: 'plays-the-old-instruction',
    title: 'The handler plays the old instruction',
    scenario: 'int3-call',
    breaks: 'new-after-sync',
    models: ['weak', 'quad', 'line', 'sc'],
    differs:
      'The vector names the instruction that is being replaced (a nop: jump to the next instruction), not the new one.',
    story: [
      'It looks equal: until the new instruction stands there, do what the old one did. But between the first sync and the last, CPUs that meet the int3 would do the old thing while others fetch the new one already, in any order, and one CPU could do the new thing first and the old one afterwards. With the new instruction played from the first int3 on, everybody has left the old one behind when the first sync is over.',
    ],
    sources: [`${ALTERNATIVE}, poke_int3_handler`],
    mutation: { vector: (entries) => entries.map((entry) => ({ ...entry, opcode: 0xe9, disp: 0 })) },
  },
  {
    name: 'just-text-poke',
    title: 'Just text_poke',
    scenario: 'int3-call',
    breaks: 'no-mix',
    models: STALE,
    differs: 'Instead of textPokeBpBatch: one text_poke of five bytes, then a sync.',
    story: [
      '"One can\'t just use text_poke; something needs to coordinate" (October 2019, the thread this project began with). text_poke writes through an alias with a copy: nothing says in which pieces the bytes arrive, and nothing hides the half that has.',
      'Under `sc`, where a copy is one event and nobody is ever stale, it would do. No processor promises that.',
    ],
    sources: [
      'LKML, 22 October 2019, "Re: [PATCH 3/3] x86/ftrace: Use text_poke()"',
      'Linux 6.12, arch/x86/kernel/alternative.c: text_poke, text_poke_memcpy',
    ],
    mutation: bareTextPoke,
  },
  {
    name: 'straddling-without-int3',
    title: 'A site across two lines without int3',
    scenario: 'int3-call-straddling',
    breaks: 'no-mix',
    models: STALE,
    differs: 'Instead of textPokeBpBatch: one text_poke of a site that lies in two lines.',
    story: [
      'A store within a line, aligned and not longer than eight bytes, may be seen whole. Across two lines there is no such store: even a processor that fetches a line at one moment takes the two at two.',
    ],
    sources: [
      'Intel SDM vol. 3, "Guaranteed Atomic Operations"',
      'B. Chamith et al., "Living on the Edge: Rapid-Toggling Probes with Cross-Modification on x86", PLDI 2016',
    ],
    mutation: bareTextPoke,
  },
];
