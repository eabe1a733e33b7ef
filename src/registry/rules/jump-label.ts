import type { Rule } from './rule.ts';

export const JUMP_LABEL_UNKNOWN_KEY: Rule = {
  id: 'jump_label.key.unknown',
  title: 'No static key of that name, and no static branch at that place',
  errno: 'ENOENT',
  what: 'A target of jump_label is neither a static key (a `struct static_key` that the jump table names, or a variable that holds exactly one) nor the address of a static branch’s instruction.',
  why: 'A static key is known by its branches; a variable without any cannot be told from other data.',
  linux:
    'no counterpart: the key is a C variable; its branches are the jump_entry records of kernel/jump_label.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Name the key (`bpf_stats_enabled_key`), or a branch of it as `function+0x10`.'],
};

export const JUMP_LABEL_AMBIGUOUS_KEY: Rule = {
  id: 'jump_label.key.ambiguous',
  title: 'The name stands for several static keys',
  errno: 'EADDRNOTAVAIL',
  what: 'A target of jump_label is an array or a structure with several static keys, or several variables have that name.',
  why: 'Each key is switched by itself, and a key that was not meant may stop the machine.',
  linux: 'no counterpart: C names one variable',
  range: 'all',
  strictness: 'both',
  remedies: ['Give the address of the key, or a branch of it as `function+0x10`.'],
};

export const JUMP_LABEL_KEY_HELD: Rule = {
  id: 'jump_label.key.held',
  title: 'Others hold the static key up',
  errno: 'EBUSY',
  what: 'Switching a static key off is refused while another owner holds it up.',
  why: 'Linux warns and leaves the key on when it has several users, and takes it away from a single one, whose own release then warns.',
  linux: 'static_key_disable_cpuslocked, kernel/jump_label.c (6.12), which has no errno',
  range: 'all',
  strictness: 'safe',
  remedies: ['Wait until the holders have left.'],
};

export const JUMP_LABEL_BUG: Rule = {
  id: 'jump_label.site.bug',
  title: 'A static branch does not have the bytes of its key’s state',
  errno: 'EFAULT',
  what: 'A static key is not switched because one of its branches is neither the jump nor the NOP that follows from the key’s state.',
  why: 'Linux stops with BUG while it holds text_mutex and jump_label_mutex: whoever wants to change text afterwards waits for ever. The service writes nothing and answers instead.',
  linux: '__jump_label_patch, arch/x86/kernel/jump_label.c (6.12): BUG, no errno',
  range: 'all',
  strictness: 'linux',
  remedies: ['Remove what stands there: `GET /v1/sites/PLACE` names it.'],
};

export const JUMP_LABEL_RULES: readonly Rule[] = [
  JUMP_LABEL_UNKNOWN_KEY,
  JUMP_LABEL_AMBIGUOUS_KEY,
  JUMP_LABEL_KEY_HELD,
  JUMP_LABEL_BUG,
];
