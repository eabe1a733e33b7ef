import type { Rule } from './rule.ts';

const common = { linux: 'no counterpart: Linux has one layout', range: 'all', strictness: 'both' } as const;
const TAKE_LINUX = 'Attach with `layout: "linux"`.';

export const LAYOUT_KIND: Rule = {
  ...common,
  id: 'bpf.trampoline.layout-kind',
  title: 'Only the layout linux runs programs at the exit',
  errno: 'EOPNOTSUPP',
  what: 'A fexit or fmod_ret program is refused with a layout other than `linux`.',
  why: 'The trampolines of October 2019 return into the function and see it no more; they have no place for what it returns.',
  remedies: [TAKE_LINUX],
};

export const LAYOUT_WORDS: Rule = {
  ...common,
  id: 'bpf.trampoline.args',
  title: 'The layout carries fewer argument words than the function has',
  errno: 'ENOTSUPP',
  what: 'A program is refused with the layout `seed` at a function of more than six argument words or with one on the stack, and with `registers` at one of more than five.',
  why: '`seed` pushes the six argument registers and nothing else; R1 to R5 are five.',
  remedies: [TAKE_LINUX, 'Attach with `layout: "frame"`, which reads up to twelve words where they lie.'],
};

export const LAYOUT_HELPER: Rule = {
  ...common,
  id: 'bpf.trampoline.layout-helper',
  title: 'The program asks its trampoline for what this layout does not have',
  errno: 'EOPNOTSUPP',
  what: 'A program that calls bpf_get_func_ip, bpf_get_func_arg, bpf_get_func_arg_cnt, bpf_get_func_ret or bpf_get_attach_cookie is refused with a layout other than `linux`.',
  why: 'These read words that the trampoline keeps next to the context, or the run context that it sets; the small trampolines have neither.',
  remedies: [TAKE_LINUX],
};

/** Why a program cannot be compiled for one function; the compiler's room decides. */
export const DIRECT_RULES: readonly Rule[] = [
  {
    ...common,
    id: 'bpf.direct.context',
    title: 'A read beyond the arguments',
    errno: 'EACCES',
    what: 'A program is refused with a layout that reads arguments directly, because it reads its context where the function has no argument.',
    why: 'The read would be of whatever lies behind the arguments in the frame. With a context the verifier refuses it.',
    linux: 'btf_ctx_access, kernel/bpf/btf.c (6.12)',
    remedies: ['Read words 8·i, i below the number of the function’s argument words.'],
  },
  {
    ...common,
    id: 'bpf.direct.ambiguous',
    title: 'One load reads the context and something else',
    errno: 'EINVAL',
    what: 'A program is refused with a layout that reads arguments directly, because a load gets the context from one way and another address from another.',
    why: 'Code for one function has one place to read from. Linux refuses such a load, too: “same insn cannot be used with different pointers”.',
    linux: 'save_aux_ptr_type, kernel/bpf/verifier.c (6.12)',
    remedies: ['Let each way have its own load.', TAKE_LINUX],
  },
  {
    ...common,
    id: 'bpf.direct.address',
    title: 'The context is passed on and does not lie in one piece',
    errno: 'EOPNOTSUPP',
    what: 'A program is refused with a layout that reads arguments directly, because it uses the address of its context and some arguments came on the stack, or its first instruction is jumped to.',
    why: 'Arguments that came on the stack are read where the caller put them and are not next to those that the trampoline keeps; and the address is set once, in front of the first instruction.',
    remedies: [TAKE_LINUX, 'Read the arguments in the program itself instead of passing the context on.'],
  },
];

export const LAYOUT_RULES: readonly Rule[] = [LAYOUT_KIND, LAYOUT_WORDS, LAYOUT_HELPER, ...DIRECT_RULES];
