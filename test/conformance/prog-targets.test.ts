/**
 * freplace, fentry and fexit on BPF programs, as recorded: a program that calls a global function, and what became of both. Errno, bytes, what the
 * program returned and who ran are compared; ours runs on a simulated CPU. Attachments run loaded programs in one pass and built-in ones in another.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { AttachRequest, BpfFunctionInfo, LoadProgramRequest } from '../../src/registry/index.ts';
import { buffer, callAt } from '../support/call-lab.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { RegistryLab } from '../support/registry-lab.ts';

interface RecordedState {
  readonly result?: number;
  /** Which of the attaches ran. */
  readonly fired?: readonly number[];
  /** Bytes of the two functions. */
  readonly main?: string;
  readonly sub?: string;
}

type RecordedStep = RecordedState & { readonly errno: string; readonly note?: string } & (
    | { readonly op: 'attach'; readonly kind: string; readonly target: 'main' | 'sub' }
    | { readonly op: 'detach'; readonly which: number }
    | { readonly op: 'cmd'; readonly command: string }
  );

interface Scenario {
  readonly id: string;
  readonly bytecode?: string;
  readonly initial?: RecordedState;
  readonly steps: readonly RecordedStep[];
}

const read = (version: string): { readonly scenarios: readonly Scenario[] } =>
  JSON.parse(readFileSync(new URL(`prog-targets-${version}.json`, import.meta.url), 'utf8'));

/** `r1 = 5; call sub; exit` and `r0 = r1; r0 += 37; exit`: the program of all scenarios. */
const MAIN_AND_SUB = 'b70100000500000085100000010000009500000000000000bf1000000000000007000000250000009500000000000000';
const FUNCTIONS: readonly BpfFunctionInfo[] = [
  { name: 'main_prog', args: ['ctx'], isGlobal: true },
  { name: 'sub', args: ['int'], isGlobal: true },
];
/** Hex digits of the five bytes that others change. */
const ENTRY = 10;
const RETURN_0 = 'b7000000000000009500000000000000';

const KINDS: Readonly<Record<string, AttachRequest['kind']>> = { fe: 'fentry', fx: 'fexit', fm: 'fmod_ret' };

/** A call or jump of the entry, and the call of `sub`: by their opcode. Of 6.1, whose JIT has another prologue, the entry alone. */
const masked = (hex: string, isWhole: boolean): string =>
  (isWhole ? hex : hex.slice(0, ENTRY))
    .replace(/^(f30f1efa)?(e[89]).{8}/, '$1$2________')
    .replace(/(bf05000000e8).{8}/, '$1________');

class Replay {
  readonly lab: RegistryLab;
  readonly #isLoaded: boolean;
  /** By step. */
  readonly #attached: (string | undefined)[] = [];
  step = 0;
  #target = '';

  constructor(lab: RegistryLab, isLoaded: boolean) {
    this.lab = lab;
    this.#isLoaded = isLoaded;
  }

