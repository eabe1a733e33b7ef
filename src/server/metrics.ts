/** Prometheus metrics. Labels come from closed sets only (kinds, rules, routes): never a symbol, an address or a client. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CallTotals, Coordinator, ServiceEvent, TextMutexListener, TextMutexView } from '../coordinator/index.ts';
import type { EventHub } from './event-hub.ts';

export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
  observeRequest(
    labels: { readonly method: string; readonly route: string; readonly status: number },
    seconds: number,
  ): void;
  /** Starts to follow the coordinator's events. */
  start(coordinator: Coordinator): void;
}

const DURATIONS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const MUTEX_SECONDS = [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

export function createMetrics(version: string, events: EventHub): Metrics {
  const registry = new Registry();
  const registers = [registry];
  let coordinator: Coordinator | undefined;
  collectDefaultMetrics({ register: registry, prefix: 'ktextd_' });
  const http = new Histogram({
    name: 'ktextd_http_request_duration_seconds',
    help: 'Time from request to answer',
    labelNames: ['method', 'route', 'status'],
    buckets: DURATIONS_SECONDS,
    registers,
  });
  new Gauge({ name: 'ktextd_build_info', help: 'Version of the service', labelNames: ['version'], registers }).set(
    { version },
    1,
  );
  addReaderMetrics(registers, events);
  const mutex = addTextMutexMetrics(registers, () => coordinator?.textMutex());
  addCallMetrics(registers, () => coordinator?.callTotals());
  addFaultMetrics(registers, () => coordinator);
  const follow = addEventMetrics(registers, () => coordinator);
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    observeRequest({ method, route, status }, seconds) {
      http.observe({ method, route, status: String(status) }, seconds);
    },
    start(started) {
      coordinator = started;
      started.onEvent(follow);
      started.onTextMutex(mutex);
    },
  };
}

function addReaderMetrics(registers: Registry[], events: EventHub): void {
  new Gauge({
    name: 'ktextd_sse_readers',
    help: 'Open event streams',
    registers,
    collect() {
      this.set(events.readers);
    },
  });
  new Counter({
    name: 'ktextd_sse_readers_dropped_total',
    help: 'Event streams ended because their reader fell behind',
    registers,
    collect() {
      this.reset();
      this.inc(events.dropped);
    },
  });
}

function addCallMetrics(registers: Registry[], totals: () => CallTotals | undefined): void {
  new Counter({
    name: 'ktextd_calls_total',
    help: 'Calls of functions on simulated CPUs, by what they ended with',
    labelNames: ['ended'],
    registers,
    collect() {
      this.reset();
      for (const [ended, count] of Object.entries(totals()?.calls ?? {})) this.inc({ ended }, count);
    },
  });
  new Counter({
    name: 'ktextd_hits_total',
    help: 'Times attachments ran in calls, by kind',
    labelNames: ['kind'],
    registers,
    collect() {
      this.reset();
      for (const [kind, count] of Object.entries(totals()?.hits ?? {})) this.inc({ kind }, count);
    },
  });
  new Counter({
    name: 'ktextd_misses_total',
    help: 'Times attachments would have run in calls and did not, by kind and reason',
    labelNames: ['kind', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const { kind, reason, count } of totals()?.misses ?? []) this.inc({ kind, reason }, count);
    },
  });
}

function addFaultMetrics(registers: Registry[], coordinator: () => Coordinator | undefined): void {
  new Gauge({
    name: 'ktextd_fault_injection_enabled',
    help: '1: the service was started with --inject-faults, and is no place for anything but tests',
    registers,
    collect() {
      this.set(coordinator()?.faultInjection() === true ? 1 : 0);
    },
  });
  new Counter({
    name: 'ktextd_injected_faults_total',
    help: 'Faults that happened because somebody injected them, by name',
    labelNames: ['name'],
    registers,
    collect() {
      this.reset();
      for (const [name, count] of Object.entries(coordinator()?.faultTotals() ?? {})) this.inc({ name }, count);
    },
  });
}

function addTextMutexMetrics(registers: Registry[], view: () => TextMutexView | undefined): TextMutexListener {
  const wait = sampled(registers, 'ktextd_text_mutex_wait_seconds', 'Time commands waited for text_mutex');
  const hold = sampled(registers, 'ktextd_text_mutex_hold_seconds', 'Time commands held text_mutex');
  new Gauge({
    name: 'ktextd_text_mutex_waiters',
    help: 'Commands that wait for text_mutex',
    registers,
    collect() {
      this.set(view()?.waiting.length ?? 0);
    },
  });
  new Counter({
    name: 'ktextd_text_mutex_acquisitions_total',
    help: 'Times text_mutex was taken',
    registers,
    collect() {
      this.reset();
      this.inc(view()?.acquisitions ?? 0);
    },
  });
  return { onAcquired: (waitMs) => wait(waitMs / 1000), onReleased: (holdMs) => hold(holdMs / 1000) };
}

/** Samples that a histogram takes at a time: while text_mutex is held there are better things to do. */
const SAMPLES = 512;

/** A histogram of seconds, and what adds a sample to it. */
function sampled(registers: Registry[], name: string, help: string): (seconds: number) => void {
  const samples: number[] = [];
  const take = (): void => {
    for (const seconds of samples.splice(0)) histogram.observe(seconds);
  };
  const histogram = new Histogram({ name, help, buckets: MUTEX_SECONDS, registers, collect: take });
  return (seconds) => {
    if (samples.push(seconds) >= SAMPLES) take();
  };
}

const word = (value: unknown, fallback: string): string => (typeof value === 'string' ? value : fallback);

/** Counts decisions and pokes by following the events; returns the follower. */
function addEventMetrics(
  registers: Registry[],
  coordinator: () => Coordinator | undefined,
): (event: ServiceEvent) => void {
  const decisions = new Counter({
    name: 'ktextd_decisions_total',
    help: 'Attach requests decided, by verdict and by the rule that refused',
    labelNames: ['verdict', 'rule'],
    registers,
  });
  const pokes = new Counter({ name: 'ktextd_pokes_total', help: 'Text writes', registers });
  const quarantined = new Counter({
    name: 'ktextd_quarantined_total',
    help: 'Sites found with foreign bytes',
    registers,
  });
  const kinds = new Map<string, string>();
  const attachments = new Gauge({
    name: 'ktextd_attachments',
    help: 'Attachments held, by kind',
    labelNames: ['kind'],
    registers,
    collect() {
      this.reset();
      for (const kind of kinds.values()) this.inc({ kind });
    },
  });
  new Gauge({
    name: 'ktextd_kernel_info',
    help: 'The kernel whose text is served',
    labelNames: ['release', 'profile', 'strictness'],
    registers,
    collect() {
      const image = coordinator()?.image();
      if (image === undefined) return;
      const { release, profile, strictness } = image;
      this.reset();
      this.set({ release, profile, strictness }, 1);
    },
  });
  attachments.reset();
  return ({ type, data }) => {
    const id = word(data['attachment'], '');
    if (type === 'attached') {
      kinds.set(id, word(data['kind'], 'unknown'));
      decisions.inc({ verdict: word(data['verdict'], 'attached'), rule: '' });
    } else if (type === 'detached') {
      kinds.delete(id);
    } else if (type === 'rejected') {
      decisions.inc({ verdict: 'refused', rule: word(data['rule'], 'unknown') });
    } else if (type === 'poke') {
      pokes.inc(typeof data['count'] === 'number' ? data['count'] : 1);
    } else if (type === 'image' && data['reset'] === 'all') {
      kinds.clear();
    } else if (type === 'quarantined') {
      quarantined.inc();
    }
  };
}
