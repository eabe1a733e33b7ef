import type { Rule } from '../registry/index.ts';

const COMMON = { linux: 'no counterpart', range: 'all', strictness: 'both' } as const;

export const WORKLOAD_UNKNOWN: Rule = {
  ...COMMON,
  id: 'workload.unknown',
  title: 'There is no such workload',
  errno: 'ENOENT',
  what: 'The path names a workload that was never started, or is so old that its figures are no longer kept. None survives a restart.',
  why: 'The figures of a bounded number are kept.',
  remedies: ['`GET /v1/workloads` lists those that are kept; start it again.'],
};

export const WORKLOAD_NOT_YOURS: Rule = {
  ...COMMON,
  id: 'workload.not-yours',
  title: 'The workload belongs to another tenant',
  errno: 'EPERM',
  what: 'Stopping a workload is refused to tenants other than the one that started it.',
  why: 'It would end what somebody else measures with.',
  remedies: ['Ask its client, or use an administrator’s token.'],
};

export const WORKLOAD_QUOTA: Rule = {
  ...COMMON,
  id: 'quota.workloads',
  title: 'Too many workloads run',
  errno: 'EAGAIN',
  what: 'A further workload is refused while as many run as the service allows at once.',
  why: 'Each has a thread with two copies of the kernel’s data of its own.',
  remedies: [
    'Stop one, or wait: each ends by itself when its time is up.',
    'Give one workload more CPUs and more functions.',
  ],
};

export const WORKLOAD_RULES: readonly Rule[] = [WORKLOAD_UNKNOWN, WORKLOAD_NOT_YOURS, WORKLOAD_QUOTA];
