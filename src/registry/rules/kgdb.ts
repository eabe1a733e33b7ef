import type { Rule } from './rule.ts';

const VALIDATE = 'kgdb_validate_break_address, kernel/debug/debug_core.c (6.12)';
const NO_CHECK = 'kgdb_arch_set_breakpoint, arch/x86/kernel/kgdb.c (6.12), which asks nobody';
const REMEDY = 'Set a hardware breakpoint, or one at another instruction.';

export const KGDB_NOT_TEXT: Rule = {
  id: 'kgdb.address.not-text',
  title: 'A breakpoint outside kernel text',
  errno: 'EFAULT',
  what: 'A kgdb breakpoint is refused where there is no live text of the kernel, text that boot has freed included.',
  why: 'The byte there cannot be read. Linux would also write into data; data are not modelled.',
  linux: `copy_from_kernel_nofault from ${VALIDATE}`,
  range: 'all',
  strictness: 'both',
  remedies: ['Look the function up with `GET /v1/symbols?match=…`.'],
};

export const KGDB_BLACKLISTED: Rule = {
  id: 'kgdb.address.blacklisted',
  title: 'A breakpoint in code that handles breakpoints',
  errno: 'EINVAL',
  what: 'A kgdb breakpoint is refused at an address that kprobes may not have either.',
  why: 'The breakpoint would be met while a breakpoint is handled (CONFIG_KGDB_HONOUR_BLOCKLIST).',
  linux: `kgdb_within_blocklist from ${VALIDATE}`,
  range: '5.8+',
  strictness: 'both',
  remedies: ['Stop in a caller or a callee outside the blacklist.'],
};

export const KGDB_EXISTS: Rule = {
  id: 'kgdb.breakpoint.exists',
  title: 'kgdb has a breakpoint at this address',
  errno: 'EEXIST',
  what: 'A second kgdb breakpoint at one address is refused.',
  why: 'kgdb has one list of breakpoints and one debugger.',
  linux: 'dbg_set_sw_break, kernel/debug/debug_core.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Use the one that is there.'],
};

export const KGDB_TOO_MANY: Rule = {
  id: 'kgdb.breakpoint.too-many',
  title: 'kgdb’s list of breakpoints is full',
  errno: 'E2BIG',
  what: 'A kgdb breakpoint is refused when 1,000 are set.',
  why: 'The list is an array of KGDB_MAX_BREAKPOINTS.',
  linux: 'dbg_set_sw_break, kernel/debug/debug_core.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Remove some.'],
};

export const KGDB_AT_FTRACE: Rule = {
  id: 'kgdb.site.ftrace',
  title: 'A breakpoint over what ftrace patches',
  errno: 'EBUSY',
  what: 'A kgdb breakpoint is refused at an ftrace site that has owners, inside the five bytes of any, and in the code that ftrace copies for its trampolines.',
  why: 'Linux sets it. The next change of the site finds an int3, and ftrace shuts itself off for the whole system.',
  linux: NO_CHECK,
  range: 'all',
  strictness: 'safe',
  remedies: [REMEDY, 'Detach the owners of the site first.'],
};

export const KGDB_AT_JUMP_LABEL: Rule = {
  id: 'kgdb.site.jump-label',
  title: 'A breakpoint over a static branch',
  errno: 'EBUSY',
  what: 'A kgdb breakpoint is refused on any byte of a static branch’s instruction.',
  why: 'Linux sets it, and stops with BUG when the key is switched.',
  linux: NO_CHECK,
  range: 'all',
  strictness: 'safe',
  remedies: [REMEDY],
};

export const KGDB_AT_STATIC_CALL: Rule = {
  id: 'kgdb.site.static-call',
  title: 'A breakpoint over a static call',
  errno: 'EBUSY',
  what: 'A kgdb breakpoint is refused on any byte of a static call’s site or trampoline.',
  why: 'Linux sets it, and stops with BUG when the call is updated.',
  linux: NO_CHECK,
  range: '5.10+',
  strictness: 'safe',
  remedies: [REMEDY],
};

export const KGDB_AT_KPROBE: Rule = {
  id: 'kgdb.site.kprobe',
  title: 'A breakpoint over a kprobe',
  errno: 'EBUSY',
  what: 'A kgdb breakpoint is refused at the address of a kprobe.',
  why: 'Linux sets it and saves the kprobe’s int3 as the original byte: the probe no longer fires, and whoever leaves last writes the wrong byte.',
  linux: NO_CHECK,
  range: 'all',
  strictness: 'safe',
  remedies: [REMEDY, 'Detach the kprobe first.'],
};

export const KGDB_AT_BPF: Rule = {
  id: 'kgdb.site.bpf',
  title: 'A breakpoint over the call of a BPF trampoline',
  errno: 'EBUSY',
  what: 'A kgdb breakpoint is refused on the call that a BPF trampoline has at a function without an ftrace site.',
  why: 'Linux sets it, and the trampoline’s programs can neither be changed nor detached (EBUSY) until it is gone.',
  linux: NO_CHECK,
  range: '5.5+',
  strictness: 'safe',
  remedies: [REMEDY, 'Detach the programs first.'],
};

export const KGDB_IN_THE_WAY: Rule = {
  id: 'kgdb.breakpoint.in-the-way',
  title: 'A kgdb breakpoint stands where text would change',
  errno: 'EBUSY',
  what: 'A change of text is refused because kgdb has a breakpoint on one of the bytes.',
  why: 'Linux does not look: ftrace finds unexpected bytes and dies for the whole system, static branches and static calls stop with BUG.',
  linux: 'no counterpart: ftrace_verify_code, __jump_label_patch, __static_call_validate find out (6.12)',
  range: 'all',
  strictness: 'safe',
  remedies: ['Remove the breakpoint first.'],
};

export const KGDB_RULES: readonly Rule[] = [
  KGDB_NOT_TEXT,
  KGDB_BLACKLISTED,
  KGDB_EXISTS,
  KGDB_TOO_MANY,
  KGDB_AT_FTRACE,
  KGDB_AT_JUMP_LABEL,
  KGDB_AT_STATIC_CALL,
  KGDB_AT_KPROBE,
  KGDB_AT_BPF,
  KGDB_IN_THE_WAY,
];
