import type { Rule } from './rule.ts';

export const LIVEPATCH_EXISTS: Rule = {
  id: 'livepatch.patch.exists',
  title: 'A patch of this name is loaded',
  errno: 'EEXIST',
  what: 'A livepatch is refused because a patch of the same name is loaded, enabled or not.',
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

export const LIVEPATCH_IN_TRANSITION: Rule = {
  id: 'livepatch.transition.in-progress',
  title: 'Another patch is in transition',
  errno: 'EBUSY',
  what: 'While tasks are still going over to one patch, or back from it, no other patch is enabled or disabled.',
  why: 'A task has one patch state. It says on which side of the transition the task is, so there can be one transition at a time.',
  linux: '__klp_enable_patch and __klp_disable_patch, kernel/livepatch/core.c (6.12)',
  range: '4.12+',
  strictness: 'both',
  remedies: [
    'Wait until the transition is over: `GET /v1/attachments/ID` names the tasks it waits for.',
    'Reverse it with `PATCH /v1/attachments/ID {"enabled": …}`.',
    'Force it with `PATCH /v1/attachments/ID {"force": true}`, which gives up consistency.',
  ],
};

export const LIVEPATCH_NOT_IN_TRANSITION: Rule = {
  id: 'livepatch.transition.none',
  title: 'The patch is not in transition',
  errno: 'EINVAL',
  what: 'Only a patch whose transition is going on can be forced.',
  why: 'There are no tasks left that could be made to go over.',
  linux: 'force_store, kernel/livepatch/core.c (6.12)',
  range: '4.15+',
  strictness: 'both',
  remedies: ['`livepatch.transition` of the attachment says whether it is in transition.'],
};

export const LIVEPATCH_SAME_STATE: Rule = {
  id: 'livepatch.patch.same-state',
  title: 'The patch is in that state already',
  errno: 'EINVAL',
  what: 'An enabled patch is not enabled again, nor a disabled one disabled.',
  why: 'The write asks for a transition, and there is none to be made.',
  linux: 'enabled_store, kernel/livepatch/core.c (6.12)',
  range: '4.0+',
  strictness: 'both',
  remedies: ['Read `enabled` of the attachment first.'],
};

export const LIVEPATCH_TWICE: Rule = {
  id: 'livepatch.function.twice',
  title: 'One patch names a function twice',
  errno: 'EEXIST',
  what: 'A livepatch is refused when its list has the same function more than once.',
  why: 'Each function of a patch has a directory of its name in sysfs, and there cannot be two.',
  linux: 'klp_init_func, kernel/livepatch/core.c (6.12), from kobject_add',
  range: 'all',
  strictness: 'both',
  remedies: ['Name each function once.'],
};

export const LIVEPATCH_IN_USE: Rule = {
  id: 'livepatch.module.in-use',
  title: 'Tasks still run the patch',
  errno: 'EAGAIN',
  what: 'A livepatch is not detached while it is in transition, or when tasks could not all leave it at once.',
  why: 'Detaching unloads its module, and the module is referenced until no task runs its functions.',
  linux: 'delete_module, kernel/module/main.c; klp_free_patch_finish, kernel/livepatch/core.c (6.12)',
  range: '4.12+',
  strictness: 'both',
  remedies: [
    'Begin with `PATCH /v1/attachments/ID {"enabled": false}` and detach when its transition is over.',
    'Let the tasks go on: `PATCH /v1/tasks/ID {"stack": []}`.',
  ],
};

export const LIVEPATCH_FORCED: Rule = {
  id: 'livepatch.module.forced',
  title: 'The transition was forced, so the code stays',
  errno: 'EAGAIN',
  what: 'A patch out of which tasks were forced cannot be detached, ever.',
  why: 'Nobody knows whether a task still sleeps in its functions, so its module is never freed.',
  linux: 'klp_force_transition, kernel/livepatch/transition.c; klp_free_patch_finish, kernel/livepatch/core.c (6.12)',
  range: '4.16+',
  strictness: 'both',
  remedies: ['Only a new kernel helps: `POST /v1/image/reset?all=true`.'],
};

export const LIVEPATCH_RULES: readonly Rule[] = [
  LIVEPATCH_EXISTS,
  LIVEPATCH_NO_SITE,
  LIVEPATCH_TWICE,
  LIVEPATCH_NOT_REENABLED,
  LIVEPATCH_SAME_STATE,
  LIVEPATCH_IN_TRANSITION,
  LIVEPATCH_NOT_IN_TRANSITION,
  LIVEPATCH_IN_USE,
  LIVEPATCH_FORCED,
];
