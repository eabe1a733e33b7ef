import type { Rule } from './rule.ts';

const CHECK_TARGET = 'bpf_check_attach_target, kernel/bpf/verifier.c (6.12)';

export const BPF_NO_BTF: Rule = {
  id: 'bpf.target.no-btf',
  title: 'BTF does not know this function',
  errno: 'EINVAL',
  what: 'A BPF tracing program is refused because the image has no BTF, or (ENOENT) its BTF has no function of that name.',
  why: 'The trampoline saves as many arguments as the function has, and the verifier types them; both come from BTF.',
  linux: CHECK_TARGET,
  range: '5.5+',
  strictness: 'both',
  remedies: ['Use a kprobe, which needs no prototype.'],
};

export const BPF_NO_SYMBOL: Rule = {
  id: 'bpf.target.no-symbol',
  title: 'No such function',
  errno: 'ENOENT',
  what: 'A BPF tracing program names a function that the kernel does not have.',
  why: 'The trampoline is attached to the address that kallsyms gives for the name.',
  linux: CHECK_TARGET,
  range: '5.5+',
  strictness: 'both',
  remedies: ['Look the name up with `GET /v1/symbols?match=…`; the compiler may have inlined the function.'],
};

export const BPF_NOT_A_FUNCTION_ENTRY: Rule = {
  id: 'bpf.target.not-entry',
  title: 'A BPF trampoline belongs to a whole function',
  errno: 'EINVAL',
  what: 'fentry, fexit and fmod_ret take the name of a function, without an offset and not as an address inside one.',
  why: 'The program is loaded for a BTF function id; there is no such thing as an offset in it.',
  linux: CHECK_TARGET,
  range: '5.5+',
  strictness: 'both',
  remedies: ['Use a kprobe for a place inside a function.'],
};

export const BPF_PROTOTYPE: Rule = {
  id: 'bpf.target.prototype',
  title: 'The function has arguments that a trampoline cannot save',
  errno: 'EINVAL',
  what: 'A BPF tracing program is refused at a function with more than 12 arguments (ENOTSUPP: 6 words before 6.6), with a structure as argument before 6.1, with variable arguments, with an argument of more than 16 bytes, or that returns a structure.',
  why: 'The trampoline keeps the arguments in a frame of fixed form; such a prototype does not fit.',
  linux: 'btf_distill_func_proto, kernel/bpf/btf.c; arch_prepare_bpf_trampoline, arch/x86/net/bpf_jit_comp.c (6.12)',
  range: '5.5+',
  strictness: 'both',
  remedies: ['Use a kprobe.'],
};

export const BPF_DENY_LIST: Rule = {
  id: 'bpf.target.deny-list',
  title: 'The trampoline itself calls this function',
  errno: 'EINVAL',
  what: 'migrate_disable, migrate_enable, rcu_read_unlock_strict, preempt_count_add and preempt_count_sub, __rcu_read_lock and __rcu_read_unlock take no BPF tracing program.',
  why: 'Entering and leaving a BPF program calls them, so a program on them would call itself without end.',
  linux: 'btf_id_deny, kernel/bpf/verifier.c (6.12)',
  range: '5.12+',
  strictness: 'both',
  remedies: ['Trace a caller.'],
};

export const BPF_RETURN_TOO_LARGE: Rule = {
  id: 'bpf.target.return-too-large',
  title: 'The return value does not fit a register',
  errno: 'EOPNOTSUPP',
  what: 'fexit and fmod_ret are refused at a function whose return value has more than 8 bytes.',
  why: 'The trampoline keeps the return value in one word for the programs to read. fentry does not, and is accepted.',
  linux: 'arch_prepare_bpf_trampoline and check of func_model.ret_size, kernel/bpf/verifier.c (6.12)',
  range: '6.12-stable; 6.6 and 6.18 unknown',
  strictness: 'both',
  remedies: ['Use fentry or a kretprobe.'],
};

