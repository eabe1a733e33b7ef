/** Calls of the kernel's functions: from what a request names to a thread's machine, and back to the wire. */
import { fileURLToPath } from 'node:url';
import { err, formatAddress, fromHex, ok, type Result, toHex } from '../base/index.ts';
import { dataRequest, isTextArea } from '../image/index.ts';
import { disassemble } from '../insn/index.ts';
import {
  ARGUMENT_BYTES_MAX,
  type CallArgument,
  type CallFault,
  type CallOutcome,
  type MachineState,
  MachineThread,
  type ModuleMemory,
  machineImage,
  textDelta,
} from '../machine/index.ts';
import { describePlace, describeRuntime, type KernelState, refuse, worldOf } from '../registry/index.ts';
import { ftraceDied } from './ftrace-death.ts';
import type { CountedCall } from './hit-counters.ts';
import type { Kernel } from './kernel.ts';
import type { MapTurn } from './map-turn.ts';
import { WRITE_MAPS } from './maps.ts';
import { textOffsetOf } from './places.ts';
import { CALL_ARGUMENT, CALL_PROTOTYPE } from './rules.ts';
import type { CallAnswer, CallArgumentRequest, Caller, CallRequest } from './service.ts';

/** From src/ and from dist/ alike. */
const BUILTIN_PATH = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));
const MAX_INSTRUCTIONS = 50_000_000;
const DEFAULT_INSTRUCTIONS = 10_000_000;
const MAX_MS = 10_000;
const DEFAULT_MS = 2_000;
const WORD_MAX = 1n << 64n;
const REGISTER_ARGUMENTS = 6;

const invalid = (detail: string, index: number): Result<never> => err(refuse(CALL_ARGUMENT, { detail, index }));

function readArgument(kernel: Kernel, argument: CallArgumentRequest, index: number): Result<CallArgument> {
  if (typeof argument === 'object' && 'buffer' in argument) {
    const bytes = fromHex(argument.buffer);
    return bytes === undefined ? invalid(`args/${index} is no hex.`, index) : ok({ kind: 'buffer', bytes });
  }
  if (typeof argument === 'object') {
    const at = textOffsetOf(kernel.view(), argument.symbol);
    return at.ok ? ok({ kind: 'word', value: kernel.world.image.base + BigInt(at.value) }) : at;
  }
  const text = String(argument).trim();
  if (!/^(?:-?\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text))
    return invalid(`args/${index}, ${text}, is no number.`, index);
  const value = BigInt(text);
  if (value >= WORD_MAX || value < -(WORD_MAX / 2n)) return invalid(`args/${index} has more than 64 bits.`, index);
  return ok({ kind: 'word', value: BigInt.asUintN(64, value) });
}

/** Arguments that were not given: zeroed memory of the pointee's size for pointers, else their position. */
function sampleArguments(kernel: Kernel, name: string, given: number): Result<readonly CallArgument[]> {
  const { btf } = kernel.world.image;
  const prototype = btf?.prototype(name);
  const pointees = btf?.pointees(name);
  if (prototype === undefined || pointees === undefined)
    return err(refuse(CALL_PROTOTYPE, { detail: `BTF has no prototype of ${name}.`, place: name }));
  const samples: CallArgument[] = [];
  for (const [i, parameter] of prototype.params.entries()) {
    if (i < given) continue;
    if (parameter.kind === 'struct' || parameter.kind === 'union')
      return err(refuse(CALL_PROTOTYPE, { detail: `${name} takes ${parameter.type} by value.`, place: name }));
    const pointee = pointees[i];
    if (pointee === undefined) samples.push({ kind: 'word', value: BigInt(i) });
    else samples.push({ kind: 'buffer', bytes: new Uint8Array(Math.min(Math.max(pointee.size, 64), 1 << 16)) });
  }
  return ok(samples);
}

