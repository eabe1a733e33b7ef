import type { Rule } from './rule.ts';

const ADDRESS_SAFE = 'check_kprobe_address_safe, kernel/kprobes.c (6.12)';

export const KPROBE_ADDRESS_UNKNOWN: Rule = {
  id: 'kprobe.address.unknown',
  title: 'No such symbol, or an address outside every symbol',
  errno: 'ENOENT',
  what: 'A kprobe names a symbol that kallsyms does not have, or an address that lies in no symbol.',
  why: 'A kprobe is placed relative to a symbol. Without one Linux cannot tell where the function starts, and so cannot tell whether the address is the start of an instruction.',
  linux: '_kprobe_addr, kernel/kprobes.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: [
    'Look the name up with `GET /v1/symbols?match=…`; the compiler may have inlined the function or given it a suffix.',
  ],
};

export const KPROBE_NOT_TEXT: Rule = {
  id: 'kprobe.address.not-text',
  title: 'The address is not kernel text',
  errno: 'EINVAL',
  what: 'A kprobe is refused at an address that is neither core kernel text nor the text of a module: data, init text after boot, generated code (BPF programs, trampolines, kprobe slots).',
  why: 'A probe writes a breakpoint into code that stays. Init text has been freed, generated code comes and goes with its owner, and data is not executed.',
  linux: ADDRESS_SAFE,
  range: 'all',
  strictness: 'both',
  remedies: ['To trace a BPF program use fentry on it; to trace a trampoline, probe the function it belongs to.'],
};

export const KPROBE_BLACKLISTED: Rule = {
  id: 'kprobe.address.blacklisted',
  title: 'The function must not be probed',
  errno: 'EINVAL',
  what: 'A kprobe is refused inside a blacklisted function (NOKPROBE_SYMBOL, `__kprobes`), inside noinstr text and inside entry text.',
  why: 'The probe handler itself runs through this code, or the code runs where no exception may happen. A breakpoint there would recurse without end or hit an unprepared kernel.',
  linux: 'within_kprobe_blacklist, kernel/kprobes.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Probe a caller or a callee; the list is in debugfs kprobes/blacklist.'],
};

export const KPROBE_JUMP_LABEL: Rule = {
  id: 'kprobe.address.jump-label',
  title: 'The address belongs to a static branch',
  errno: 'EINVAL',
  what: 'A kprobe is refused on any byte of a jump-label instruction.',
  why: 'The static key rewrites this instruction between a NOP and a JMP and checks what it replaces. A breakpoint in it would make that check fail, and Linux answers a failed check there with BUG.',
  linux: `jump_label_text_reserved from ${ADDRESS_SAFE}`,
  range: 'all',
  strictness: 'both',
  remedies: ['Probe the next instruction.'],
};

export const KPROBE_STATIC_CALL: Rule = {
  id: 'kprobe.address.static-call',
  title: 'The address belongs to a static call',
  errno: 'EINVAL',
  what: 'A kprobe is refused on any byte of a static-call site.',
  why: 'static_call_update rewrites this instruction and checks what it replaces; a breakpoint in it would end in a BUG.',
  linux: `static_call_text_reserved from ${ADDRESS_SAFE}`,
  range: '5.10+',
  strictness: 'both',
  remedies: ['Probe the next instruction, or the function that is called.'],
};

export const KPROBE_STATIC_CALL_TRAMPOLINE: Rule = {
  id: 'kprobe.address.static-call-trampoline',
  title: 'The address belongs to a static-call trampoline',
  errno: 'EINVAL',
  what: 'A kprobe is refused inside a `__SCT__` trampoline, although Linux accepts it.',
  why: 'Linux does not reserve these trampolines. With an int3 in one, the next static_call_update finds an unknown instruction and stops the kernel with BUG. Safe strictness treats them as reserved.',
  linux: 'no check in 6.12; __static_call_validate, arch/x86/kernel/static_call.c, fails later',
  range: '5.10+',
  strictness: 'safe',
  remedies: ['Probe the function that the static call reaches.'],
};

export const KPROBE_FTRACE_CALLER: Rule = {
  id: 'kprobe.address.ftrace-caller',
  title: 'The address belongs to the callers of ftrace',
  errno: 'EINVAL',
  what: 'A kprobe is refused inside ftrace_caller and ftrace_regs_caller, although Linux accepts it.',
  why: 'Every ftrace ops gets a copy of these callers, and a breakpoint is copied with them, to an address where no kprobe is known. The call in their middle is rewritten without looking at what it replaces, so a breakpoint there is lost. Safe strictness keeps probes out.',
  linux:
    'no check in 6.12; create_trampoline and ftrace_update_ftrace_func, arch/x86/kernel/ftrace.c, run into it later',
  range: 'all',
  strictness: 'safe',
  remedies: ['Probe the function that is traced, or the callback.'],
};

