import { type Fault, invariant } from '../../base/index.ts';
import { MAP_RULES } from './map.ts';
import { OBJECT_RULES } from './object.ts';
import type { Rule } from './rule.ts';
import { DIRECT_RULES } from './trampoline-layout.ts';

const VERIFIER = 'do_check, kernel/bpf/verifier.c (6.12)';
const common = { range: 'all', strictness: 'both' } as const;

/** Why bytecode is refused before anything is known about what it does. The compiler's room decides; the rules are told here. */
const INSN_RULES: readonly Rule[] = [
  {
    ...common,
    id: 'bpf.insn.unknown',
    title: 'No such instruction',
    errno: 'EINVAL',
    what: 'A program is refused because it has an opcode that BPF does not have, or one that only the verifier itself makes.',
    why: 'Nothing can be compiled for it. `docs/bpf-isa.md` lists every instruction.',
    linux: VERIFIER,
    remedies: ['Compile for `-mcpu=v4` or lower; packet access by LD_ABS and LD_IND is not there.'],
  },
  {
    ...common,
    id: 'bpf.insn.reserved',
    title: 'A reserved field is set',
    errno: 'EINVAL',
    what: 'A program is refused because an instruction has a value in a field that it does not use.',
    why: 'Later versions give meaning to such fields; what is ignored today would change its meaning then.',
    linux: VERIFIER,
    remedies: ['Set the field that is named to the value that is named.'],
  },
  {
    ...common,
    id: 'bpf.insn.register',
    title: 'No such register',
    errno: 'EINVAL',
    what: 'A program is refused because an instruction names R11 or higher.',
    why: 'Programs have R0 to R10; what the compiler uses beyond is its own.',
    linux: 'check_reg_arg, kernel/bpf/verifier.c (6.12)',
    remedies: [],
  },
  {
    ...common,
    id: 'bpf.insn.frame-pointer',
    title: 'R10 is read only',
    errno: 'EACCES',
    what: 'A program is refused because an instruction writes R10.',
    why: 'It is %rbp: the frame would be lost.',
    linux: 'check_reg_arg, kernel/bpf/verifier.c (6.12)',
    remedies: ['Copy R10 to another register.'],
  },
  {
    ...common,
    id: 'bpf.insn.wide-immediate',
    title: 'Half a 64-bit immediate',
    errno: 'EINVAL',
    what: 'A program is refused because the second slot of a 64-bit immediate is missing or is not empty but for its immediate.',
    why: 'The instruction takes two slots.',
    linux: 'resolve_pseudo_ldimm64, kernel/bpf/verifier.c (6.12)',
    remedies: [],
  },
  {
    ...common,
    id: 'bpf.insn.jump',
    title: 'A jump leaves its function',
    errno: 'EINVAL',
    what: 'A program is refused because a jump leads out of the program, into another of its functions, or into a 64-bit immediate.',
    why: 'There is no instruction to go on with.',
    linux: 'check_subprogs, kernel/bpf/verifier.c (6.12)',
    remedies: [],
  },
  {
    ...common,
    id: 'bpf.insn.call-target',
    title: 'A call leads nowhere',
    errno: 'EINVAL',
    what: 'A program is refused because it calls a function at a slot that it does not have.',
    why: 'There is no instruction to go on with.',
    linux: 'add_subprog, kernel/bpf/verifier.c (6.12)',
    remedies: [],
  },
  {
    ...common,
    id: 'bpf.insn.falls-off',
    title: 'The end of a function can be passed',
    errno: 'EINVAL',
    what: 'A program is refused because the last instruction of one of its functions is neither exit nor an unconditional jump.',
    why: 'Whatever stands behind it would be executed.',
    linux: 'check_subprogs, kernel/bpf/verifier.c (6.12)',
    remedies: ['End each function with exit.'],
  },
  {
    ...common,
    id: 'bpf.program.size',
    title: 'Not a number of instructions that a program can have',
    errno: 'E2BIG',
    what: 'A program is refused because it has no instruction, more than a million, or (EINVAL) bytes that are no whole number of instructions.',
    why: 'An instruction has 8 bytes.',
    linux: 'bpf_prog_load, kernel/bpf/syscall.c (6.12)',
    remedies: ['Split a program that is too long.'],
  },
  {
    ...common,
    id: 'bpf.program.functions',
    title: 'Too many functions',
    errno: 'E2BIG',
    what: 'A program is refused because it has more than 256 functions.',
    why: 'It is the size of a table in the verifier.',
    linux: 'add_subprog, kernel/bpf/verifier.c (6.12)',
    remedies: ['Let the compiler inline the smaller ones.'],
  },
];