function readArguments(kernel: Kernel, request: CallRequest, at: number): Result<readonly CallArgument[]> {
  const args: CallArgument[] = [];
  for (const [index, argument] of request.args.entries()) {
    const read = readArgument(kernel, argument, index);
    if (!read.ok) return read;
    args.push(read.value);
  }
  if (request.sample === true) {
    // BTF has names alone: `tcp_bbr:bbr_main` is `bbr_main` to it.
    const name = kernel.world.image.symbols.containing(at)?.name ?? request.function;
    const samples = sampleArguments(kernel, name, args.length);
    if (!samples.ok) return samples;
    args.push(...samples.value);
  }
  const bytes = args.reduce((sum, each) => sum + (each.kind === 'buffer' ? each.bytes.length + 128 : 0), 0);
  if (bytes > ARGUMENT_BYTES_MAX)
    return invalid(`The arguments take ${bytes} bytes, at most ${ARGUMENT_BYTES_MAX}.`, 0);
  return ok(args);
}

/** Areas of modules that are no text, which comes with the text's delta. */
function moduleMemory({ state, world }: Kernel): readonly ModuleMemory[] {
  return state.modules.flatMap(({ name, image }) =>
    image.areas
      .filter(({ kind }) => !isTextArea(kind))
      .map(({ kind, start, size, bytes }) => ({
        name: `${kind} of ${name}`,
        address: world.image.base + BigInt(start),
        length: size,
        bytes,
        isWritable: kind === 'data' || kind === 'init.data',
      })),
  );
}

export class Calls {
  readonly #kernel: Kernel;
  readonly #turn: MapTurn;
  #thread: MachineThread | undefined;
  #shown: { readonly state: KernelState; readonly machineState: MachineState } | undefined;
  #version = 0;

  constructor(kernel: Kernel, turn: MapTurn) {
    this.#kernel = kernel;
    this.#turn = turn;
  }

  /** Text and owners as they are now. Both change together, under text_mutex. */
  #present(): MachineState {
    const { state, text, world } = this.#kernel;
    if (this.#shown?.state === state) return this.#shown.machineState;
    this.#version += 1;
    const delta = textDelta(text, text.changedRanges());
    const modules = moduleMemory(this.#kernel);
    const machineState = { version: this.#version, delta, runtime: describeRuntime(world, state, text), modules };
    this.#shown = { state, machineState };
    return machineState;
  }

  #started(): MachineThread {
    // Modules are part of the state that is shown, not of what the thread begins with.
    const { image } = worldOf(this.#kernel.world, []);
    this.#thread ??= new MachineThread({
      image: machineImage(image, { sections: [] }),
      data: dataRequest(image, image.source === 'builtin' ? BUILTIN_PATH : image.source),
    });
    return this.#thread;
  }

  /** Takes its turn with the contents of maps, when programs are loaded that have some. */
  async call(caller: Caller, request: CallRequest): Promise<Result<CallAnswer>> {
    const hasMaps = [...this.#kernel.state.programs.values()].some(({ maps }) => maps.length > 0);
    return hasMaps ? this.#turn.run(() => this.#call(caller, request)) : this.#call(caller, request);
  }

  async #call(caller: Caller, request: CallRequest): Promise<Result<CallAnswer>> {
    const kernel = this.#kernel;
    const at = textOffsetOf(kernel.view(), request.function);
    if (!at.ok) return at;
    const args = readArguments(kernel, request, at.value);
    if (!args.ok) return args;
    const outcome = await this.#started().call(this.#present(), {
      function: kernel.world.image.base + BigInt(at.value),
      args: args.value,
      cpu: request.cpu ?? 0,
      maxInstructions: Math.min(request.maxInstructions ?? DEFAULT_INSTRUCTIONS, MAX_INSTRUCTIONS),
      maxMs: Math.min(request.maxMs ?? DEFAULT_MS, MAX_MS),
      traceMax: request.trace ?? 0,
    });
    if (!outcome.ok) return outcome;
    const { mapWrites: writes } = outcome.value;
    const kept = writes.length === 0 ? ok(null) : await kernel.execute(WRITE_MAPS, caller, { writes });
    if (!kept.ok) return kept;
    const answer = answerOf(kernel, request.function, outcome.value);
    const { ftraceDiedAt } = outcome.value;
    if (ftraceDiedAt !== undefined) {
      const died = await ftraceDied(kernel, caller, ftraceDiedAt);
      if (!died.ok) return died;
    }
    countCall(kernel, answer);
    kernel.events.append('call', {
      client: caller.client,
      function: request.function,
      ended: answer.ended,
      returnValue: answer.returnValue,
      instructions: answer.instructions,
      fired: answer.fired.map(({ attachment }) => attachment),
    });
    return ok(answer);
  }

  async close(): Promise<void> {
    await this.#thread?.close();
  }
}

