/** BPF programs that attach to BPF programs. */
import type { Rule } from './rule.ts';

const CHECK_TARGET = 'bpf_check_attach_target, kernel/bpf/verifier.c (6.12)';
const LINK = '__bpf_trampoline_link_prog, kernel/bpf/trampoline.c (6.12)';

export const BPF_PROGRAM_UNKNOWN: Rule = {
  id: 'bpf.program.unknown',
  title: 'No such BPF program',
  errno: 'ENOENT',
  what: 'A target `prog:ID` names a program that is not loaded.',
  why: 'A program lives as long as something refers to it, and this one does not, or never did.',
  linux: 'bpf_prog_get_fd_by_id, kernel/bpf/syscall.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Name an attachment that runs a BPF program: `prog:att_…`.'],
};

export const BPF_PROGRAM_NO_FUNCTION: Rule = {
  id: 'bpf.program.no-function',
  title: 'The program has no such function',
  errno: 'EINVAL',
  what: 'A target `prog:ID:NAME` names a function that the program does not have.',
  why: 'Its BTF lists its functions, and the name is not among them.',
  linux: CHECK_TARGET,
  range: '5.5+',
  strictness: 'both',
  remedies: ['`prog:ID` alone is its main function.'],
};

export const BPF_PROGRAM_NO_BTF: Rule = {
  id: 'bpf.program.no-btf',
  title: 'The target program has no BTF',
  errno: 'EINVAL',
  what: 'A BPF program is attached to another one that was loaded without BTF.',
  why: 'BTF says where its functions are and what they take.',
  linux: CHECK_TARGET,
  range: '5.5+',
  strictness: 'both',
  remedies: ['Compile the target with `-g` and load it with its BTF.'],
};

export const BPF_RECURSIVE: Rule = {
  id: 'bpf.program.recursive',
  title: 'A program of its own kind',
  errno: 'EINVAL',
  what: 'A freplace program is attached to a freplace program, or, before 6.12, a tracing program to a tracing program.',
  why: 'Programs that run on top of programs of their own kind could form a circle.',
  linux: `${CHECK_TARGET}: Cannot recursively attach`,
  range: '5.5+',
  strictness: 'both',
  remedies: ['fentry and fexit may be attached to a freplace program.'],
};

export const BPF_NESTED: Rule = {
  id: 'bpf.program.nested',
  title: 'Tracing of tracing of tracing',
  errno: 'EINVAL',
  what: 'A tracing program is attached to one that is attached to a tracing program itself.',
  why: 'One level is allowed, so that there is no circle and the stack suffices.',
  linux: `${CHECK_TARGET}: Cannot nest tracing program attach more than once`,
  range: '6.12+',
  strictness: 'both',
  remedies: ['Attach to the program at the bottom instead.'],
};

export const BPF_EXTENDS_TRACING: Rule = {
  id: 'bpf.freplace.tracing-target',
  title: 'fentry and fexit programs cannot be replaced',
  errno: 'EINVAL',
  what: 'A freplace program is attached to an fentry or fexit program.',
  why: 'fentry may be attached to an extension; were the extension of fentry allowed, the two could take turns until the stack is full.',
  linux: `${CHECK_TARGET}: Cannot extend fentry/fexit`,
  range: '5.6+',
  strictness: 'both',
  remedies: ['Detach the program and attach the other one in its place.'],
};

export const FREPLACE_KERNEL: Rule = {
  id: 'bpf.freplace.kernel-function',
  title: 'freplace takes the place of BPF programs only',
  errno: 'EINVAL',
  what: 'The target of freplace is a function of the kernel.',
  why: 'An extension is verified against the program that it becomes a part of; the kernel is not one.',
  linux: `${CHECK_TARGET}: Cannot replace kernel functions`,
  range: '5.6+',
  strictness: 'both',
  remedies: ['Name a program: `prog:att_…`.', 'A livepatch takes the place of a function of the kernel.'],
};