export const BPF_NOT_MODIFIABLE: Rule = {
  id: 'bpf.target.not-modifiable',
  title: 'fmod_ret is not allowed at this function',
  errno: 'EINVAL',
  what: 'fmod_ret is refused at a function that is neither error-injectable, nor in a BTF id set for fmod_ret, nor named `security_*`.',
  why: 'The program may skip the function and answer in its place, which most functions do not survive.',
  linux: 'check_attach_modify_return, kernel/bpf/verifier.c (6.12)',
  range: '5.7+',
  strictness: 'both',
  remedies: ['Use fexit to see the result, or fmod_ret on the LSM hook (`security_*`) of the operation.'],
};

export const BPF_NOT_SLEEPABLE: Rule = {
  id: 'bpf.target.not-sleepable',
  title: 'A sleepable program is not allowed at this function',
  errno: 'EINVAL',
  what: 'A sleepable fentry, fexit or fmod_ret program is refused at a function that is neither error-injectable nor marked sleepable in a BTF id set for fmod_ret.',
  why: 'The function may be called where sleeping is forbidden.',
  linux: 'bpf_check_attach_target, kernel/bpf/verifier.c (6.12)',
  range: '5.10+',
  strictness: 'both',
  remedies: ['Load the program without `sleepable`.'],
};

export const BPF_NORETURN: Rule = {
  id: 'bpf.target.noreturn',
  title: 'The function never returns',
  errno: 'EINVAL',
  what: 'fexit and fmod_ret are refused at functions that do not return (do_exit, make_task_dead and their like).',
  why: 'The trampoline calls the function and waits for it; its reference would never be given back.',
  linux: 'noreturn_deny in check_attach_btf_id, kernel/bpf/verifier.c (6.12)',
  range: '6.15+, and the stable branches of 6.6 and 6.12',
  strictness: 'both',
  remedies: ['Use fentry.'],
};

export const BPF_LSM_NOT_A_HOOK: Rule = {
  id: 'bpf.lsm.not-a-hook',
  title: 'Not the function of an LSM hook',
  errno: 'EINVAL',
  what: 'An LSM program is refused at a function that is not named `bpf_lsm_` and the hook.',
  why: 'The BPF security module has an empty function for every hook, and its programs attach to those. `security_file_open` calls the hooks of all modules; `bpf_lsm_file_open` is BPF’s.',
  linux: 'bpf_lsm_verify_prog, kernel/bpf/bpf_lsm.c (6.12)',
  range: '5.7+',
  strictness: 'both',
  remedies: ['Name the hook’s function, `bpf_lsm_file_open`; for `security_*` use fmod_ret.'],
};

export const BPF_LSM_DISABLED: Rule = {
  id: 'bpf.lsm.hook-disabled',
  title: 'BPF must not answer this hook',
  errno: 'EINVAL',
  what: 'An LSM program is refused at hooks whose return value is more than a verdict (getprocattr, inode_getsecurity, vm_enough_memory and a few more).',
  why: 'A program’s answer there would be taken for a length or an amount of memory.',
  linux: 'bpf_lsm_disabled_hooks, kernel/bpf/bpf_lsm.c (6.12)',
  range: '6.12+, and the stable branch of 6.1; 5.15 and 6.6 unknown',
  strictness: 'both',
  remedies: ['Watch the hook with fexit on `security_*`.'],
};

export const BPF_HANGS: Rule = {
  id: 'bpf.target.hangs',
  title: 'On this kernel the machine would hang',
  errno: 'EDEADLK',
  what: 'A BPF tracing program on __rcu_read_lock or __rcu_read_unlock is refused on 6.1.',
  why: '6.1 does not have these functions on its deny list. The call that attaches the program never comes back, and the machine stops without a word (recorded: three of three). Later kernels answer EINVAL.',
  linux: 'btf_id_deny, kernel/bpf/verifier.c (6.1), lacks them: a bug, recorded',
  range: '6.1',
  strictness: 'both',
  remedies: ['Trace a caller.'],
};