  #masked(hex: string): string {
    return masked(hex, this.lab.world.kernel === '6.12');
  }

  load(request: LoadProgramRequest): string {
    const { outcome } = this.lab.loadProgram(request);
    assert.ok(outcome.kind === 'granted', outcome.kind === 'refused' ? outcome.fault.detail : '');
    return outcome.program.id;
  }

  target(bytecode: string, hasBtf = true): void {
    this.#target = this.load({ type: 'kprobe', bytecode, ...(hasBtf ? { functions: FUNCTIONS } : {}) });
  }

  /** The errno of a request. */
  attach(request: AttachRequest): string {
    const { outcome } = this.lab.decide(request);
    this.#attached[this.step] = outcome.kind === 'granted' ? outcome.attachment.id : undefined;
    return outcome.kind === 'granted' ? 'OK' : outcome.fault.errno;
  }

  place(name: 'main' | 'sub'): string {
    return `prog:${this.#target}${name === 'sub' ? ':sub' : ''}`;
  }

  /** `ext1000`, with two parameters `ext1000a2`. */
  freplace(kind: string, target: string): string {
    const [, value = '0', args = '1'] = /^ext(\d+)(?:a(\d))?$/.exec(kind) ?? [];
    const immediate = Buffer.alloc(4);
    immediate.writeInt32LE(Number(value));
    const program = this.load({
      type: 'freplace',
      bytecode: `b7000000${immediate.toString('hex')}9500000000000000`,
      functions: [{ name: 'repl', args: Array.from({ length: Number(args) }, () => 'int' as const), isGlobal: true }],
    });
    return this.attach({ kind: 'freplace', target, program });
  }

  trace(kind: AttachRequest['kind'], target: string): string {
    if (!this.#isLoaded) return this.attach({ kind, target });
    const functions = [{ name: 'prog', args: ['ctx' as const], isGlobal: false }];
    const program = this.load({ type: kind as 'fentry', bytecode: RETURN_0, functions });
    return this.attach({ kind, target, program });
  }

  detach(which: number): string {
    const id = this.#attached[which];
    assert.ok(id !== undefined);
    const { outcome } = this.lab.detach(id);
    return outcome.kind === 'granted' ? 'OK' : outcome.fault.errno;
  }

  /** What `BPF_PROG_TEST_RUN` does with the target, and its bytes. */
  async state(expected: RecordedState): Promise<RecordedState> {
    const prog = this.lab.state.bpfProgs.get(this.#target);
    assert.ok(prog !== undefined);
    const [main, sub] = prog.functions;
    assert.ok(main !== undefined && sub !== undefined);
    const address = this.lab.world.image.base + BigInt(main.at);
    const { end, fired } = await callAt(this.lab, address, [buffer('00'.repeat(64))]);
    assert.equal(
      end.kind,
      'returned',
      JSON.stringify(end, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
    );
    const ran = fired.map(({ attachment }) => this.#attached.indexOf(attachment));
    const extended = new Set(
      [...this.lab.state.trampolines.values()].map(({ extension }) =>
        this.#attached.indexOf(extension?.attachment ?? ''),
      ),
    );
    return {
      ...('result' in expected && end.kind === 'returned' ? { result: Number(end.value) } : {}),
      // The recordings count fentry and fexit programs only.
      ...('fired' in expected ? { fired: ran.filter((which) => !extended.has(which)).sort() } : {}),
      ...('main' in expected ? { main: this.#masked(this.lab.hex(main.at, (expected.main?.length ?? 0) / 2)) } : {}),
      ...('sub' in expected ? { sub: this.#masked(this.lab.hex(sub.at, (expected.sub?.length ?? 0) / 2)) } : {}),
    };
  }

  async compare({ result, fired, main, sub }: RecordedState, where: string): Promise<void> {
    if (result === undefined) return;
    const expected = {
      result,
      ...(fired && { fired }),
      ...(main && { main: this.#masked(main) }),
      ...(sub && { sub: this.#masked(sub) }),
    };
    assert.deepEqual(await this.state(expected), expected, where);
  }
}

const ON_KERNEL = 'bpf_fentry_test1';

/** What the recording did by commands. Left out are those that fill a map of programs (docs in the README beside this file). */
const COMMANDS: Readonly<Record<string, Readonly<Record<string, (replay: Replay) => string>>>> = {
  'fentry-on-fentry': {
    'load a fentry program with BTF': (replay) => replay.trace('fentry', ON_KERNEL),
    'load fentry on it': (replay) => replay.trace('fentry', onlyTracing(replay)),
    'load freplace of it': (replay) => replay.freplace('ext1', onlyTracing(replay)),
  },
  'fentry-on-freplace': {
    'load freplace': () => 'OK',
    'attach freplace': (replay) => {
      replay.target(MAIN_AND_SUB);
      return replay.freplace('ext1000', replay.place('sub'));
    },
    'load fentry on the freplace program': () => 'OK',
    'attach fentry on the freplace program': (replay) => replay.trace('fentry', extension(replay)),
    'load freplace of the freplace program': (replay) => replay.freplace('ext1', extension(replay)),
  },
  'kprobe-on-bpf-prog': {
    'register_kprobe(sub)': (replay) => {
      replay.target(MAIN_AND_SUB);
      return replay.attach({ kind: 'kprobe', target: entryOf(replay) });
    },
    'ftrace_set_filter_ip(sub)': (replay) => replay.attach({ kind: 'ftrace', target: entryOf(replay) }),
  },
  'no-btf': {
    'load fentry': (replay) => {
      replay.target(MAIN_AND_SUB, false);
      return replay.trace('fentry', replay.place('main'));
    },
    'load freplace': (replay) => replay.freplace('ext1', replay.place('main')),
  },
  'freplace-and-prog-array': {
    'prog_array[0] = target': (replay) => {
      replay.target(MAIN_AND_SUB);
      replay.lab.change((txn) => {
        for (const [id, prog] of txn.bpfProgs) txn.bpfProgs.set(id, { ...prog, arrayMembers: 1 });
      });
      return 'OK';
    },
    'load freplace': () => 'OK',
    'attach freplace while the target is in a prog_array': (replay) => replay.freplace('ext1', replay.place('sub')),
  },
};
const NEEDS_A_PROG_ARRAY = ['prog_array[1] = freplace program', 'prog_array[0] = extended target'];

const progs = ({ lab }: Replay) => [...lab.state.bpfProgs.values()];
const onlyTracing = (replay: Replay): string => `prog:${progs(replay).find(({ type }) => type === 'tracing')?.id}`;
const extension = (replay: Replay): string => `prog:${progs(replay).find(({ type }) => type === 'ext')?.id}`;
const entryOf = (replay: Replay): string =>
  replay.lab.address(progs(replay)[0]?.functions.find(({ name }) => name === 'sub')?.at ?? 0);

async function play(replay: Replay, { id, steps, bytecode, initial }: Scenario): Promise<number> {
  let compared = 0;
  if (bytecode !== undefined) replay.target(bytecode);
  if (initial !== undefined) await replay.compare(initial, `${id} at first`);
  for (const [index, step] of steps.entries()) {
    const where = `${id}, step ${index}`;
    let errno: string;
    replay.step = index;
    if (step.op === 'cmd') {
      const command = COMMANDS[id]?.[step.command];
      if (command === undefined && (NEEDS_A_PROG_ARRAY.includes(step.command) || COMMANDS[id] === undefined)) continue;
      assert.ok(command !== undefined, `${where}: ${step.command}`);
      errno = command(replay);
    } else if (step.op === 'detach') errno = replay.detach(step.which);
    else if (step.kind.startsWith('ext')) errno = replay.freplace(step.kind, replay.place(step.target));
    else errno = replay.trace(KINDS[step.kind] ?? 'fentry', replay.place(step.target));
    assert.equal(errno, step.errno, `${where}${step.note === undefined ? '' : ` (${step.note})`}`);
    if (step.op !== 'cmd' || typeof step.fired !== 'number') await replay.compare(step, where);
    assert.deepEqual(replay.lab.orphans(), [], where);
    compared += 1;
  }
  return compared;
}

for (const [version, name, expected] of [
  ['6.12', RECORDED_6_12, 26],
  ['6.1', RECORDED_6_1, 32],
] as const) {
  const { path, skip } = realKernel(name);
  describe(`BPF programs as targets, ${version}`, { skip }, () => {
    const { scenarios } = read(version);
    for (const isLoaded of [true, false])
      it(`as recorded, with ${isLoaded ? 'loaded' : 'built-in'} programs`, async () => {
        let compared = 0;
        for (const scenario of scenarios)
          compared += await play(new Replay(new RegistryLab(await kernelImage(path), 'linux'), isLoaded), scenario);
        assert.equal(compared, expected, 'steps that were compared');
      });
  });
}
