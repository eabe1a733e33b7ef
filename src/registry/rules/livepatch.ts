import type { Rule } from './rule.ts';

export const LIVEPATCH_EXISTS: Rule = {
  id: 'livepatch.patch.exists',
  title: 'A patch of this name is loaded',
  errno: 'EEXIST',
  what: 'A livepatch is refused because a patch of the same name is enabled.',
  why: 'A patch is a module, and a module is loaded once.',
  linux: 'module_patient_check_exists, kernel/module/main.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Give the patch another name, or detach the one that is there.'],
};

export const LIVEPATCH_NO_SITE: Rule = {
  id: 'livepatch.function.no-site',
  title: 'The function cannot be patched',
  errno: 'EINVAL',
  what: 'A livepatch is refused when its function is unknown, has several namesakes, or has no ftrace site.',
  why: 'Livepatch redirects a function through ftrace at its entry, and has to know which function is meant.',
  linux: 'klp_find_object_symbol, kernel/livepatch/core.c; klp_patch_func, kernel/livepatch/patch.c (6.12)',
  range: '4.0+',
  strictness: 'both',
  remedies: ['List functions that can be patched with `GET /v1/symbols?attachable=livepatch`.'],
};

export const LIVEPATCH_NOT_REENABLED: Rule = {
  id: 'livepatch.patch.not-reenabled',
  title: 'A disabled patch cannot be enabled again',
  errno: 'EINVAL',
  what: 'A patch that was disabled stays disabled; it has to be loaded afresh.',
  why: 'Its removal from all functions has begun, and a patch carries state for one life.',
  linux: 'enabled_store and __klp_enable_patch, kernel/livepatch/core.c (6.12)',
  range: '5.1+',
  strictness: 'both',
  remedies: ['Detach it and attach it again.'],
};

export const LIVEPATCH_RULES: readonly Rule[] = [LIVEPATCH_EXISTS, LIVEPATCH_NO_SITE, LIVEPATCH_NOT_REENABLED];
