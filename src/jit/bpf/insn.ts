/** What an instruction does with a register that it names; `unused` fields are reserved and have to be 0. */
export type RegisterUse = 'unused' | 'read' | 'write' | 'update';
/** The source field: a register, reserved, or a number that tells instructions of one opcode apart. */
export type SourceUse = RegisterUse | number;
/** The offset field: a number is the only value it may have (0 where it is reserved). */
export type OffsetUse = 'displacement' | 'target' | 'kfunc-fd' | number;
/** The immediate: a number is the only value it may have. */
export type ImmediateUse = 'value' | 'target' | 'helper' | 'function' | 'kfunc' | 'low' | number;

export type AluOp = 'add' | 'sub' | 'mul' | 'div' | 'or' | 'and' | 'lsh' | 'rsh' | 'mod' | 'xor' | 'arsh';
export type SignedOp = 'sdiv' | 'smod';
export type JumpOp = 'jeq' | 'jgt' | 'jge' | 'jset' | 'jne' | 'jsgt' | 'jsge' | 'jlt' | 'jle' | 'jslt' | 'jsle';
export type AtomicOp = 'add' | 'or' | 'and' | 'xor' | 'xchg' | 'cmpxchg';
export type Size = 8 | 16 | 32 | 64;
export type Width = 32 | 64;
export type ImmediateSource =
  | 'number'
  | 'map-fd'
  | 'map-value'
  | 'btf-id'
  | 'function'
  | 'map-index'
  | 'map-index-value';

/** What an instruction means; every consumer of the table is a switch on `kind`. */
export type Meaning =
  | { readonly kind: 'alu'; readonly op: AluOp | SignedOp; readonly width: Width; readonly from: 'imm' | 'reg' }
  | { readonly kind: 'mov'; readonly width: Width; readonly from: 'imm' | 'reg' }
  | { readonly kind: 'movsx'; readonly width: Width; readonly size: Size }
  | { readonly kind: 'neg'; readonly width: Width }
  /** `le` and `be` convert to that order (from the host's, little-endian); `bswap` always swaps. */
  | { readonly kind: 'swap'; readonly op: 'le' | 'be' | 'bswap'; readonly size: Size }
  | { readonly kind: 'load'; readonly size: Size; readonly isSigned: boolean; readonly isProbe: boolean }
  | { readonly kind: 'store'; readonly size: Size; readonly from: 'imm' | 'reg' }
  | { readonly kind: 'atomic'; readonly op: AtomicOp; readonly width: Width; readonly isFetch: boolean }
  | { readonly kind: 'jump'; readonly op: JumpOp; readonly width: Width; readonly from: 'imm' | 'reg' }
  | { readonly kind: 'ja'; readonly from: 'off' | 'imm' }
  | { readonly kind: 'call'; readonly callee: 'helper' | 'function' | 'kfunc' | 'register' }
  | { readonly kind: 'tail-call' }
  | { readonly kind: 'exit' }
  | { readonly kind: 'ld-imm64'; readonly is: ImmediateSource }
  | { readonly kind: 'nospec' };

/** One instruction of the set: how it is encoded, what it is called, what it means. */
export interface Insn {
  /** Its place in {@link ISA}. */
  readonly index: number;
  /** Mnemonic of the bpf_conformance suite's assembler. */
  readonly name: string;
  readonly code: number;
  readonly dst: RegisterUse;
  readonly src: SourceUse;
  readonly off: OffsetUse;
  readonly imm: ImmediateUse;
  /** `-mcpu=vN` of LLVM that first emits it; undefined for what only the kernel's own rewrites make. */
  readonly since: 1 | 2 | 3 | 4 | undefined;
  /** RFC 9669 section 2.4; the last are extensions. */
  readonly group: 'base32' | 'base64' | 'divmul32' | 'divmul64' | 'atomic32' | 'atomic64' | 'callx' | 'internal';
  readonly meaning: Meaning;
}

export type InsnSpec = Omit<Insn, 'index'>;
