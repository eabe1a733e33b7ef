/** Who fires when a recorded function is called, compared with who fired on the real kernel, and what the function returned. */
import type { CallAnswer, CallRequest, Coordinator } from '../../src/coordinator/index.ts';
import { caller } from '../support/coordinators.ts';
import type { RecordedScenario, RecordedStep } from './scenarios.ts';

const WHO = caller('trigger');
const F = 'bpf_modify_return_test';
/** Where the first buffer of a call lies, so that it can hold pointers to itself. */
const HEAP = 0xffff_8881_0000_0000n;

/** Every word points to the buffer's own middle, where all is 0: a struct of pointers to structs. */
function pointers(): string {
  const bytes = Buffer.alloc(1024);
  for (let at = 0; at < 512; at += 8) bytes.writeBigUInt64LE(HEAP + 512n, at);
  for (let at = 512; at < 640; at += 8) bytes.writeBigUInt64LE(HEAP + 768n, at);
  return bytes.toString('hex');
}

/** struct seq_file: 256 bytes to write to, behind the struct. */
function seqFile(): string {
  const bytes = Buffer.alloc(1024);
  bytes.writeBigUInt64LE(HEAP + 512n, 0);
  bytes.writeBigUInt64LE(256n, 8);
  return bytes.toString('hex');
}

/** The recording's trigger made the kernel call the function; here it is called. The arguments of `F` are the kernel's own test's. */
const TRIGGERS: Readonly<Record<string, CallRequest>> = {
  [F]: { function: F, args: ['0x1', { buffer: '02000000' }] },
  cmdline_proc_show: { function: 'cmdline_proc_show', args: [{ buffer: seqFile() }, 0] },
  security_path_mkdir: { function: 'security_path_mkdir', args: [{ buffer: pointers() }, { buffer: pointers() }, 0] },
};

/** The recorded patches, which add 1000, 2000 and 3000 to the result of `F`. Ours return a constant instead. */
const PATCHES = ['lp1', 'lp2', 'lpr'] as const;
const PATCH_ADDS = 1000;
const PATCHED = '0x0000000000006b70';

interface RecordedResult {
  /** Undefined: the function itself ran. */
  readonly patch: string | undefined;
  readonly value: string;
}

/** The trigger of 6.12 calls two functions and adds their results: `F`, and one that is left alone and returns 29. */
function recordedResult(result: number): RecordedResult {
  const others = result >>> 16 === 2 ? 29 : 0;
  const sum = (result & 0xffff) - others;
  const patch = PATCHES[Math.floor(sum / PATCH_ADDS) - 1];
  return { patch, value: patch === undefined ? `0x${sum.toString(16).padStart(16, '0')}` : PATCHED };
}

function differingResult(result: number, answer: CallAnswer, kindOf: (id: string) => string): string | undefined {
  const { patch, value } = recordedResult(result);
  const patched = answer.fired.filter(({ kind }) => kind === 'livepatch').map(({ attachment }) => kindOf(attachment));
  if (patched.join() !== (patch ?? '')) return `patched by ${patched.join() || 'none'}, in Linux by ${patch ?? 'none'}`;
  if (answer.returnValue !== value) return `returned ${answer.returnValue}, not ${value}`;
  const hasSideEffect = answer.buffers[0]?.bytes === '03000000';
  return hasSideEffect === (patch === undefined) ? undefined : 'the body ran, or did not, other than in Linux';
}

export interface Fired {
  readonly difference: string | undefined;
  /** Owners whose firing was compared. */
  readonly compared: number;
}

const NOTHING: Fired = { difference: undefined, compared: 0 };

/**
 * Calls the scenario's function after a step.
 * @param ids attachments by the names of the recording
 */
export async function compareFiring(
  coordinator: Coordinator,
  { steps }: RecordedScenario,
  step: RecordedStep,
  ids: ReadonlyMap<string, string>,
): Promise<Fired> {
  const trigger = TRIGGERS[step.target];
  if (trigger === undefined || (step.fired === undefined && step.result === undefined)) return NOTHING;
  const called = await coordinator.call(WHO, trigger);
  if (!called.ok) return { difference: `the call: ${called.fault.detail}`, compared: 0 };
  const answer = called.value;
  const at = `call of ${trigger.function}`;
  if (answer.ended !== 'returned')
    return { difference: `${at}: ${answer.ended} ${answer.fault?.name}: ${answer.fault?.detail}`, compared: 0 };
  const wrong: string[] = [];
  for (const [name, times] of Object.entries(step.fired ?? {})) {
    const id = ids.get(name);
    const here = answer.fired.filter(({ attachment }) => attachment === id).length;
    if (here > 0 !== times > 0) wrong.push(`${name} fired ${here} times, in Linux ${times}`);
  }
  const kindOf = (id: string): string =>
    steps.find(({ op, name }) => op === 'attach' && ids.get(name) === id)?.kind ?? 'nobody';
  const result = step.result === undefined ? undefined : differingResult(step.result, answer, kindOf);
  if (result !== undefined) wrong.push(result);
  return {
    difference: wrong.length === 0 ? undefined : `${at}: ${wrong.join('; ')}`,
    compared: Object.keys(step.fired ?? {}).length,
  };
}
