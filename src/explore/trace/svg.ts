import type { Trace, TraceCpu, TraceStep } from './trace.ts';

/**
 * A trace as a picture: time goes down, a row for each step; a lane for each patcher (its phases), one for each CPU (where it is), and for each place
 * that changes its bytes as memory has them and as each CPU may fetch them. Nothing but the trace is in it, so equal traces are equal pictures.
 */
export function traceSvg(trace: Trace, title: string): string {
  const plan = planOf(trace);
  const rows = trace.steps.map((step, row) => rowSvg(trace, plan, step, row)).join('');
  const width = plan.width;
  const height = TOP + trace.steps.length * ROW + BOTTOM;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<style>${STYLE}</style>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(MARGIN, 20, title, 'h'),
    headSvg(trace, plan),
    phasesSvg(trace, plan),
    placesOfCpusSvg(trace, plan),
    rows,
    endSvg(trace, height),
    '</svg>\n',
  ].join('\n');
}

const MARGIN = 10;
const TOP = 64;
const BOTTOM = 34;
const ROW = 34;
const NUMBER = 24;
const LANE = 216;
const BYTE = 22;
const GAP = 14;
/** Characters that fit into a lane. */
const LANE_CHARS = 35;

const STYLE = [
  '.h{font-size:13px;font-weight:bold}',
  '.l{font-weight:bold}',
  '.s{fill:#777;font-size:9px}',
  '.m{font-family:monospace;font-size:11px}',
  '.o{font-family:monospace;font-size:8px;fill:#b00}',
  '.v{fill:#b00;font-weight:bold}',
].join('');

/** Where what stands: left edges. */
interface Plan {
  readonly patchers: readonly number[];
  readonly cpus: readonly number[];
  /** By place: memory, then each CPU. */
  readonly bytes: readonly (readonly number[])[];
  readonly width: number;
}