export const KPROBE_BUG_SITE: Rule = {
  id: 'kprobe.address.bug-site',
  title: 'The address is the ud2 of a BUG or WARN',
  errno: 'EINVAL',
  what: 'A kprobe is refused on an instruction that the bug table lists.',
  why: 'The trap handler finds BUG and WARN by the address of their ud2. A breakpoint there would hide it.',
  linux: `find_bug from ${ADDRESS_SAFE}`,
  range: '5.14+',
  strictness: 'both',
  remedies: ['Probe the instruction before it.'],
};

export const KPROBE_PADDING: Rule = {
  id: 'kprobe.address.padding',
  title: 'The address lies in the padding before a function',
  errno: 'EINVAL',
  what: 'A kprobe is refused inside a `__pfx_` or `__cfi_` symbol.',
  why: 'That padding is rewritten by call thunks and control-flow checks and is not part of any function.',
  linux: `is_cfi_preamble_symbol from ${ADDRESS_SAFE}`,
  range: '6.2+',
  strictness: 'both',
  remedies: ['Probe the function itself.'],
};

export const KPROBE_NOT_A_BOUNDARY: Rule = {
  id: 'kprobe.insn.not-a-boundary',
  title: 'Not the start of an instruction that can be probed',
  errno: 'EILSEQ',
  what: 'Decoding from the start of the function does not arrive at the address, or arrives at an instruction that must not be probed (int3, int, ud2), or meets something that cannot be decoded.',
  why: 'A breakpoint in the middle of an instruction changes that instruction instead of stopping before it. The five bytes of an ftrace site count as one instruction.',
  linux: 'can_probe, arch/x86/kernel/kprobes/core.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['List the instructions with `GET /v1/text?at=FUNCTION`.'],
};

export const KPROBE_NOT_COPYABLE: Rule = {
  id: 'kprobe.insn.not-copyable',
  title: 'The instruction cannot run out of line',
  errno: 'EINVAL',
  what: 'The instruction cannot be copied into a kprobe slot: its RIP-relative operand would be out of reach, it masks exceptions for the next instruction, or it is a breakpoint of somebody else.',
  why: 'A kprobe runs the instruction it replaced from a copy. A copy that would mean something else is refused.',
  linux: '__copy_instruction, arch/x86/kernel/kprobes/core.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Probe the instruction before or after it.'],
};

export const KPROBE_NOT_EMULATABLE: Rule = {
  id: 'kprobe.insn.not-emulatable',
  title: 'The instruction can be neither copied nor emulated',
  errno: 'EOPNOTSUPP',
  what: 'Far calls and jumps, iret, indirect calls and jumps through memory and instructions of virtual machines are refused.',
  why: 'Such an instruction changes the flow of control in a way that neither a single step nor the emulation of kprobes covers.',
  linux: 'prepare_emulation, arch/x86/kernel/kprobes/core.c (6.12)',
  range: '5.12+',
  strictness: 'both',
  remedies: ['Probe the instruction before or after it.'],
};

export const KPROBE_POST_HANDLER_MIX: Rule = {
  id: 'kprobe.ftrace.post-handler-mix',
  title: 'A post_handler comes second at an ftrace site',
  errno: 'EBUSY',
  what: 'A kprobe with a post_handler is refused at a function entry where a kprobe without one is armed, although Linux accepts it.',
  why: 'Linux (6.1 and 6.12, recorded) does not move the armed probe from the plain ftrace ops to the IPMODIFY ops. The new probe then owns the right to change the instruction pointer without having claimed it, a livepatch is accepted beside it, and when the probes leave, disarming looks in the wrong ops: the call stays in the text for good. The opposite order is clean.',
  linux: 'add_new_kprobe and disarm_kprobe_ftrace, kernel/kprobes.c (6.12): a bug, recorded',
  range: '5.4+',
  strictness: 'safe',
  remedies: ['Attach the kprobe with the post_handler first.'],
};

export const KPROBE_ARM_UNREPORTED: Rule = {
  id: 'kprobe.arm.unreported',
  title: 'Linux would say yes and not arm the probe',
  errno: 'EBUSY',
  what: 'A kprobe is refused, with the errno of what stands in its way, where Linux from 6.14 on returns 0 although it could not arm the probe: a post_handler at a function that has an IPMODIFY owner or a direct call that does not share. In `linux` strictness the probe is granted, never fires, and cannot be enabled (EINVAL).',
  why: 'When the first probe of an address cannot be armed, register_kprobe takes it from the table again. Up to 6.13 it then returned the error; since its locks are guards the jump to that return is missing, and the caller is told that all went well.',
  linux: '__register_kprobe, kernel/kprobes.c (since 54c79390119d, 6.14): a bug, read in the source',
  range: '6.14+',
  strictness: 'safe',
  remedies: ['Drop the post_handler: without one the probe chains with everybody.'],
};

