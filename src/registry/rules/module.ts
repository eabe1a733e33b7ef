import type { Rule } from './rule.ts';

export const MODULE_MALFORMED: Rule = {
  id: 'module.malformed',
  title: 'Not a module for this machine',
  errno: 'ENOEXEC',
  what: 'A module is refused when its file is no relocatable x86-64 ELF, or a section, symbol or relocation of it does not hold. The answer names the section and the offset.',
  why: 'What a module says of itself is followed while it is laid out and relocated; one wrong offset would write somewhere else.',
  linux: 'elf_validity_cache_copy, kernel/module/main.c; __write_relocate_add, arch/x86/kernel/module.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Load the .ko that the kernel build made, unpacked or as .ko.xz or .ko.gz.'],
};

export const MODULE_VERMAGIC: Rule = {
  id: 'module.vermagic',
  title: 'Built for another kernel',
  errno: 'ENOEXEC',
  what: 'A module is refused when its vermagic is not the kernel’s. A module with symbol versions may have another release in it, everything else has to be the same.',
  why: 'The options named there change the layout of structures that module and kernel share.',
  linux: 'check_modinfo and same_magic, kernel/module/main.c, kernel/module/version.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Build the module against this kernel’s headers.'],
};

export const MODULE_SYMBOL_UNKNOWN: Rule = {
  id: 'module.symbol.unknown',
  title: 'Needs a symbol that nobody exports to it',
  errno: 'ENOENT',
  what: 'A module is refused when it refers to a symbol that neither the kernel nor a loaded module exports, or exports to GPL modules only.',
  why: 'An address would be missing in its text. Unknown weak symbols are 0.',
  linux: 'simplify_symbols and resolve_symbol, kernel/module/main.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Load the modules that it depends on first (modprobe does).'],
};

export const MODULE_SYMBOL_VERSION: Rule = {
  id: 'module.symbol.version',
  title: 'Built against another version of a symbol',
  errno: 'EINVAL',
  what: 'A module is refused when the checksum that it was built with for a symbol is not the one that the kernel exports.',
  why: 'The checksum stands for the types of the symbol’s interface.',
  linux: 'check_version, kernel/module/version.c (6.12)',
  range: 'with CONFIG_MODVERSIONS',
  strictness: 'both',
  remedies: ['Build the module against this kernel.'],
};

export const MODULE_EXISTS: Rule = {
  id: 'module.exists',
  title: 'A module of this name is loaded',
  errno: 'EEXIST',
  what: 'A module is refused when one of the same name is live. While that one comes or goes, the answer is EBUSY.',
  why: 'Names are how modules are found.',
  linux: 'module_patient_check_exists, kernel/module/main.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Unload the one that is there.'],
};

export const MODULE_NO_ROOM: Rule = {
  id: 'module.no-room',
  title: 'No room for another module',
  errno: 'ENOMEM',
  what: 'A module is refused when its memory does not fit between the modules that are loaded.',
  why: 'Modules have to lie within 2 GiB of the kernel, for calls of 32 bits.',
  linux: 'move_module, kernel/module/main.c; execmem_alloc, mm/execmem.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Unload a module.'],
};

export const MODULE_UNKNOWN: Rule = {
  id: 'module.unknown',
  title: 'No such module',
  errno: 'ENOENT',
  what: 'There is no loaded module of that name.',
  why: 'Modules are named by their own `name`, with underscores.',
  linux: 'find_module, kernel/module/main.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['List them with `GET /v1/modules`.'],
};

export const MODULE_NOT_LIVE: Rule = {
  id: 'module.not-live',
  title: 'The module is coming or going',
  errno: 'EBUSY',
  what: 'Unloading is refused while the module’s init function has not returned; and a module that goes does not come back.',
  why: 'Its life has one direction: coming, live, going, gone.',
  linux: 'delete_module, kernel/module/main.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Set its state to live first.'],
};

export const MODULE_IN_USE: Rule = {
  id: 'module.in-use',
  title: 'The module is in use',
  errno: 'EAGAIN',
  what: 'Unloading is refused while BPF programs are attached to the module’s functions, another module uses its symbols, or somebody calls into it. Kprobes and ftrace owners do not keep a module.',
  why: 'Whoever may call into its text holds a reference, and a module with references stays. rmmod reports the errno, EWOULDBLOCK, as “module is in use”.',
  linux:
    'delete_module and try_stop_module, kernel/module/main.c; btf_try_get_module, kernel/bpf/btf.c (6.12; EAGAIN is recorded)',
  range: 'all',
  strictness: 'both',
  remedies: ['Detach the holders, and unload the modules that use it.'],
};

export const MODULE_PERMANENT: Rule = {
  id: 'module.permanent',
  title: 'The module cannot be unloaded',
  errno: 'EBUSY',
  what: 'Unloading is refused for a module that has an init function and no exit function.',
  why: 'Nobody could undo what its init function did.',
  linux: 'delete_module, kernel/module/main.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Reset the image with `POST /v1/image/reset?all=true`.'],
};

export const MODULE_LIVEPATCH: Rule = {
  id: 'module.livepatch',
  title: 'A livepatch for the module does not fit it',
  errno: 'EINVAL',
  what: 'A module is refused when an enabled livepatch names a function of it that it does not have or that has no ftrace site.',
  why: 'A patch is for all of its functions or for none; a module that cannot be patched must not run unpatched.',
  linux: 'klp_module_coming, kernel/livepatch/core.c (6.12)',
  range: '4.0+',
  strictness: 'both',
  remedies: ['Detach the livepatch, load the module, and attach one that fits.'],
};

export const MODULE_RULES: readonly Rule[] = [
  MODULE_MALFORMED,
  MODULE_VERMAGIC,
  MODULE_SYMBOL_UNKNOWN,
  MODULE_SYMBOL_VERSION,
  MODULE_EXISTS,
  MODULE_NO_ROOM,
  MODULE_UNKNOWN,
  MODULE_NOT_LIVE,
  MODULE_IN_USE,
  MODULE_PERMANENT,
  MODULE_LIVEPATCH,
];
