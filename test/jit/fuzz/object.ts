/** Fuzzing of the object reader: damaged objects give programs, or one line that names section and offset; within bounds of time and memory; never an exception. */
import assert from 'node:assert/strict';
import { BPF_INSNS_MAX, loadBpfObject, type ObjectKernel } from '../../../src/jit/index.ts';
import { RULES } from '../../../src/registry/index.ts';
import { type Base, fuzzImage, hotRanges } from '../../image/fuzz.ts';
import { OBJECT_NAMES, objectBytes, objectKernel } from '../../support/bpf-objects.ts';
import { builtinImage } from '../../support/images.ts';

const LIMIT_MS = 5_000;
const LIMIT_BYTES = 300 << 20;
const DETAIL_MAX = 5_000;

export const OBJECT_BASES: readonly Base[] = OBJECT_NAMES.map((name) => {
  const elf = objectBytes(name);
  return { name, elf, wrap: (bytes) => bytes, hot: hotRanges(elf) };
});

/** How the damaged objects ended. */
export interface Outcomes {
  linked: number;
  refused: number;
}

/** The property, for one damaged object. */
export function readHostile(bytes: Uint8Array, kernel: ObjectKernel, outcomes: Outcomes): void {
  const before = process.memoryUsage().rss;
  const start = performance.now();
  const faults = [];
  const object = loadBpfObject({ bytes, name: 'hostile', kernel });
  if (object.ok)
    for (const program of object.value.programs) {
      const linked = object.value.link(program);
      if (linked.ok) {
        outcomes.linked++;
        const slots = linked.value.bytecode.length / 8;
        assert.ok(Number.isInteger(slots) && slots <= BPF_INSNS_MAX);
        for (const { start } of linked.value.functions) assert.ok(start < slots);
        for (const { slot } of linked.value.lines) assert.ok(slot < slots);
        for (const map of linked.value.mapIndices) assert.ok(object.value.maps[map] !== undefined);
      } else faults.push(linked.fault);
    }
  else faults.push(object.fault);
  for (const { rule, detail } of faults) {
    outcomes.refused++;
    assert.ok(rule.startsWith('bpf.object.') && RULES.has(rule), `${rule}: ${detail}`);
    assert.ok(detail.length < DETAIL_MAX && !/[\n\r]/.test(detail), `not one line of text: ${detail}`);
    if (rule === 'bpf.object.malformed') assert.match(detail, /at offset 0x[0-9a-f]+: /);
  }
  const tookMs = performance.now() - start;
  if (tookMs > LIMIT_MS) throw new Error(`took ${Math.round(tookMs)} ms`);
  const grew = process.memoryUsage().rss - before;
  if (grew > LIMIT_BYTES) throw new Error(`memory grew by ${grew} bytes`);
}

export const objectReplay = ({ seed, runs }: { readonly seed: number; readonly runs: number }): string =>
  `npm run fuzz -- object ${seed} ${runs}`;

/** `npm run fuzz -- object [SEED] [RUNS]`. */
export async function fuzzObjects({ seed, runs }: { readonly seed: number; readonly runs: number }): Promise<void> {
  const kernel = objectKernel(await builtinImage());
  const outcomes = { linked: 0, refused: 0 };
  const target = async (file: Uint8Array): Promise<void> => readHostile(file, kernel, outcomes);
  await fuzzImage({ seed, runs, bases: OBJECT_BASES, target, replay: objectReplay({ seed, runs }) });
  process.stdout.write(`${outcomes.linked} programs linked, ${outcomes.refused} objects and programs refused\n`);
}