export const BPF_FUNC_INFO: Rule = {
  id: 'bpf.program.func-info',
  title: 'BTF of other functions than the program has',
  errno: 'EINVAL',
  what: 'A program is loaded with as many entries of `functions` as it does not have functions.',
  why: 'Each function has one entry, in the order of the code.',
  linux: 'check_btf_func_early, kernel/bpf/verifier.c (6.12)',
  range: '5.0+',
  strictness: 'both',
  remedies: ['Give one entry for the main function and one for each function that is called.'],
};

export const FREPLACE_STATIC: Rule = {
  id: 'bpf.freplace.static-function',
  title: 'A static function cannot be replaced',
  errno: 'EINVAL',
  what: 'freplace names a static function of a program.',
  why: 'Only global functions are verified on their own, by their parameters.',
  linux: `${CHECK_TARGET}: Cannot replace static functions`,
  range: '5.6+',
  strictness: 'both',
  remedies: ['Make the function global, and load the target again.'],
};

export const FREPLACE_PROTOTYPE: Rule = {
  id: 'bpf.freplace.prototype',
  title: 'Other parameters than the function has',
  errno: 'EINVAL',
  what: 'A freplace program has not as many parameters as its target, or others, or came without BTF, which says what it has.',
  why: 'Its callers pass what the target takes.',
  linux: 'btf_check_func_type_match, kernel/bpf/btf.c (6.12)',
  range: '5.6+',
  strictness: 'both',
  remedies: ['Give the program the prototype of its target.'],
};

export const BPF_FMOD_RET_PROGRAM: Rule = {
  id: 'bpf.fmod-ret.program-target',
  title: 'fmod_ret cannot be attached to a BPF program',
  errno: 'EINVAL',
  what: 'The target of an fmod_ret program is a BPF program.',
  why: 'What a program returns was verified; a modified value would not have been.',
  linux: `${CHECK_TARGET}: can't modify return codes of BPF programs`,
  range: '5.7+',
  strictness: 'both',
  remedies: ['freplace runs another program instead.'],
};

export const BPF_EXTENSION_EXCLUSIVE: Rule = {
  id: 'bpf.extension.exclusive',
  title: 'An extension is alone',
  errno: 'EBUSY',
  what: 'A function of a BPF program has a freplace program and gets another owner, or has fentry or fexit and gets freplace.',
  why: 'The same five bytes of the function are a call of the trampoline or a jump to the extension; they cannot be both.',
  linux: LINK,
  range: '5.6+',
  strictness: 'both',
  remedies: ['Detach what is there.', 'fentry and fexit may be attached to the extension itself: `prog:att_…`.'],
};

export const FREPLACE_PROG_ARRAY: Rule = {
  id: 'bpf.freplace.prog-array',
  title: 'The target is in a tail-call map',
  errno: 'EBUSY',
  what: 'freplace names a program that is an element of a prog_array.',
  why: 'The extension could tail-call its target, which runs the extension, and so on without end.',
  linux: 'bpf_freplace_check_tgt_prog, kernel/bpf/trampoline.c (6.12.117, 6.1.192)',
  range: '6.13+, and stable releases of 6.1 and 6.12',
  strictness: 'both',
  remedies: ['Take the target out of the map first.'],
};

export const BPF_PROGRAM_RULES: readonly Rule[] = [
  BPF_PROGRAM_UNKNOWN,
  BPF_PROGRAM_NO_FUNCTION,
  BPF_PROGRAM_NO_BTF,
  BPF_FUNC_INFO,
  BPF_RECURSIVE,
  BPF_NESTED,
  BPF_EXTENDS_TRACING,
  FREPLACE_KERNEL,
  FREPLACE_STATIC,
  FREPLACE_PROTOTYPE,
  BPF_FMOD_RET_PROGRAM,
  BPF_EXTENSION_EXCLUSIVE,
  FREPLACE_PROG_ARRAY,
];
