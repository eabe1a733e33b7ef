import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELPER_PROTOTYPES, helperSymbol } from './index.ts';

test('a size follows the memory that it is the size of', () => {
  for (const { name, args } of HELPER_PROTOTYPES.values())
    for (const [i, arg] of args.entries())
      if (arg === 'ARG_CONST_SIZE' || arg === 'ARG_CONST_SIZE_OR_ZERO')
        assert.match(args[i - 1] ?? '', /_MEM(?:_OR_NULL)?$/, name);
});

test('who takes a map says which types, and the other way round', () => {
  for (const { name, args, maps } of HELPER_PROTOTYPES.values())
    assert.equal(args.includes('ARG_CONST_MAP_PTR'), maps !== undefined, name);
});

test('no helper is there twice, and each has at most five arguments', () => {
  const all = [...HELPER_PROTOTYPES.values()];
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  for (const { name, args } of all) assert.ok(args.length <= 5, name);
});

test('the function behind a helper depends on what the program is attached to', () => {
  const output = HELPER_PROTOTYPES.get(25);
  assert.ok(output !== undefined);
  assert.equal(helperSymbol(output, 'fentry'), 'bpf_perf_event_output_raw_tp');
  assert.equal(helperSymbol(output, 'tracepoint'), 'bpf_perf_event_output_tp');
  assert.equal(helperSymbol(output, 'kprobe'), 'bpf_perf_event_output');
});
