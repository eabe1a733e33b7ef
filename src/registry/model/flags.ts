/** FTRACE_OPS_FL_* of include/linux/ftrace.h (6.12), those that decide something here. */
export const OPS = {
  ENABLED: 1 << 0,
  DYNAMIC: 1 << 1,
  SAVE_REGS: 1 << 2,
  RECURSION: 1 << 4,
  STUB: 1 << 5,
  INITIALIZED: 1 << 6,
  ADDING: 1 << 9,
  REMOVING: 1 << 10,
  MODIFYING: 1 << 11,
  ALLOC_TRAMP: 1 << 12,
  IPMODIFY: 1 << 13,
  PERMANENT: 1 << 16,
  DIRECT: 1 << 17,
  /** Not Linux's: its callback may change the stack (docs/variants.md). */
  CHANGES_STACK: 1 << 30,
} as const;

/**
 * FTRACE_FL_* of a dyn_ftrace record. A plain bit says what is wanted, its `_EN` twin what the text says now.
 * The attachment count, the low bits in Linux, is a field of its own here.
 */
export const REC = {
  ENABLED: 1 << 30,
  REGS: 1 << 29,
  REGS_EN: 1 << 28,
  TRAMP: 1 << 27,
  TRAMP_EN: 1 << 26,
  IPMODIFY: 1 << 25,
  DIRECT: 1 << 23,
  DIRECT_EN: 1 << 22,
  TOUCHED: 1 << 20,
  MODIFIED: 1 << 19,
} as const;

/** Flags that outlive the last user of a record (FTRACE_NOCLEAR_FLAGS). */
export const REC_NOCLEAR = REC.TOUCHED | REC.MODIFIED;

/** BPF_TRAMP_F_* of include/linux/bpf.h (6.12). */
export const TRAMP_F = {
  RESTORE_REGS: 1 << 0,
  CALL_ORIG: 1 << 1,
  SKIP_FRAME: 1 << 2,
  IP_ARG: 1 << 3,
  RET_FENTRY_RET: 1 << 4,
  ORIG_STACK: 1 << 5,
  SHARE_IPMODIFY: 1 << 6,
} as const;
