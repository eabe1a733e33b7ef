import type { MapType } from '../maps/index.ts';

/** Types of programs that call helpers, by what they attach to; `freplace` programs call what their target's type may. */
export type HelperProgramType =
  | 'fentry'
  | 'fexit'
  | 'fmod_ret'
  | 'lsm'
  | 'kprobe'
  | 'tracepoint'
  | 'raw_tracepoint'
  | 'tp_btf';

/**
 * enum bpf_arg_type (include/linux/bpf.h, 6.12) with its flags: what a helper takes in one of R1 to R5. A size follows the memory that it is the size of.
 */
export type ArgType =
  | 'ARG_ANYTHING'
  /** No pointer. */
  | 'ARG_SCALAR'
  | 'ARG_CONST_MAP_PTR'
  /** Readable, initialised, key_size bytes of the map in front of it. */
  | 'ARG_PTR_TO_MAP_KEY'
  /** Readable, initialised, value_size bytes. */
  | 'ARG_PTR_TO_MAP_VALUE'
  | 'ARG_PTR_TO_CTX'
  /** Readable and initialised (MEM_RDONLY). */
  | 'ARG_PTR_TO_MEM'
  | 'ARG_PTR_TO_MEM_OR_NULL'
  /** Written by the helper (MEM_UNINIT | MEM_WRITE). */
  | 'ARG_PTR_TO_UNINIT_MEM'
  /** Written or NULL: the buffer of snprintf. */
  | 'ARG_PTR_TO_UNINIT_MEM_OR_NULL'
  /** 8 bytes, aligned, written by the helper (ARG_PTR_TO_FIXED_SIZE_MEM | MEM_UNINIT | MEM_WRITE | MEM_ALIGNED; ARG_PTR_TO_LONG up to 6.11). */
  | 'ARG_PTR_TO_LONG'
  /** At least 1. */
  | 'ARG_CONST_SIZE'
  | 'ARG_CONST_SIZE_OR_ZERO'
  /** A constant: size of the memory that is returned. */
  | 'ARG_CONST_ALLOC_SIZE_OR_ZERO'
  /** What bpf_ringbuf_reserve answered; released by the call (OBJ_RELEASE). */
  | 'ARG_PTR_TO_RINGBUF_MEM'
  /** A function of the program. */
  | 'ARG_PTR_TO_FUNC'
  | 'ARG_PTR_TO_STACK_OR_NULL'
  /** NUL-terminated, in a frozen read-only map. */
  | 'ARG_PTR_TO_CONST_STR'
  /** The struct that the prototype names, by the kernel's BTF. */
  | 'ARG_PTR_TO_BTF_ID'
  /** A per-CPU variable of the kernel, by its BTF. */
  | 'ARG_PTR_TO_PERCPU_BTF_ID'
  /** struct bpf_spin_lock in a map value. */
  | 'ARG_PTR_TO_SPIN_LOCK';

/** enum bpf_return_type: what is in R0 afterwards. */
export type RetType =
  | 'RET_INTEGER'
  | 'RET_VOID'
  | 'RET_PTR_TO_MAP_VALUE_OR_NULL'
  /** As many bytes as ARG_CONST_ALLOC_SIZE_OR_ZERO says; a reference. */
  | 'RET_PTR_TO_RINGBUF_MEM_OR_NULL'
  /** One CPU's of the per-CPU variable that was given: a struct by its BTF, anything else as memory to read. */
  | 'RET_PTR_TO_MEM_OR_BTF_ID'
  | 'RET_PTR_TO_MEM_OR_BTF_ID_OR_NULL'
  /** The running task, trusted. */
  | 'RET_PTR_TO_BTF_ID_TRUSTED'
  /** struct pt_regs. */
  | 'RET_PTR_TO_PT_REGS';

/** struct bpf_func_proto, and who may call it. */
export interface HelperPrototype {
  /** BPF_FUNC_* */
  readonly id: number;
  /** With `bpf_`, as bpf-helpers(7) has it. */
  readonly name: string;
  readonly args: readonly ArgType[];
  readonly ret: RetType;
  readonly programTypes: readonly HelperProgramType[];
  readonly gplOnly: boolean;
  /** Only for programs that may sleep (might_sleep). */
  readonly mightSleep?: boolean;
  /** Of ARG_PTR_TO_BTF_ID. */
  readonly struct?: 'task_struct' | 'path';
  /** Programs may call it only where paths are whole (bpf_d_path_allowed). */
  readonly needsPath?: boolean;
  /** The kernel function that a call goes to (6.12); {@link helperSymbol} where that depends on the program's type. */
  readonly symbol: string;
  readonly symbolOf?: Partial<Readonly<Record<HelperProgramType, string>>>;
  /** Types of the map argument that are taken (check_map_func_compatibility). */
  readonly maps?: readonly MapType[];
}

export const helperSymbol = (prototype: HelperPrototype, type: HelperProgramType): string =>
  prototype.symbolOf?.[type] ?? prototype.symbol;
