import { ScenarioError } from '../scenario/assemble.ts';
import type { Layout } from '../scenario/layout.ts';
import type { TextSpec } from '../scenario/scenario.ts';
import { type Frame, fire } from './cpu-state.ts';
import { resume } from './flow.ts';
import type { Shared } from './shared.ts';

/** Two steps: asleep, a task keeps no rcu_tasks waiting, however long that is. With an owner it is a sleepable program of theirs. */
function sleepOrWake(layout: Layout, spec: TextSpec, frame: Frame): BuiltinEffect {
  if (frame.kind !== 'task') throw new ScenarioError(`${spec.name} sleeps in an interrupt`);
  if (frame.isAsleep !== true) return { frame: { ...frame, isAsleep: true }, what: 'goes to sleep' };
  const { isAsleep: _, ...awake } = frame;
  const ran = spec.owner === undefined ? awake : fire(awake, layout.owners.indexOf(spec.owner));
  return { frame: resume(ran, { kind: 'ret' }), what: 'wakes up and returns' };
}

export interface BuiltinEffect {
  readonly frame: Frame;
  readonly what: string;
}

/** What a place that has no code does; all but `indirect` return to their caller. */
export function runBuiltin(layout: Layout, spec: TextSpec, frame: Frame, shared: Shared): BuiltinEffect {
  const back = (changed: Frame, what: string): BuiltinEffect => ({
    frame: resume(changed, { kind: 'ret' }),
    what,
  });
  const value = shared.variables[spec.variable ?? ''] ?? '';
  switch (spec.does) {
    case 'callback':
      return back(fire(frame, layout.owners.indexOf(spec.owner ?? '')), `runs ${spec.owner}`);
    case 'list': {
      const owners = [value].flat().filter((name) => name !== '');
      const after = owners.reduce((now, name) => fire(now, layout.owners.indexOf(name)), frame);
      return back(after, `runs the list: ${owners.join(' ') || 'nobody'}`);
    }
    case 'indirect': {
      const name = String(value);
      const target = layout.places.get(name);
      if (target === undefined) return back(frame, `finds no ${spec.variable}`);
      return { frame: { ...frame, rip: target }, what: `jumps to ${name}` };
    }
    case 'sleep':
      return sleepOrWake(layout, spec, frame);
    case 'trace-enter':
      return back({ ...frame, trace: frame.trace + 1 }, 'rcu_read_lock_trace');
    case 'trace-exit':
      return back({ ...frame, trace: frame.trace - 1 }, 'rcu_read_unlock_trace');
    case 'ref-get':
      return back({ ...frame, refs: frame.refs + 1 }, 'takes a reference to the image');
    case 'ref-put':
      return back({ ...frame, refs: frame.refs - 1 }, 'drops its reference to the image');
    default:
      throw new ScenarioError(`${spec.name} does nothing`);
  }
}
