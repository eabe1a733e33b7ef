import type { Rule } from './rule.ts';

export const OPTION_INVALID: Rule = {
  id: 'option.invalid',
  title: 'An option the kind does not have, or a value it does not take',
  errno: 'EINVAL',
  what: 'An attach request carries an option that its kind does not know, or a value outside what the option takes.',
  why: 'A misspelt option that was ignored would be found in production.',
  linux: 'no counterpart',
  range: 'all',
  strictness: 'both',
  remedies: ['The options of each kind are in the HTTP contract and in /docs.'],
};

export const TARGET_INVALID: Rule = {
  id: 'target.invalid',
  title: 'Not a place',
  errno: 'EINVAL',
  what: 'A target is none of `symbol`, `symbol+0x10`, `0xffffffff81a3c4d0`, or the kind takes one place and got several, or there are more than 100,000.',
  why: 'A place that is guessed at would patch something else than was meant.',
  linux: 'no counterpart',
  range: 'all',
  strictness: 'both',
  remedies: ['Write places as `tcp_set_state`, `tcp_set_state+0x10` or `0x` and hex digits.'],
};

export const PLACE_UNKNOWN: Rule = {
  id: 'place.unknown',
  title: 'No such place',
  errno: 'ENOENT',
  what: 'A place names a symbol that the kernel does not have, or an address outside its text.',
  why: 'Nothing is there to be shown or changed.',
  linux: 'kallsyms_lookup_name, kernel/kallsyms.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Look the name up with `GET /v1/symbols?match=…`.'],
};

export const SYMBOL_AMBIGUOUS: Rule = {
  id: 'symbol.ambiguous',
  title: 'Several symbols have this name',
  errno: 'EADDRNOTAVAIL',
  what: 'A question about one symbol names several.',
  why: 'Static functions of different files may share a name. Linux attaches some owners to the first of them and refuses others; this service does not guess.',
  linux: 'number_of_same_symbols, kernel/trace/trace_kprobe.c (6.12)',
  range: '6.6+ (and stable)',
  strictness: 'both',
  remedies: ['Give the address of the one that is meant.'],
};

export const ATTACHMENT_UNKNOWN: Rule = {
  id: 'attachment.unknown',
  title: 'No such attachment',
  errno: 'ENOENT',
  what: 'An id is not that of an attachment that exists.',
  why: 'It was detached, or never was.',
  linux: 'no counterpart',
  range: 'all',
  strictness: 'both',
  remedies: ['List them with `GET /v1/attachments`.'],
};

export const ATTACHMENT_NOT_YOURS: Rule = {
  id: 'attachment.not-yours',
  title: 'Another tenant’s attachment',
  errno: 'EPERM',
  what: 'Detaching or changing an attachment is refused to all but its tenant and an administrator.',
  why: 'Nobody resets another’s probes.',
  linux: 'no counterpart: whoever has the file descriptor, or root, may',
  range: 'all',
  strictness: 'both',
  remedies: ['Ask its client, or use an administrator’s token.'],
};

export const ATTACHMENT_NOT_SWITCHABLE: Rule = {
  id: 'attachment.not-switchable',
  title: 'This kind cannot be disabled without detaching',
  errno: 'EOPNOTSUPP',
  what: '`PATCH {enabled}` is refused for kinds other than kprobe and kretprobe.',
  why: 'Linux has disable_kprobe; the other owners of this version are attached or not.',
  linux: 'disable_kprobe, kernel/kprobes.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Detach it and attach it again.'],
};

export const SITE_QUARANTINED: Rule = {
  id: 'site.quarantined',
  title: 'The site is quarantined',
  errno: 'EBUSY',
  what: 'Owners are refused at a site where bytes were found that no owner accounts for.',
  why: 'Writing over bytes that nobody can explain would destroy somebody’s code. The rest of the kernel goes on as before.',
  linux: 'no counterpart: ftrace turns itself off for the whole system instead',
  range: 'all',
  strictness: 'safe',
  remedies: ['Look at `GET /v1/sites/PLACE/history`; reset the image when the bytes are not wanted.'],
};

export const SITE_UNEXPECTED_BYTES: Rule = {
  id: 'site.unexpected-bytes',
  title: 'The site does not have the bytes its owners account for',
  errno: 'EBUSY',
  what: 'A change is refused because the bytes to be replaced are not those that follow from the state of the site’s owners.',
  why: 'Somebody else wrote there. Nothing was written, the site is quarantined, and everything else goes on. This is the minimum the thread of 2019 agreed on: take text_mutex, and be sure of what is being replaced.',
  linux: 'ftrace_verify_code, arch/x86/kernel/ftrace.c (6.12), after which ftrace is dead for good; BUG elsewhere',
  range: 'all',
  strictness: 'safe',
  remedies: ['Compare `expected` with `actual`; reset the image when the bytes are not wanted.'],
};

export const REQUEST_RULES: readonly Rule[] = [
  OPTION_INVALID,
  TARGET_INVALID,
  PLACE_UNKNOWN,
  SYMBOL_AMBIGUOUS,
  ATTACHMENT_UNKNOWN,
  ATTACHMENT_NOT_YOURS,
  ATTACHMENT_NOT_SWITCHABLE,
  SITE_QUARANTINED,
  SITE_UNEXPECTED_BYTES,
];