export const KRETPROBE_NOT_ENTRY: Rule = {
  id: 'kretprobe.not-function-entry',
  title: 'A kretprobe must be at a function entry',
  errno: 'EINVAL',
  what: 'A kretprobe is refused anywhere but at the first instruction of a function.',
  why: 'It replaces the return address, which is on top of the stack only before the function has pushed anything.',
  linux: 'kprobe_on_func_entry from register_kretprobe, kernel/kprobes.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Give the symbol without an offset.'],
};

export const KRETPROBE_BLACKLISTED: Rule = {
  id: 'kretprobe.blacklisted',
  title: 'This function must not have a kretprobe',
  errno: 'EINVAL',
  what: 'A kretprobe is refused at `__switch_to` when the function starts without an ENDBR.',
  why: 'The function returns on another stack than it was called on. Linux compares addresses before it skips an ENDBR, so on a kernel with ENDBR the check never matches (recorded on 6.12).',
  linux: 'kretprobe_blacklist, arch/x86/kernel/kprobes/core.c; register_kretprobe, kernel/kprobes.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Use a kprobe.'],
};

export const KPROBE_EVENT_AMBIGUOUS: Rule = {
  id: 'kprobe.event.ambiguous-symbol',
  title: 'Several functions have this name',
  errno: 'EADDRNOTAVAIL',
  what: 'A kprobe through perf or tracefs is refused when its symbol names more than one address. Through tracefs 6.12 answers EINVAL.',
  why: 'Static functions of different files may share a name, and probing the first of them has surprised people. register_kprobe itself takes the first.',
  linux: 'validate_probe_symbol, kernel/trace/trace_kprobe.c (6.12)',
  range: '6.6+ (and stable)',
  strictness: 'both',
  remedies: ['Give the address of the one that is meant (`GET /v1/symbols/NAME` lists them).'],
};

export const KPROBE_EVENT_UNKNOWN: Rule = {
  id: 'kprobe.event.unknown-symbol',
  title: 'No such symbol',
  errno: 'ENOENT',
  what: 'A kprobe through perf or tracefs names a symbol that kallsyms does not have. Through tracefs 6.12 answers EINVAL.',
  why: 'The event is checked before it is registered.',
  linux: 'validate_probe_symbol, kernel/trace/trace_kprobe.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Look the name up with `GET /v1/symbols?match=…`.'],
};

export const KPROBE_EVENT_NOTRACE: Rule = {
  id: 'kprobe.event.notrace',
  title: 'A kprobe event must not be on a notrace function',
  errno: 'EINVAL',
  what: 'A kprobe through perf or tracefs is refused in a function without an ftrace site; register_kprobe accepts it.',
  why: 'Kprobe events run tracing code, and functions that tracing itself uses are marked notrace. CONFIG_KPROBE_EVENTS_ON_NOTRACE lifts the check.',
  linux: 'within_notrace_func, kernel/trace/trace_kprobe.c (6.12)',
  range: '4.20+',
  strictness: 'both',
  remedies: ['Probe a caller, or use register_kprobe (`via: "kernel"`).'],
};

export const KPROBE_MODULE_GOING: Rule = {
  id: 'kprobe.module.going',
  title: 'The module is going away',
  errno: 'ENOENT',
  what: 'A kprobe is refused in the text of a module whose exit function has been called.',
  why: 'Its text is about to be freed, and a reference to it can no longer be had.',
  linux: 'check_kprobe_address_safe, kernel/kprobes.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Load the module again, then attach.'],
};

export const KPROBE_GONE: Rule = {
  id: 'kprobe.gone',
  title: 'The probed text is gone',
  errno: 'EINVAL',
  what: 'A probe whose text went with its module, or with init text, stays registered as [GONE] and cannot be enabled.',
  why: 'There is nothing to write the breakpoint to. Another probe at the address, once text is there again, is prepared afresh and does not revive this one.',
  linux: 'enable_kprobe and kill_kprobe, kernel/kprobes.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Detach it, and attach again when the module is loaded.'],
};

export const KPROBE_RULES: readonly Rule[] = [
  KPROBE_MODULE_GOING,
  KPROBE_GONE,
  KPROBE_ADDRESS_UNKNOWN,
  KPROBE_NOT_TEXT,
  KPROBE_BLACKLISTED,
  KPROBE_JUMP_LABEL,
  KPROBE_STATIC_CALL,
  KPROBE_STATIC_CALL_TRAMPOLINE,
  KPROBE_FTRACE_CALLER,
  KPROBE_BUG_SITE,
  KPROBE_PADDING,
  KPROBE_NOT_A_BOUNDARY,
  KPROBE_NOT_COPYABLE,
  KPROBE_NOT_EMULATABLE,
  KPROBE_POST_HANDLER_MIX,
  KPROBE_ARM_UNREPORTED,
  KRETPROBE_NOT_ENTRY,
  KRETPROBE_BLACKLISTED,
  KPROBE_EVENT_AMBIGUOUS,
  KPROBE_EVENT_UNKNOWN,
  KPROBE_EVENT_NOTRACE,
];
