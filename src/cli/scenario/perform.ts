/** One step of a scenario: the request, and what came of it in words that `expect` can be compared with. */
import type { Answer, AttachRequest, CallRequest, PlanRequest, Problem } from '../../client/index.ts';
import type { Cast } from './cast.ts';
import { type ActionStep, actionOf } from './scenario-file.ts';

export interface Happened {
  /** For people. */
  readonly said: string;
  readonly outcome: 'granted' | 'refused' | 'skipped';
  readonly verdict?: string;
  readonly problem?: Problem;
  readonly warned?: boolean;
  readonly fired?: readonly string[];
  readonly owners?: readonly string[];
  readonly returnValue?: string | null;
  readonly pristine?: boolean;
}

export interface Actor {
  readonly cast: Cast;
  readonly client: string;
  /** '' outside `together`, else that of the copy. */
  readonly scope: string;
}

const refused = (problem: Problem): Happened => ({
  said: `${problem.errno} ${problem.rule}${problem.holders.length > 0 ? ` (held by ${problem.holders.map((h) => h.client).join(', ')})` : ''}`,
  outcome: 'refused',
  problem,
});

const told = <T>(answer: Answer<T>, happened: (value: T) => Happened): Happened =>
  answer.ok ? happened(answer.value) : refused(answer.problem);

const granted = (said: string): Happened => ({ said, outcome: 'granted' });

async function attach(actor: Actor, step: ActionStep): Promise<Happened> {
  const { cast, scope } = actor;
  const answer = await cast.client(actor.client).attach(step.attach as unknown as AttachRequest);
  return told(answer, ({ id, verdict, warnings }) => {
    if (step.as !== undefined) cast.name(scope, step.as, id);
    return { said: `${verdict} as ${id}`, outcome: 'granted', verdict, warned: warnings.length > 0 };
  });
}

/** An attachment that was refused leaves a name without anything behind it: the step has nothing to do then. */
async function onAttachment(
  actor: Actor,
  name: string,
  act: (id: string) => Promise<Answer<unknown>>,
  said: string,
): Promise<Happened> {
  const id = actor.cast.id(actor.scope, name);
  if (id === undefined) return { said: `there is no ${name}`, outcome: 'skipped' };
  return told(await act(id), () => granted(said));
}

async function call({ cast, client }: Actor, step: ActionStep): Promise<Happened> {
  return told(await cast.client(client).call(step.call as unknown as CallRequest), (answer) => {
    const fired = answer.fired.map((each) => cast.nameOf(each.attachment));
    const said = `${answer.fault === null ? answer.returnValue : answer.fault.name}; fired ${fired.join(', ') || 'nobody'}`;
    return { said, outcome: 'granted', fired, returnValue: answer.returnValue };
  });
}

async function site({ cast, client }: Actor, place: string): Promise<Happened> {
  return told(await cast.client(client).site(place), ({ owners, original, current }) => {
    const names = owners.map((owner) => cast.nameOf(owner.attachment));
    return {
      said: `${current}, owned by ${names.join(', ') || 'nobody'}`,
      outcome: 'granted',
      owners: names,
      pristine: current === original,
    };
  });
}

async function openSession({ cast, client }: Actor, ttlMs: number): Promise<Happened> {
  return told(await cast.client(client).openSession({ ttlMs }), ({ id }) => {
    cast.useSession(client, id);
    return granted(`a lease of ${ttlMs} ms`);
  });
}

async function endSession({ cast, client }: Actor): Promise<Happened> {
  const answer = await cast.client(client).endSession(cast.session(client) ?? 'none');
  return told(answer, () => {
    cast.useSession(client, undefined);
    return granted('the session is over');
  });
}

/** Waits until the service has ended the client's session by itself. */
async function vanish({ cast, client }: Actor): Promise<Happened> {
  cast.useSession(client, undefined);
  const api = cast.client(client);
  const watching = new AbortController();
  const events = await api.events({ types: ['session'], signal: watching.signal });
  if (!events.ok) return refused(events.problem);
  try {
    // Looked for after the stream has begun, so that the end cannot fall between the two.
    for (let isFirst = true; ; isFirst = false) {
      if (!isFirst) await events.value.next();
      const sessions = await api.sessions({ limit: 1000 });
      if (!sessions.ok) return refused(sessions.problem);
      if (!sessions.value.items.some((session) => session.client === client)) return granted('its lease has run out');
    }
  } finally {
    watching.abort();
  }
}

export async function perform(actor: Actor, step: ActionStep): Promise<Happened> {
  const { cast, client } = actor;
  const api = cast.client(client);
  switch (actionOf(step)) {
    case 'attach':
      return attach(actor, step);
    case 'detach':
      return onAttachment(
        actor,
        step.detach ?? '',
        async (id) => {
          const answer = await api.detach(id);
          if (answer.ok) cast.forget(id);
          return answer;
        },
        'detached',
      );
    case 'disable':
      return onAttachment(actor, step.disable ?? '', (id) => api.setEnabled(id, false), 'disabled');
    case 'enable':
      return onAttachment(actor, step.enable ?? '', (id) => api.setEnabled(id, true), 'enabled');
    case 'plan':
      return told(await api.plan(step.plan as unknown as PlanRequest), (plan) => ({
        said: plan.wouldSucceed ? 'all would be granted' : 'it would be refused',
        outcome: plan.wouldSucceed ? 'granted' : 'refused',
      }));
    case 'call':
      return call(actor, step);
    case 'site':
      return site(actor, step.site ?? '');
    case 'openSession':
      return openSession(actor, step.openSession?.ttlMs ?? 0);
    case 'heartbeat':
      return told(await api.heartbeat(cast.session(client) ?? 'none'), () => granted('the lease begins anew'));
    case 'endSession':
      return endSession(actor);
    case 'vanish':
      return vanish(actor);
    case 'reset':
      return told(await api.reset(), () => granted('all of its attachments are gone'));
    case undefined:
      throw new Error('a step without an action');
  }
}
