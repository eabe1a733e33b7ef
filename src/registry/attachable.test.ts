import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtinImage } from '../../test/support/images.ts';
import { attachable } from './attachable.ts';
import { makeWorld } from './world.ts';

/** Goal: the listing says of each function what an attach request would say, before anybody holds it. */
const FUNCTIONS = [
  { name: 'tcp_set_state', can: ['kprobe', 'ftrace', 'fentry', 'livepatch'] },
  { name: 'bpf_modify_return_test', can: ['kprobe', 'ftrace', 'fentry', 'fmodRet', 'livepatch'] },
  { name: 'security_file_open', can: ['kprobe', 'ftrace', 'fentry', 'fmodRet', 'livepatch'] },
  { name: 'do_exit', can: ['kprobe', 'ftrace', 'fentry', 'livepatch'] },
  { name: 'linux_banner', can: [] },
] as const;

for (const { name, can } of FUNCTIONS)
  test(`${name} takes ${can.join(', ') || 'nothing'}`, async () => {
    const world = makeWorld(await builtinImage(), { strictness: 'safe' });
    const symbol = world.image.symbols.byName(name)[0];
    assert.ok(symbol !== undefined);
    const { why, ...kinds } = attachable(world, symbol);
    assert.deepEqual(
      Object.entries(kinds).flatMap(([kind, is]) => (is ? [kind] : [])),
      can,
    );
    const reasons = Object.keys(kinds).filter((kind) => kind in why);
    assert.deepEqual(
      reasons,
      Object.keys(kinds).filter((kind) => !can.includes(kind as never)),
      'a reason for each that is not possible',
    );
  });