/** Why a program that reads well cannot be compiled. */
const JIT_RULES: readonly Rule[] = [
  {
    ...common,
    id: 'bpf.helper.unknown',
    title: 'No such helper',
    errno: 'EINVAL',
    what: 'A program is refused because it calls a helper that programs of its type do not have here, or that this kernel does not have.',
    why: 'The call would lead nowhere.',
    linux: 'check_helper_call, kernel/bpf/verifier.c (6.12)',
    remedies: [],
  },
  {
    ...common,
    id: 'bpf.jit.unresolved',
    title: 'A reference that nothing was found for',
    errno: 'EINVAL',
    what: 'A program is refused because an immediate stands for a map, a type or a kernel function that was not given with it.',
    why: 'Bytecode alone names such things by numbers that only its loader knows.',
    linux: 'resolve_pseudo_ldimm64, kernel/bpf/verifier.c (6.12)',
    remedies: ['Load the object file instead of its bytecode.'],
  },
  {
    ...common,
    id: 'bpf.jit.no-tail-call',
    title: 'No tail calls here',
    errno: 'EINVAL',
    what: 'A program is refused because it calls bpf_tail_call and comes without maps.',
    why: 'A tail call goes through an array of programs.',
    linux: 'check_helper_call, kernel/bpf/verifier.c (6.12)',
    remedies: ['Load the object file instead of its bytecode.'],
  },
  {
    ...common,
    id: 'bpf.jit.jump-range',
    title: 'A jump gets too long',
    errno: 'ERANGE',
    what: 'A program is refused because the checks that are put in front of its divisions make a jump longer than 16 bits can say.',
    why: 'The instruction has no room for the distance.',
    linux: 'bpf_adj_branches, kernel/bpf/core.c (6.12)',
    remedies: ['Use gotol (`-mcpu=v4`), or a shorter function.'],
  },
];

/** What the verifier refuses; its own words are in the detail and in the log. */
const VERIFIER_RULE: Rule = {
  ...common,
  id: 'bpf.verifier',
  title: 'The verifier cannot see that the program is safe',
  errno: 'EACCES',
  what: 'A program of any type but `raw` is refused because on some path it reads or writes what is not its own, uses a register that nothing is in, gives a helper what it does not take, keeps a reference, returns what its type may not, or (EINVAL, E2BIG) does not end as far as can be seen. The errno is the one of Linux.',
  why: 'It would run in the kernel, on whatever calls the function that it is attached to.',
  linux: 'bpf_check, kernel/bpf/verifier.c (6.12)',
  remedies: [
    'The last lines of the `log` say at which instruction, with what is known of the registers.',
    'Name the function in `attachTo`: without it a program may not read its context.',
  ],
};

export const VERIFICATION_BUDGET: Rule = {
  ...common,
  id: 'bpf.verifier.budget',
  title: 'Verifying takes too long',
  errno: 'E2BIG',
  what: 'A program is refused because the verifier did not come to an end within its time.',
  why: 'Paths multiply with branches; the kernel’s own limit, a million instructions looked at, is kept as well.',
  linux: 'no counterpart: Linux has no limit of time, and checks for signals',
  remedies: ['Make loops shorter, or use bpf_loop.'],
};

export const PROGRAM_UNKNOWN: Rule = {
  ...common,
  id: 'program.unknown',
  title: 'No such program',
  errno: 'ENOENT',
  what: 'A request names a program that is not loaded, or that another tenant has loaded.',
  why: 'Programs are loaded before they are attached; without one an attachment gets a counting program of its own.',
  linux: 'bpf_prog_get, kernel/bpf/syscall.c (6.12)',
  remedies: [
    'Load it with `POST /v1/programs`, or leave `program` out to get the built-in counting program.',
    'List programs with `GET /v1/programs`.',
  ],
};

export const PROGRAM_TYPE: Rule = {
  ...common,
  id: 'program.type',
  title: 'The program is of another type',
  errno: 'EINVAL',
  what: 'An attach request names a program that was loaded for another kind of attachment or another function, or a kind that runs no programs.',
  why: 'What a program may read, and what its result means, depends on where it runs.',
  linux: 'bpf_tracing_prog_attach, bpf_prog_attach_check_attach_type, kernel/bpf/syscall.c (6.12)',
  remedies: [
    'Load the program with the `type` of the attachment; fentry, fexit, fmod_ret, freplace and lsm run programs, kprobe and kretprobe those of the type kprobe, through perf.',
  ],
};

export const PROGRAM_IN_USE: Rule = {
  ...common,
  id: 'program.in-use',
  title: 'The program is attached',
  errno: 'EBUSY',
  what: 'A program is not unloaded while an attachment runs it or has it for its target.',
  why: 'In Linux each link holds a reference to its program; here unloading says so instead of waiting.',
  linux: 'bpf_prog_put, kernel/bpf/syscall.c (6.12)',
  remedies: ['Detach its holders first.'],
};

export const PROGRAM_LIMIT: Rule = {
  ...common,
  id: 'program.limit',
  title: 'Too many programs',
  errno: 'EMFILE',
  what: 'A program is refused because 1,000 are loaded.',
  why: 'Each keeps its code in the arena.',
  linux: 'no counterpart: Linux charges programs to memory cgroups',
  remedies: ['Unload programs that are no longer needed.'],
};

export const PROGRAM_RULES: readonly Rule[] = [
  ...INSN_RULES,
  ...JIT_RULES,
  VERIFIER_RULE,
  VERIFICATION_BUDGET,
  PROGRAM_UNKNOWN,
  PROGRAM_TYPE,
  PROGRAM_IN_USE,
  PROGRAM_LIMIT,
];

const BY_ID = new Map(
  [...PROGRAM_RULES, ...DIRECT_RULES, ...MAP_RULES, ...OBJECT_RULES].map((rule) => [rule.id, rule]),
);

/** A fault of the compiler's room, with what its rule advises. */
export function programFault(fault: Fault): Fault {
  const rule = BY_ID.get(fault.rule);
  invariant(rule !== undefined, () => `${fault.rule} has no page`);
  const detail = `${fault.detail.charAt(0).toUpperCase()}${fault.detail.slice(1)}.`;
  return { ...fault, detail, linux: rule.linux, remedies: [...(fault.remedies ?? []), ...rule.remedies] };
}
