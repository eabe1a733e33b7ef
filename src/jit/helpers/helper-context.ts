import type { MapArea, MapShape, MapSpec } from '../maps/index.ts';

/** Memory as the kernel's own code has it. Undefined or false where not all of it is there, or not writable. */
export interface HelperMemory {
  read(address: bigint, length: number): Uint8Array | undefined;
  write(address: bigint, bytes: Uint8Array): boolean;
}

/** A map in the memory that a program runs in. */
export interface MappedMap {
  readonly id: string;
  /** Of struct bpf_map; the area begins here. */
  readonly address: bigint;
  readonly spec: MapSpec;
  readonly shape: MapShape;
  readonly area: MapArea;
}

/** The task that a program runs in. */
export interface HelperTask {
  readonly pid: number;
  readonly tgid: number;
  readonly uid: number;
  readonly gid: number;
  readonly comm: string;
  /** Of struct task_struct. */
  readonly address: bigint;
}

/** Everything that a helper sees and does besides its arguments. */
export interface HelperContext {
  readonly memory: HelperMemory;
  readonly maps: readonly MappedMap[];
  readonly cpu: number;
  readonly task: HelperTask;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly now: () => bigint;
  /** CLOCK_TAI, nanoseconds; nobody has told the kernel of leap seconds. */
  readonly tai: () => bigint;
  /** 32 bits. */
  readonly random: () => number;
  /** A line of the trace log, and what of it the program wrote. */
  readonly trace: (line: string, text: string) => void;
  /** How far a CPU's variables are from the kernel's own (`__per_cpu_offset`); undefined for a CPU that is not there. */
  readonly perCpuOffset: (cpu: number) => bigint | undefined;
  /** What bpf_get_attach_cookie answers. */
  readonly cookie: () => bigint;
  /** Return addresses of the traced function and its callers, innermost first, the function itself in front. */
  readonly stack: () => readonly bigint[];
  /** `tcp_close+0x4` of an address of text. */
  readonly symbol: (address: bigint) => string | undefined;
}

/** A helper was given an address where nothing is: in Linux an oops, which a verifier makes impossible. */
export class HelperFault extends Error {
  readonly address: bigint;
  readonly access: 'read' | 'write';
  constructor(address: bigint, access: 'read' | 'write') {
    super(`a helper's ${access} of 0x${BigInt.asUintN(64, address).toString(16)}`);
    this.address = BigInt.asUintN(64, address);
    this.access = access;
  }
}

/** A function of the program that a helper calls, by address; its R0 comes back. */
export interface BpfCallback {
  readonly callee: bigint;
  readonly args: readonly bigint[];
}

/** R0, or the way there. */
export type HelperRun = bigint | Generator<BpfCallback, bigint, bigint>;

export type HelperArgs = readonly [bigint, bigint, bigint, bigint, bigint];
export type HelperBody = (args: HelperArgs, context: HelperContext) => HelperRun;
