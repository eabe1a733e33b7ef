/** What clang's objects become on each kernel, compared with what libbpf made of them: every instruction, every map. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { brotliDecompressSync } from 'node:zlib';
import { toHex } from '../../src/base/index.ts';
import { type BpfObject, MAP_TYPE_NUMBERS, type MapSpec } from '../../src/jit/index.ts';
import { loadedObject, type ObjectName, objectKernel } from '../support/bpf-objects.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { realKernel } from '../support/kernels.ts';

interface RecordedProgram {
  readonly section: string;
  readonly name: string;
  readonly bytecode?: string;
  /** libbpf refused it, with this errno. */
  readonly error?: number;
}

interface RecordedMap {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly initial: string;
}

interface RecordedObject {
  readonly programs: readonly RecordedProgram[];
  readonly maps: readonly RecordedMap[];
  readonly mapsError: number;
}

const FILE = new URL('./bpf-objects.json.br', import.meta.url);
const { kernels } = JSON.parse(brotliDecompressSync(readFileSync(FILE)).toString()) as {
  readonly kernels: Readonly<Record<string, Readonly<Record<string, RecordedObject>>>>;
};

/** What is refused here by intention, by the program's name: other types of programs, and functions of the kernel. */
const REFUSED: ReadonlyMap<string, string> = new Map([['packets', 'bpf.object.section']]);
/** What libbpf refuses because it has to find the target in the kernel, which here is an attachment's work. */
const TARGET_LATER: ReadonlySet<string> = new Set(['replace', 'scaled_otherwise', 'sees', 'takes_less', 'typed']);

const BPF_F_MMAPABLE = 1 << 10;
/** Whether zeros are given or nothing is does not matter. */
const withoutZeros = (hex: string): string => (/^0*$/.test(hex) ? '' : hex);

/** What only the object itself sees, libbpf forgets when it has loaded it. */
const shown = (flags: number, hex: string): string => ((flags & BPF_F_MMAPABLE) === 0 ? '' : withoutZeros(hex));

const recordedForm = (spec: MapSpec): RecordedMap => ({
  name: spec.name,
  type: MAP_TYPE_NUMBERS[spec.type],
  keySize: spec.keySize,
  valueSize: spec.valueSize,
  maxEntries: spec.maxEntries,
  flags: spec.flags,
  initial: shown(spec.flags, toHex(spec.initial ?? new Uint8Array())),
});

function compare(object: BpfObject, recorded: RecordedObject): number {
  let compared = 0;
  const maps = recorded.maps.map((map) => ({ ...map, initial: shown(map.flags, map.initial) }));
  assert.deepEqual(object.maps.map(recordedForm), maps);
  assert.deepEqual(
    object.programs.map(({ section, name }) => [section, name]),
    recorded.programs.map(({ section, name }) => [section, name]),
  );
  for (const [index, program] of object.programs.entries()) {
    const { bytecode, name, error } = recorded.programs[index] as RecordedProgram;
    const linked = object.link(program);
    const refused = REFUSED.get(name);
    if (refused !== undefined) {
      assert.equal(linked.ok ? undefined : linked.fault.rule, refused, name);
      continue;
    }
    assert.ok(linked.ok, linked.ok ? '' : `${name}: ${linked.fault.detail}`);
    if (bytecode === undefined) assert.ok(TARGET_LATER.has(name), `${name}: libbpf answers ${error}`);
    else {
      assert.equal(toHex(linked.value.bytecode), bytecode, name);
      compared++;
    }
  }
  return compared;
}

describe('objects of clang are what libbpf makes of them', () => {
  for (const [kernel, objects] of Object.entries(kernels)) {
    const real = kernel === 'builtin' ? undefined : realKernel(kernel);
    it(`on ${kernel}`, { skip: real?.skip ?? false }, async () => {
      const view = objectKernel(await (real === undefined ? builtinImage() : kernelImage(real.path)));
      let compared = 0;
      for (const [file, recorded] of Object.entries(objects)) {
        // Calls of the kernel's functions are refused: test/jit/object.
        if (file === 'kfunc.o') continue;
        const name = file.replace(/\.o$/, '') as ObjectName;
        compared += compare(loadedObject(name, view), recorded);
      }
      assert.ok(compared >= 36, `${compared} programs`);
    });
  }
});
