import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { traceSvg } from './svg.ts';
import type { Trace, TraceStep } from './trace.ts';

const step = (actor: string, what: string, now: string, stale: readonly string[]): TraceStep => ({
  actor,
  kind: 'run',
  what,
  cpus: [{ at: 'f', isPending: false, isStale: stale.length > 0 }],
  bytes: [{ now, stale: [stale] }],
});

const TRACE: Trace = {
  patchers: ['A'],
  cpus: ['0'],
  places: [{ name: 'f', address: '0x1000', length: 2 }],
  steps: [
    step('A', 'wants <text_mutex> & more', '6690', []),
    step('A', 'stores int3 at 0x1000', 'cc90', ['66', '']),
    step('0', 'executes 6690 at 0x1000 (stale)', 'cc90', ['66', '']),
  ],
  violation: { property: 'no-mix', detail: 'a "mix"' },
};

const count = (svg: string, what: RegExp): number => svg.match(what)?.length ?? 0;

describe('traceSvg', () => {
  it('is XML: every element that is opened is closed, every sign that means something is escaped', () => {
    const svg = traceSvg(TRACE, 'a < b');
    const open: string[] = [];
    for (const [, slash, name, rest] of svg.matchAll(/<(\/?)([a-z]+)([^<>]*)>/g)) {
      if (slash === '/') assert.equal(open.pop(), name);
      else if (rest?.endsWith('/') !== true) open.push(name ?? '');
    }
    assert.deepEqual(open, []);
    assert.ok(svg.includes('wants &lt;text_mutex&gt; &amp; more'));
    assert.doesNotMatch(svg.replaceAll(/<[^<>]*>/g, ''), /[<>]/);
  });

  it('shows each step, each lane, what memory has and what a CPU may fetch instead', () => {
    const svg = traceSvg(TRACE, 'int3');
    for (const words of ['patcher A', 'CPU 0', 'f (0x1000)', 'stores int3 at 0x1000', 'no-mix: a &quot;mix&quot;'])
      assert.ok(svg.includes(words), words);
    assert.equal(count(svg, />cc<\/text>/g), 4);
    assert.equal(count(svg, /class="o">66</g), 2);
    assert.equal(count(svg, /f · stale/g), 1);
  });

  it('is the same for the same trace', () => {
    assert.equal(traceSvg(TRACE, 'x'), traceSvg(structuredClone(TRACE), 'x'));
  });
});
