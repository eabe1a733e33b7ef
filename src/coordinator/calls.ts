/** Calls of the kernel's functions: from what a request names to a thread's machine, and back to the wire. */
import { formatAddress, ok, type Result, toHex } from '../base/index.ts';
import { disassemble } from '../insn/index.ts';
import { type CallFault, type CallOutcome, MachineThread } from '../machine/index.ts';
import { describePlace } from '../registry/index.ts';
import { readArguments } from './call-arguments.ts';
import { ftraceDied } from './ftrace-death.ts';
import type { CountedCall } from './hit-counters.ts';
import type { Kernel } from './kernel.ts';
import type { MachineStates } from './machine-state.ts';
import type { MapTurn } from './map-turn.ts';
import { WRITE_MAPS } from './maps.ts';
import { textOffsetOf } from './places.ts';
import type { CallAnswer, Caller, CallRequest } from './service.ts';
import { keepTraced } from './trace-pipe.ts';

const MAX_INSTRUCTIONS = 50_000_000;
const DEFAULT_INSTRUCTIONS = 10_000_000;
const MAX_MS = 10_000;
const DEFAULT_MS = 2_000;
const REGISTER_ARGUMENTS = 6;

export class Calls {
  readonly #kernel: Kernel;
  readonly #turn: MapTurn;
  readonly #states: MachineStates;
  #thread: MachineThread | undefined;

  constructor(kernel: Kernel, states: MachineStates, turn: MapTurn) {
    this.#kernel = kernel;
    this.#states = states;
    this.#turn = turn;
  }

  #started(): MachineThread {
    this.#thread ??= new MachineThread(this.#states.start());
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
    const outcome = await this.#started().call(this.#states.present(), {
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
    keepTraced(kernel, caller, outcome.value.traced);
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