function countCall({ counters, state }: Kernel, call: CountedCall): void {
  counters.count(call, (id) => state.attachments.get(id)?.kind);
  counters.prune((id) => state.attachments.has(id));
}

/** As many argument registers as the function has words of parameters; all six where nobody knows. */
function shownArguments(kernel: Kernel, at: number, args: readonly bigint[]): readonly string[] {
  const { btf, symbols } = kernel.world.image;
  const name = symbols.containing(at)?.name;
  const params = name === undefined ? undefined : btf?.prototype(name)?.params;
  const words = params?.reduce((sum, { size }) => sum + Math.ceil(size / 8), 0) ?? REGISTER_ARGUMENTS;
  return args.slice(0, Math.max(words, args.length > REGISTER_ARGUMENTS ? args.length : 0)).map(formatAddress);
}

function faultView(kernel: Kernel, fault: CallFault): CallAnswer['fault'] {
  const { world } = kernel;
  const { base } = world.image;
  const offset = (address: bigint): number => Number(BigInt.asUintN(64, address - base));
  const skipped = Number(fault.rip - fault.bytesAt);
  const rest = fault.bytes.subarray(skipped);
  return {
    name: fault.name,
    detail: fault.detail,
    rip: formatAddress(fault.rip),
    place: describePlace(world, offset(fault.rip)),
    address: fault.address === undefined ? null : formatAddress(fault.address),
    bytes: toHex(fault.bytes),
    instructions: disassemble(rest, offset(fault.rip), base).map((insn) => ({
      address: formatAddress(base + BigInt(insn.offset)),
      bytes: toHex(insn.bytes),
      text: insn.text,
      target: insn.target === undefined ? null : formatAddress(base + BigInt(insn.target)),
    })),
  };
}

function answerOf(kernel: Kernel, name: string, outcome: CallOutcome): CallAnswer {
  const { end } = outcome;
  const kindOf = (id: string): string => kernel.state.attachments.get(id)?.kind ?? 'gone';
  const placeOf = (at: number): string => kernel.view().place(at);
  const { base } = kernel.world.image;
  return {
    function: name,
    ended: end.kind,
    returnValue: end.kind === 'returned' ? formatAddress(end.value) : null,
    instructions: outcome.instructions,
    fired: outcome.fired.map((each) => ({
      attachment: each.attachment,
      kind: kindOf(each.attachment),
      place: placeOf(each.at),
      args: shownArguments(kernel, each.at, each.args),
      returnValue: each.returnValue === undefined ? null : formatAddress(each.returnValue),
      instructions: each.instructions,
    })),
    misses: outcome.misses.map(({ attachment, reason }) => ({ attachment, kind: kindOf(attachment), reason })),
    registers: Object.fromEntries(Object.entries(outcome.registers).map(([key, value]) => [key, formatAddress(value)])),
    log: outcome.log,
    buffers: outcome.buffers.map(({ arg, address, bytes }) => ({
      arg,
      address: formatAddress(address),
      bytes: toHex(bytes),
    })),
    fault: end.kind === 'fault' ? faultView(kernel, end.fault) : null,
    exceeded: end.kind === 'budget' ? end.exceeded : null,
    trace: outcome.trace.map((address) => ({
      address: formatAddress(address),
      place: placeOf(Number(BigInt.asUintN(64, address - base))),
    })),
  };
}
