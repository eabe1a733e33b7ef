/** BPF programs as targets of others: `prog:ID`, where they are, and how long they live. */
import { invariant } from '../../base/index.ts';
import { install, remove } from '../arena.ts';
import type { BpfProg, BpfProgFunction, BpfTrampoline, TrampLink } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/** `prog:ID`, `prog:ID:function`, either with an offset behind. */
export interface ProgramPlace {
  readonly id: string;
  /** Undefined: the main function. */
  readonly func: string | undefined;
  readonly delta: number;
}

const PROGRAM = /^prog:([A-Za-z0-9_]{1,64})(?::([A-Za-z_]\w{0,127}))?(?:\+(0x[0-9a-fA-F]{1,5}|\d{1,6}))?$/;

/** undefined when the text is no place in a program. */
export function parseProgramPlace(text: string): ProgramPlace | undefined {
  const match = PROGRAM.exec(text);
  if (match === null) return undefined;
  return { id: match[1] as string, func: match[2], delta: match[3] === undefined ? 0 : Number(match[3]) };
}

export function functionOf(program: BpfProg, name: string | undefined): BpfProgFunction | undefined {
  return name === undefined ? program.functions[0] : program.functions.find((each) => each.name === name);
}

/** Where a place in a program is; undefined when there is no such program or function, or the offset lies behind it. */
export function locateProgram(txn: Txn, place: ProgramPlace): number | undefined {
  const program = txn.bpfProgs.get(place.id);
  const func = program === undefined ? undefined : functionOf(program, place.func);
  return func === undefined || place.delta >= func.size ? undefined : func.at + place.delta;
}

/** The program and function whose machine code begins here. */
export function programFunctionAt(
  txn: Txn,
  at: number,
): { readonly program: BpfProg; readonly func: BpfProgFunction } | undefined {
  if (txn.world.pristine.contains(at, 1)) return undefined;
  for (const program of txn.bpfProgs.values()) {
    const func = program.functions.find((each) => each.at === at);
    if (func !== undefined) return { program, func };
  }
  return undefined;
}

export interface LoadedFunction extends Omit<BpfProgFunction, 'at' | 'allocation'> {
  /** Address of the u64 that it counts in, when it does nothing but count. */
  readonly counter?: bigint;
  /** Its machine code for the place it gets. */
  readonly generate: (at: number) => Uint8Array;
}

export type ProgramToLoad = Pick<BpfProg, 'id' | 'type' | 'attachType' | 'hasBtf' | 'tracesTracing' | 'isSleepable'> & {
  /** The main function first. */
  readonly functions: readonly LoadedFunction[];
};

/** BPF_PROG_LOAD, behind the verifier: puts the machine code in its place. */
export function loadProg(txn: Txn, load: ProgramToLoad): BpfProg {
  const functions = load.functions.map(({ size, counter, generate, ...func }, index) => {
    const what = index === 0 ? 'bpf_prog' : `bpf_prog_${func.name}`;
    const room = { size, what, attachment: load.id, ...(counter === undefined ? {} : { counter }) };
    const at = install(txn, room, generate);
    return { ...func, size, at, allocation: at };
  });
  const program = { ...load, functions, arrayMembers: 0, isExtended: false, isHeld: true };
  txn.bpfProgs.set(load.id, program);
  return program;
}

/** What only an attachment says of a program that a client loaded. */
export function attachProg(
  txn: Txn,
  id: string,
  kind: Partial<Pick<BpfProg, 'attachType' | 'tracesTracing' | 'isSleepable'>>,
): void {
  const program = txn.bpfProgs.get(id);
  invariant(program !== undefined, () => `no BPF program ${id}`);
  txn.bpfProgs.set(id, { ...program, ...kind });
}

const trampolinesOf = (txn: Txn, program: BpfProg): readonly BpfTrampoline[] =>
  program.functions.flatMap((func) => txn.trampolines.get(func.at) ?? []);

/** The attachments that have a function of a program for their target. */
export const attachedTo = (txn: Txn, program: BpfProg): readonly string[] =>
  trampolinesOf(txn, program).flatMap(({ links, extension }) => [
    ...Object.values(links).flatMap((each) => each.map((link: TrampLink) => link.attachment)),
    ...(extension === undefined ? [] : [extension.attachment]),
  ]);

/** bpf_prog_put: the last reference frees it. Links of others to it are references. */
function freeUnused(txn: Txn, program: BpfProg): void {
  if (program.isHeld || trampolinesOf(txn, program).length > 0) return;
  for (const at of new Set(program.functions.map((func) => func.allocation)))
    remove(txn, at, ['rcu_tasks_trace', 'rcu']);
  txn.bpfProgs.delete(program.id);
}

/** Its attachment, or whoever loaded it, lets it go. */
export function dropProgram(txn: Txn, id: string): void {
  const program = txn.bpfProgs.get(id);
  invariant(program !== undefined, () => `no BPF program ${id}`);
  const dropped = { ...program, isHeld: false };
  txn.bpfProgs.set(id, dropped);
  freeUnused(txn, dropped);
}

/** A link to it is gone. */
export function putTarget(txn: Txn, id: string): void {
  const program = txn.bpfProgs.get(id);
  invariant(program !== undefined, () => `no BPF program ${id}`);
  freeUnused(txn, program);
}