export const BPF_IPMODIFY_ORDER: Rule = {
  id: 'bpf.trampoline.ipmodify-order',
  title: 'On this kernel the third of three grants does harm',
  errno: 'EBUSY',
  what: 'On 6.1, an fexit or fmod_ret program is refused at a function where an IPMODIFY owner (a livepatch, for example) was there first and an fentry program second. Linux 6.1 grants all three.',
  why: 'The trampoline has to be made anew so that it calls the original through the stack. Kernels without 3e9a18e1c3e9 do not ask for that when a trampoline is modified: all three attaches return 0 and the function runs unpatched. 6.1 took that commit as a stable fix (6.1.160) without its companion 56b3c85e153b: it asks, clears the function of the trampoline’s ops as if it were to be registered afresh, and then only modifies it. All three attaches return 0; the next call of the function hits a warning in the list function, and ftrace is dead for the whole system: no program fires and no attach succeeds until a reboot (recorded on 6.1.192 in five of five machines). Other orders of the same three work.',
  linux:
    'bpf_trampoline_update, kernel/bpf/trampoline.c, and __modify_ftrace_direct_multi, kernel/trace/ftrace.c (6.1.192): a bug, recorded; both commits together fix it',
  range: '6.0 to 6.17 without the stable fixes; deadly from 6.1.160 on',
  strictness: 'safe',
  remedies: [
    'Attach fexit before the IPMODIFY owner, or before fentry: detach the fentry program, attach fexit, attach fentry again.',
  ],
};

export const BPF_RETRY_BUSY: Rule = {
  id: 'bpf.trampoline.retry-busy',
  title: 'Linux finds its own first attempt in the way',
  errno: 'EBUSY',
  what: 'An fexit or fmod_ret program is refused at a function that has an IPMODIFY owner (a livepatch, for example) on kernels from 6.7 to 6.17 without the fix.',
  why: 'The trampoline has to be made anew so that it calls the original through the stack, and is then registered a second time. On these kernels the first, refused registration leaves its entry in the table of direct calls, and the second one finds it there. Nobody else holds the function.',
  linux: 'register_ftrace_direct, kernel/trace/ftrace.c: a bug, broken by d05cb470663a and fixed by 56b3c85e153b',
  range: '6.7 to 6.17 without the stable fix',
  strictness: 'both',
  remedies: ['Attach fexit first and the IPMODIFY owner afterwards.'],
};

export const BPF_TRAMPOLINE_UNKNOWN: Rule = {
  id: 'bpf.trampoline.unknown-layout',
  title: 'This image’s BPF trampolines are not known',
  errno: 'EOPNOTSUPP',
  what: 'A BPF tracing program is refused because the image lacks a function that a trampoline of the known layouts (6.1 and 6.12) calls.',
  why: 'The bytes of a trampoline were recorded for two kernels. One that enters and leaves programs through other functions makes other trampolines, and bytes that nobody has seen are not made up.',
  linux: 'arch_prepare_bpf_trampoline, arch/x86/net/bpf_jit_comp.c',
  range: 'images other than 6.1 to 6.18',
  strictness: 'both',
  remedies: ['Plan on an image whose layout is known and ask the other version’s rules there (`?kernel=`).'],
};

export const BPF_HIDDEN_ENDBR: Rule = {
  id: 'bpf.trampoline.hidden-endbr',
  title: 'A breakpoint hides the ENDBR that the trampoline has to skip',
  errno: 'EBUSY',
  what: "A trampoline that calls its function (fexit, fmod_ret, or fentry beside one of them) is refused while a kgdb breakpoint stands on the ENDBR at the function's first byte. Linux grants it.",
  why: 'The trampoline calls the function behind its ftrace site: five bytes from the start, or nine when an ENDBR stands there. Linux looks at the text as it is, sees the int3 of the breakpoint and no ENDBR, and calls into the middle of the ftrace site. The next call executes nonsense.',
  linux: '__arch_prepare_bpf_trampoline, arch/x86/net/bpf_jit_comp.c (6.12); executed here, not recorded',
  range: '5.18+',
  strictness: 'safe',
  remedies: ['Remove the breakpoint first, or set it behind the ftrace site.'],
};

