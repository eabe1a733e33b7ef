import type { Rule } from './rule.ts';

export const STATIC_CALL_UNKNOWN: Rule = {
  id: 'static_call.key.unknown',
  title: 'No such static call',
  errno: 'ENOENT',
  what: 'A target of static_call is neither the name of a static call, with or without `__SCT__` or `__SCK__`, nor the address of one of its sites or of its trampoline.',
  why: 'Only places that the kernel was built to update follow a key.',
  linux: 'no counterpart: the key is a C variable, `__SCK__name` (include/linux/static_call.h, 6.12)',
  range: '5.10+',
  strictness: 'both',
  remedies: ['List them with `GET /v1/symbols?match=__SCT__*`.'],
};

export const STATIC_CALL_TARGET: Rule = {
  id: 'static_call.function.not-text',
  title: 'The function of a static call is not kernel text',
  errno: 'EINVAL',
  what: 'Option `to` of static_call is neither NULL nor a place in kernel text.',
  why: 'Every site would call it at once. Linux trusts the type of the C function and looks at nothing.',
  linux: 'static_call_update, include/linux/static_call.h (6.12): the compiler’s check',
  range: '5.10+',
  strictness: 'both',
  remedies: ['Name a function, `__static_call_return0`, or `NULL`; leave `to` out for a function that counts.'],
};

export const STATIC_CALL_BUG: Rule = {
  id: 'static_call.site.bug',
  title: 'A static call does not have the bytes of its key’s function',
  errno: 'EFAULT',
  what: 'A static call is not updated because its trampoline or one of its sites has other bytes than its function asks for.',
  why: 'Linux stops with BUG while it holds text_mutex: whoever wants to change text afterwards waits for ever, and sites updated before stay updated. The service writes nothing and answers instead.',
  linux: '__static_call_validate, arch/x86/kernel/static_call.c (6.12): BUG, no errno',
  range: '5.10+',
  strictness: 'linux',
  remedies: ['Remove what stands there: `GET /v1/sites/PLACE` names it.'],
};

export const STATIC_CALL_RULES: readonly Rule[] = [STATIC_CALL_UNKNOWN, STATIC_CALL_TARGET, STATIC_CALL_BUG];