function planOf({ patchers, cpus, places }: Trace): Plan {
  let x = MARGIN + NUMBER;
  const next = (width: number): number => {
    const left = x;
    x += width;
    return left;
  };
  const lanes = { patchers: patchers.map(() => next(LANE)), cpus: cpus.map(() => next(LANE)) };
  x += GAP;
  const bytes = places.map(({ length }) => [undefined, ...cpus].map(() => next(length * BYTE + GAP)));
  return { ...lanes, bytes, width: x + MARGIN };
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (words: string): string => words.replaceAll(/[&<>"]/g, (c) => ENTITIES[c] ?? c);
const text = (x: number, y: number, words: string, kind = ''): string =>
  `<text x="${x}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escaped(words)}</text>`;
const cut = (words: string): string => (words.length > LANE_CHARS ? `${words.slice(0, LANE_CHARS - 1)}…` : words);
const box = (x: number, y: number, width: number, height: number, fill: string): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}"/>`;
const topOf = (row: number): number => TOP + row * ROW;

function headSvg({ patchers, cpus, places }: Trace, plan: Plan): string {
  const y = TOP - 10;
  const lanes = [
    ...patchers.map((name, i) => text((plan.patchers[i] ?? 0) + 4, y, `patcher ${name}`, 'l')),
    ...cpus.map((name, i) => text((plan.cpus[i] ?? 0) + 4, y, `CPU ${name}`, 'l')),
  ];
  const bytes = places.flatMap(({ name, address }, i) => [
    text(plan.bytes[i]?.[0] ?? 0, y - 14, `${name} (${address})`, 'l'),
    ...['memory', ...cpus.map((cpu) => `CPU ${cpu}`)].map((who, c) => text(plan.bytes[i]?.[c] ?? 0, y, who, 's')),
  ]);
  return [...lanes, ...bytes].join('');
}

/** Rows from each step that is somebody's to the one before their next. */
function spans<T>(steps: readonly TraceStep[], of: (step: TraceStep) => T | undefined): readonly Span<T>[] {
  const found: { value: T; from: number; to: number }[] = [];
  for (const [row, step] of steps.entries()) {
    const value = of(step);
    const last = found.at(-1);
    if (value !== undefined) found.push({ value, from: row, to: row + 1 });
    else if (last !== undefined) last.to = row + 1;
  }
  return found;
}

interface Span<T> {
  readonly value: T;
  readonly from: number;
  readonly to: number;
}

/** A patcher's phase lasts until its next: that is the time in which CPUs see what it left. */
function phasesSvg({ patchers, steps }: Trace, plan: Plan): string {
  return patchers
    .flatMap((name, i) =>
      spans(steps, (step) => (step.actor === name ? step.what : undefined)).map(({ value, from, to }) =>
        box(plan.patchers[i] ?? 0, topOf(from) + 1, LANE - 4, (to - from) * ROW - 2, phaseColour(value)),
      ),
    )
    .join('');
}

function phaseColour(what: string): string {
  if (/stores|publishes|generated|freed/.test(what)) return '#ffe3b3';
  if (/serialise|waits|wants/.test(what)) return '#d5e6fb';
  return '#eeeeee';
}

function placesOfCpusSvg({ cpus, steps }: Trace, plan: Plan): string {
  return cpus
    .flatMap((_, i) => {
      let before: string | undefined;
      const changed = (step: TraceStep): TraceCpu | undefined => {
        const cpu = step.cpus[i];
        const key = JSON.stringify(cpu);
        if (key === before) return undefined;
        before = key;
        return cpu;
      };
      return spans(steps, changed).map(({ value, from, to }) => cpuSvg(value, plan.cpus[i] ?? 0, from, to));
    })
    .join('');
}

function cpuSvg(cpu: TraceCpu, x: number, from: number, to: number): string {
  const y = topOf(from) + 1;
  const height = (to - from) * ROW - 2;
  const marks = [cpu.isStale ? 'stale' : '', cpu.isPending ? 'IPI pending' : ''].filter((mark) => mark !== '');
  return [
    box(x, y, LANE - 4, height, cpuColour(cpu)),
    cpu.isStale ? box(x, y, 3, height, '#b00') : '',
    cpu.isPending ? box(x + LANE - 7, y, 3, height, '#06c') : '',
    text(x + 6, y + 28, [cpu.at, ...marks].join(' · '), 's'),
  ].join('');
}

function cpuColour({ at }: TraceCpu): string {
  if (at.endsWith('int3 handler')) return '#f6d0d0';
  if (at === 'idle' || at === 'off') return '#f4f4f4';
  return at.includes(': ') ? '#e6dcf5' : '#d9f0d9';
}

function rowSvg({ patchers, cpus, steps, violation }: Trace, plan: Plan, step: TraceStep, row: number): string {
  const y = topOf(row);
  const patcher = patchers.indexOf(step.actor);
  const x = (patcher >= 0 ? plan.patchers[patcher] : plan.cpus[cpus.indexOf(step.actor)]) ?? 0;
  const before = steps[row - 1];
  const bytes = step.bytes.map(({ now, stale }, place) => {
    const columns = plan.bytes[place] ?? [];
    const old = before?.bytes[place]?.now;
    const memory = bytesSvg(columns[0] ?? 0, y, now, (i) => (old === undefined || same(now, old, i) ? undefined : ''));
    return (
      memory + stale.map((others, c) => bytesSvg(columns[c + 1] ?? 0, y, now, (i) => others[i] || undefined)).join('')
    );
  });
  return [
    `<g><title>${escaped(`${step.actor} ${step.what}`)}</title>`,
    text(MARGIN, y + 14, String(row + 1), 's'),
    text(x + 6, y + 14, cut(step.what), violation !== undefined && row === steps.length - 1 ? 'v' : ''),
    ...bytes,
    '</g>',
  ].join('');
}

const same = (a: string, b: string, i: number): boolean => a.slice(2 * i, 2 * i + 2) === b.slice(2 * i, 2 * i + 2);

/** Bytes side by side; `mark` answers what else may be fetched for one, '' to mark it as changed. */
function bytesSvg(x: number, y: number, now: string, mark: (index: number) => string | undefined): string {
  return Array.from({ length: now.length / 2 }, (_, i) => {
    const others = mark(i);
    const left = x + i * BYTE;
    const fill = others === undefined ? '#f4f4f4' : others === '' ? '#ffe3b3' : '#f6d0d0';
    return [
      box(left, y + 3, BYTE - 2, ROW - 6, fill),
      text(left + 3, y + 15, now.slice(2 * i, 2 * i + 2), 'm'),
      others === undefined || others === '' ? '' : text(left + 3, y + 26, (others.match(/../g) ?? []).join(' '), 'o'),
    ].join('');
  }).join('');
}

const endSvg = ({ violation }: Trace, height: number): string =>
  violation === undefined
    ? text(MARGIN, height - 12, 'What must hold holds.')
    : text(MARGIN, height - 12, `${violation.property}: ${violation.detail}`, 'v');
