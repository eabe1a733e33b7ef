/**
 * The one place that knows iced-x86: text for people, and the second opinion on lengths in tests. Its objects live in WASM memory
 * and are freed by hand; one formatter and one instruction are made at the first use and kept.
 */
import { createRequire } from 'node:module';
import type * as Iced from 'iced-x86';
import type { Formatter, Instruction } from 'iced-x86';
import { type KernelAddress, kernelAddress, toOffset } from '../base/index.ts';

let loaded: typeof Iced | undefined;

/** Compiling its WASM takes an eighth of a second, which a service that starts does not have to pay. */
function iced(): typeof Iced {
  loaded ??= createRequire(import.meta.url)('iced-x86') as typeof Iced;
  return loaded;
}

/** One line of a disassembly, as `objdump -d` prints it. */
export interface DisassembledInsn {
  /** Counted from `_text`. */
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  /** AT&T syntax; `(bad)` for a byte that begins no instruction (length 1). */
  readonly text: string;
  /** Destination of a near direct branch, counted from `_text`; undefined for one below `_text`. */
  readonly target?: number;
}

/** Names an address for people: `tcp_v4_connect+0x10`; undefined when nothing is known there. */
export type Symbolize = (address: bigint) => string | undefined;

function attFormatter(): Formatter {
  const formatter = new (iced().Formatter)(iced().FormatterSyntax.Gas);
  formatter.uppercaseHex = false;
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.firstOperandCharIndex = 7;
  formatter.smallHexNumbersInDecimal = false;
  formatter.branchLeadingZeros = false;
  formatter.displacementLeadingZeros = false;
  formatter.signedMemoryDisplacements = true;
  formatter.ripRelativeAddresses = true;
  formatter.alwaysShowScale = true;
  formatter.showZeroDisplacements = true;
  formatter.usePseudoOps = false;
  formatter.showBranchSize = false;
  return formatter;
}

let kept: { readonly formatter: Formatter; readonly instruction: Instruction } | undefined;

function keptObjects(): { readonly formatter: Formatter; readonly instruction: Instruction } {
  kept ??= { formatter: attFormatter(), instruction: new (iced().Instruction)() };
  return kept;
}

function isNearBranch(instruction: Instruction): boolean {
  const { FlowControl } = iced();
  const { flowControl } = instruction;
  const isBranch =
    flowControl === FlowControl.UnconditionalBranch ||
    flowControl === FlowControl.ConditionalBranch ||
    flowControl === FlowControl.Call;
  return isBranch && instruction.nearBranchTarget !== 0n;
}

/** `0xffffffff81000000` in a branch becomes `ffffffff81000000 <_text>`, a %rip operand gets `# address <symbol>`. */
function annotate(text: string, branch: bigint | undefined, rip: bigint | undefined, symbolize: Symbolize): string {
  const address = branch ?? rip;
  if (address === undefined) return text;
  const symbol = symbolize(address);
  const place = `${address.toString(16)}${symbol === undefined ? '' : ` <${symbol}>`}`;
  return branch === undefined ? `${text}        # ${place}` : text.replace(`0x${address.toString(16)}`, place);
}

/**
 * Disassembles every byte of `bytes`, which stand at `offset` from `base`, in AT&T syntax. A byte that begins no instruction, or one
 * that is cut off by the end, is `(bad)` and one byte long, so that the lengths add up to the bytes given.
 */
export function disassemble(
  bytes: Uint8Array,
  offset: number,
  base: KernelAddress,
  symbolize: Symbolize = () => undefined,
): readonly DisassembledInsn[] {
  const { Code, Decoder, DecoderOptions } = iced();
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  const { formatter, instruction } = keptObjects();
  const lines: DisassembledInsn[] = [];
  try {
    for (let at = 0; at < bytes.length; ) {
      decoder.position = at;
      decoder.ip = kernelAddress(base + BigInt(offset + at));
      decoder.decodeOut(instruction);
      const isBad = instruction.code === Code.INVALID;
      const length = isBad ? 1 : instruction.length;
      const slice = bytes.slice(at, at + length);
      const line = { offset: offset + at, length, bytes: slice };
      lines.push(
        isBad ? { ...line, text: '(bad)' } : { ...line, ...describe(instruction, formatter, base, symbolize) },
      );
      at += length;
    }
  } finally {
    decoder.free();
  }
  return lines;
}

/** Where iced's GNU syntax and objdump's differ: a scale behind no index, the size suffix of 64-bit stack and branch instructions. */
const likeObjdump = (text: string): string =>
  text.replace(',)', ')').replace(/^(jmp|call|push|pop|ret)q( ?)/, '$1$2$2');

function describe(
  instruction: Instruction,
  formatter: Formatter,
  base: KernelAddress,
  symbolize: Symbolize,
): { readonly text: string; readonly target?: number } {
  const isBranch = isNearBranch(instruction);
  const branch = isBranch ? instruction.nearBranchTarget : undefined;
  const rip = instruction.isIpRelMemoryOperand ? instruction.ipRelMemoryAddress : undefined;
  const text = annotate(likeObjdump(formatter.format(instruction).trimEnd()), branch, rip, symbolize);
  const target = branch === undefined ? undefined : toOffset(base, branch);
  return target === undefined ? { text } : { text, target };
}

/** Length of the instruction at index `at` in iced's opinion; 0 when it is none. For tests: a decoder is built for every call. */
export function icedLengths(bytes: Uint8Array, starts: readonly number[]): readonly number[] {
  const { Code, Decoder, DecoderOptions, Instruction: IcedInstruction } = iced();
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  const instruction = new IcedInstruction();
  try {
    return starts.map((at) => {
      decoder.position = at;
      decoder.ip = BigInt(at);
      decoder.decodeOut(instruction);
      return instruction.code === Code.INVALID ? 0 : instruction.length;
    });
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** What iced makes of the instruction at the start of `bytes`: its name (upper-case enum names in lower case), or why it is none. */
export type MnemonicAnswer =
  | { readonly kind: 'instruction'; readonly mnemonic: string; readonly length: number }
  | { readonly kind: 'invalid' }
  | { readonly kind: 'cut-off' };

export function mnemonicOf(bytes: Uint8Array, address: bigint): MnemonicAnswer {
  const { Code, Decoder, DecoderError, DecoderOptions, Mnemonic } = iced();
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  const { instruction } = keptObjects();
  try {
    decoder.ip = address;
    decoder.decodeOut(instruction);
    if (instruction.code === Code.INVALID)
      return { kind: decoder.lastError === DecoderError.NoMoreBytes ? 'cut-off' : 'invalid' };
    return {
      kind: 'instruction',
      mnemonic: (Mnemonic[instruction.mnemonic] ?? 'unknown').toLowerCase(),
      length: instruction.length,
    };
  } finally {
    decoder.free();
  }
}
