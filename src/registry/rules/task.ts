import type { Rule } from './rule.ts';

export const TASK_UNKNOWN: Rule = {
  id: 'task.unknown',
  title: 'No such task',
  errno: 'ESRCH',
  what: 'A request names a simulated task that does not exist, or has ended.',
  why: 'There is nothing to show or to change.',
  linux: 'find_task_by_vpid, kernel/pid.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['List tasks with `GET /v1/tasks`.'],
};

export const TASK_NOT_YOURS: Rule = {
  id: 'task.not-yours',
  title: 'The task belongs to another tenant',
  errno: 'EPERM',
  what: 'A simulated task is moved or ended only by its tenant or an administrator.',
  why: 'Others rely on where it sleeps.',
  linux: 'check_kill_permission, kernel/signal.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Use the token of its tenant, or an admin token.'],
};

export const TASK_LIMIT: Rule = {
  id: 'task.limit',
  title: 'Too many tasks',
  errno: 'EAGAIN',
  what: 'There are as many simulated tasks as the service keeps, 1,000.',
  why: 'Each attempt of a transition looks at every one.',
  linux: 'copy_process, kernel/fork.c (6.12), answers the same at max_threads',
  range: 'all',
  strictness: 'both',
  remedies: ['End tasks with `DELETE /v1/tasks/ID`.'],
};

export const TASK_PLACE: Rule = {
  id: 'task.stack.place',
  title: 'Not a place in code',
  errno: 'EFAULT',
  what: 'An element of a stack is no place, or a place outside of all text.',
  why: 'A return address points into code.',
  linux: 'stack_trace_save_tsk_reliable, kernel/stacktrace.c (6.12), takes no address outside of kernel text',
  range: 'all',
  strictness: 'both',
  remedies: ['Name functions, `vfs_read`, or addresses of code, innermost first.'],
};

export const TASK_ATOMIC: Rule = {
  id: 'task.stack.atomic',
  title: 'Nobody sleeps there',
  errno: 'EINVAL',
  what: 'A task is said to sleep in a BPF program that is not sleepable, or in a trampoline, a slot or a handler.',
  why: 'Such a program runs between rcu_read_lock and rcu_read_unlock, and the others between two instructions of their caller: a task may be preempted there, but not sleep.',
  linux: '__bpf_prog_enter, kernel/bpf/trampoline.c (6.12)',
  range: '5.10+',
  strictness: 'both',
  remedies: ['Let the task be `running`, or attach the program with `{"sleepable": true}`.'],
};

export const TASK_RULES: readonly Rule[] = [TASK_UNKNOWN, TASK_NOT_YOURS, TASK_LIMIT, TASK_PLACE, TASK_ATOMIC];