export const BPF_NOT_PATCHABLE: Rule = {
  id: 'bpf.site.not-patchable',
  title: 'The function has no place for a BPF trampoline',
  errno: 'EBUSY',
  what: 'A BPF tracing program is refused at a function without an ftrace site and without a five-byte NOP at its entry, and (EINVAL) at a function of init text, which is freed after boot.',
  why: 'Without ftrace the trampoline is attached by replacing a NOP at the entry, and Linux compares before it writes. There is no NOP, and Linux says EBUSY although nobody holds the place. The function is notrace, assembly, or part of the BPF machinery.',
  linux: '__bpf_arch_text_poke, arch/x86/net/bpf_jit_comp.c (6.12)',
  range: '5.5+',
  strictness: 'both',
  remedies: [
    'Use a kprobe at the entry, or trace a function that has an ftrace site (`GET /v1/symbols?attachable=fentry`).',
  ],
};

export const BPF_TOO_MANY_PROGRAMS: Rule = {
  id: 'bpf.trampoline.too-many-programs',
  title: 'A BPF trampoline takes 38 programs',
  errno: 'E2BIG',
  what: 'The 39th fentry, fexit and fmod_ret program of one function is refused.',
  why: 'All programs of a function are called from one generated page of code.',
  linux: 'BPF_MAX_TRAMP_LINKS in __bpf_trampoline_link_prog, kernel/bpf/trampoline.c (6.12)',
  range: '5.12+ (40 before)',
  strictness: 'both',
  remedies: ['Detach a program that is no longer needed; its holders are listed.'],
};

export const BPF_SAME_PROGRAM: Rule = {
  id: 'bpf.trampoline.same-program',
  title: 'This program is already attached to this function',
  errno: 'EBUSY',
  what: 'The same program in the same role is refused at one function twice.',
  why: 'Links are found by their program, so it can be there once.',
  linux: '__bpf_trampoline_link_prog, kernel/bpf/trampoline.c (6.12)',
  range: '5.5+',
  strictness: 'both',
  remedies: ['Load the program a second time and attach the copy.'],
};

export const BPF_TRAMPOLINE_TOO_BIG: Rule = {
  id: 'bpf.trampoline.too-big',
  title: 'The trampoline would be larger than a page',
  errno: 'E2BIG',
  what: 'A BPF program is refused because the function’s trampoline with it would not fit one page.',
  why: 'The image is limited to a page in Linux.',
  linux: 'bpf_trampoline_update, kernel/bpf/trampoline.c (6.12)',
  range: '5.5+',
  strictness: 'both',
  remedies: ['Detach a program of this function.'],
};

export const BPF_LAYOUT_MIX: Rule = {
  id: 'bpf.trampoline.layout-mix',
  title: 'Programs of one function share one trampoline layout',
  errno: 'EBUSY',
  what: 'A program that asks for another trampoline layout than the programs already attached to the function is refused.',
  why: 'All programs of a function are called from one trampoline and read their arguments from one frame. Layouts other than `linux` are this service’s own.',
  linux: 'no counterpart: Linux has one layout',
  range: 'all',
  strictness: 'both',
  remedies: ['Ask for the layout that is in use, or detach the others.'],
};

export const BPF_RULES: readonly Rule[] = [
  BPF_NO_BTF,
  BPF_NO_SYMBOL,
  BPF_NOT_A_FUNCTION_ENTRY,
  BPF_PROTOTYPE,
  BPF_DENY_LIST,
  BPF_RETURN_TOO_LARGE,
  BPF_NOT_MODIFIABLE,
  BPF_NOT_SLEEPABLE,
  BPF_NORETURN,
  BPF_LSM_NOT_A_HOOK,
  BPF_LSM_DISABLED,
  BPF_HANGS,
  BPF_IPMODIFY_ORDER,
  BPF_RETRY_BUSY,
  BPF_TRAMPOLINE_UNKNOWN,
  BPF_HIDDEN_ENDBR,
  BPF_NOT_PATCHABLE,
  BPF_TOO_MANY_PROGRAMS,
  BPF_SAME_PROGRAM,
  BPF_TRAMPOLINE_TOO_BIG,
  BPF_LAYOUT_MIX,
];
