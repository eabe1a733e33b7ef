import type { KernelAddress } from '../../base/index.ts';
import type { BpfCode, BpfFunction } from '../bpf/index.ts';
import { CodeBuffer } from './code-buffer.ts';
import type { CompileRequest } from './compile-request.ts';
import { Links } from './links.ts';

/** Loads that may fault, as they stand in the draft. */
export interface DraftProbe {
  readonly at: number;
  readonly end: number;
  readonly jumpsBefore: number;
  readonly register: number;
}

/**
 * What is written while the program is gone through once, jumps left out. A position in it is a number of bytes and a number of jumps that
 * stand before.
 */
export class Draft {
  readonly request: CompileRequest;
  readonly code: BpfCode;
  readonly functions: readonly BpfFunction[];
  readonly at: number;
  readonly base: KernelAddress;
  readonly b: CodeBuffer;
  readonly links = new Links();
  /** Position of each slot. */
  readonly slotAt: Int32Array;
  readonly slotJumps: Int32Array;
  /** Position of each jump, the slot that it leads to, and its short opcode; 0 is unconditional. */
  readonly jumpAt: Int32Array;
  readonly jumpTo: Int32Array;
  readonly jumpCondition: Uint8Array;
  jumps = 0;
  /** Position of each function's first byte. */
  readonly functionAt: Int32Array;
  readonly functionJumps: Int32Array;
  readonly probes: DraftProbe[] = [];

  constructor(request: CompileRequest) {
    this.request = request;
    this.code = request.code;
    this.functions = request.functions;
    this.at = request.at;
    this.base = request.base;
    const { length } = this.code;
    const functions = this.functions.length;
    this.b = new CodeBuffer(length * BYTES_PER_SLOT + 256);
    const words = new Int32Array(4 * length + 2 * functions);
    this.slotAt = words.subarray(0, length);
    this.slotJumps = words.subarray(length, 2 * length);
    this.jumpAt = words.subarray(2 * length, 3 * length);
    this.jumpTo = words.subarray(3 * length, 4 * length);
    this.functionAt = words.subarray(4 * length, 4 * length + functions);
    this.functionJumps = words.subarray(4 * length + functions);
    this.jumpCondition = new Uint8Array(length);
  }

  /** Writes down a jump from here; it is one once it is counted. */
  noteJump(condition: number, target: number): void {
    const jump = this.jumps;
    this.jumpAt[jump] = this.b.length;
    this.jumpTo[jump] = target;
    this.jumpCondition[jump] = condition;
  }

  addJump(condition: number, target: number): void {
    this.noteJump(condition, target);
    this.jumps += 1;
  }

  /** A field of 32 bits that is known later. */
  putLink(kind: Parameters<Links['add']>[0], target: number): void {
    this.links.add(kind, this.b.length, this.jumps, target);
    this.b.put32(0);
  }
}

/** What most programs come to. */
const BYTES_PER_SLOT = 5;
