/**
 * 32 clients race on 8 sites. Goal: each site behaves as if requests had come one at a time, in an order that agrees with who waited for whom. Method:
 * real sockets; histories recorded at the clients; each site's history searched for such an order. Two bugs that a service like this gets are put in,
 * and must be found.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ok, type Prng, seededPrng, systemClock } from '../../src/base/index.ts';
import { type Client, createClient } from '../../src/client/index.ts';
import { type Coordinator, createCoordinator } from '../../src/coordinator/index.ts';
import { createLogger, startService } from '../../src/server/index.ts';
import { builtinImage } from '../support/images.ts';
import { linearize, type Operation } from './linearizable.ts';

const SEED = Number(process.env['RACE_SEED'] ?? 20191022);
const RUNS = 100;
const RUNS_TO_FIND_A_BUG = 40;
const CLIENTS = 32;
const TURNS = 4;
const SITES = [
  'tcp_set_state',
  'vfs_read',
  'vfs_write',
  'do_mmap',
  'tcp_close',
  'schedule',
  'security_file_open',
  'tcp_v4_connect',
];

type Histories = ReadonlyMap<string, Operation[]>;
/** An operation without its times. */
type Told = Operation extends infer O
  ? O extends Operation
    ? Omit<O, 'client' | 'askedAt' | 'answeredAt'>
    : never
  : never;

const pick = <T>(random: Prng, all: readonly T[]): T => all[random.below(all.length)] as T;

class Racer {
  readonly #name: string;
  readonly #client: Client;
  readonly #random: Prng;
  readonly #histories: Histories;
  readonly #held: { readonly site: string; readonly id: string }[] = [];

  constructor(name: string, server: string, random: Prng, histories: Histories) {
    this.#name = name;
    this.#client = createClient({ server, client: name });
    this.#random = random;
    this.#histories = histories;
  }

  async race(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await this.#turn(this.#random.below(4));
    for (const { site, id } of this.#held) await this.#record(site, () => this.#detach(id));
  }

  #turn(choice: number): Promise<void> {
    const held = this.#held.length > 0 ? this.#held.splice(this.#random.below(this.#held.length), 1)[0] : undefined;
    if (choice === 0 && held !== undefined) return this.#record(held.site, () => this.#detach(held.id));
    if (held !== undefined) this.#held.push(held);
    const site = pick(this.#random, SITES);
    return this.#record(site, () => (choice === 1 ? this.#read(site) : this.#attach(site, this.#random.below(3) > 0)));
  }

  async #record(site: string, ask: () => Promise<Told>): Promise<void> {
    const askedAt = performance.now();
    const told = await ask();
    this.#histories.get(site)?.push({ client: this.#name, askedAt, answeredAt: performance.now(), ...told });
  }

  async #attach(site: string, isExclusive: boolean): Promise<Told> {
    const answer = await this.#client.attach(
      isExclusive ? { kind: 'ftrace', target: site, options: { ipmodify: true } } : { kind: 'fentry', target: site },
    );
    if (answer.ok) {
      this.#held.push({ site, id: answer.value.id });
      return { kind: 'attach', isExclusive, id: answer.value.id };
    }
    assert.equal(answer.problem.rule, 'ftrace.ipmodify.exclusive', answer.problem.detail);
    return { kind: 'attach', isExclusive, id: undefined };
  }

  async #detach(id: string): Promise<Told> {
    const answer = await this.#client.detach(id);
    assert.ok(answer.ok || answer.problem.status === 404);
    return { kind: 'detach', id, isFound: answer.ok };
  }

  async #read(site: string): Promise<Told> {
    const answer = await this.#client.site(site);
    assert.ok(answer.ok);
    return { kind: 'read', ids: answer.value.owners.map(({ attachment }) => attachment) };
  }
}

async function run(server: string, seed: number): Promise<Histories> {
  const histories: Histories = new Map(SITES.map((site) => [site, []]));
  const random = seededPrng(seed);
  const racers = Array.from(
    { length: CLIENTS },
    (_, i) => new Racer(`racer-${i}`, server, seededPrng(random.u32()), histories),
  );
  await Promise.all(racers.map((racer) => racer.race()));
  return histories;
}

const unexplained = (histories: Histories): readonly string[] =>
  [...histories].filter(([, history]) => linearize(history) === undefined).map(([site]) => site);

/** Runs `body` against a service over this coordinator. */
async function serving<T>(
  wrap: (coordinator: Coordinator) => Coordinator,
  body: (server: string) => Promise<T>,
): Promise<T> {
  const coordinator = createCoordinator({
    image: await builtinImage(),
    strictness: 'safe',
    clock: systemClock,
    prng: seededPrng(SEED),
  });
  const service = await startService({
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    log: createLogger('silent'),
    open: async () => ok(wrap(coordinator)),
  });
  try {
    assert.ok((await service.opened).ok);
    return await body(service.address);
  } finally {
    await service.stop('test over');
  }
}

async function runsUntilFound(server: string): Promise<number> {
  for (let index = 0; index < RUNS_TO_FIND_A_BUG; index++)
    if (unexplained(await run(server, SEED + index)).length > 0) return index;
  return RUNS_TO_FIND_A_BUG;
}

const BUGS: Readonly<Record<string, (coordinator: Coordinator) => Coordinator>> = {
  'a site that is read from a cache that detaching forgets to empty': (coordinator) => {
    const cache = new Map<string, ReturnType<Coordinator['site']>>();
    return {
      ...coordinator,
      attach: (...request) => coordinator.attach(...request).finally(() => cache.clear()),
      site: (place) => {
        const answer = cache.get(place) ?? coordinator.site(place);
        cache.set(place, answer);
        return answer;
      },
    };
  },
  'a detach that is acknowledged before it is done': (coordinator) => {
    const later: (() => void)[] = [];
    return {
      ...coordinator,
      site: (place) => {
        const answer = coordinator.site(place);
        later.shift()?.();
        return answer;
      },
      detach: (caller, id, options) => {
        const view = coordinator.attachment(id, false);
        if (!view.ok) return coordinator.detach(caller, id, options);
        later.push(() => void coordinator.detach(caller, id, options));
        return Promise.resolve(
          ok({ id, cost: { pokes: 0, batches: 0, syncRounds: 0, textMutexHeldUs: 0 }, sequence: 0 } as never),
        );
      },
    };
  },
};

describe('histories of 32 clients on 8 sites', () => {
  it(`are linearizable, ${RUNS} of ${RUNS}`, async () => {
    let [operations, refused] = [0, 0];
    await serving(
      (coordinator) => coordinator,
      async (server) => {
        for (let index = 0; index < RUNS; index++) {
          const histories = await run(server, SEED + index);
          const sites = unexplained(histories);
          assert.deepEqual(
            sites.map((site) => [site, histories.get(site)]),
            [],
            `replay: RACE_SEED=${SEED + index} npx tsx scripts/test.ts test/integration/linearizable.test.ts`,
          );
          for (const history of histories.values()) {
            operations += history.length;
            refused += history.filter((each) => each.kind === 'attach' && each.id === undefined).length;
          }
        }
      },
    );
    assert.ok(
      operations > RUNS * CLIENTS * TURNS - 1 && refused > RUNS,
      `${operations} operations, ${refused} refused: no race`,
    );
  });

  for (const [what, bug] of Object.entries(BUGS))
    it(`canary: ${what} is found`, async () => {
      assert.ok((await serving(bug, runsUntilFound)) < RUNS_TO_FIND_A_BUG, 'it went unnoticed');
    });
});

describe('the search', () => {
  const at = (askedAt: number, answeredAt: number) => ({ client: 'c', askedAt, answeredAt });
  const claim = (a: number, b: number, id?: string): Operation => ({
    ...at(a, b),
    kind: 'attach',
    isExclusive: true,
    id,
  });
  const read = (a: number, b: number, ...ids: readonly string[]): Operation => ({ ...at(a, b), kind: 'read', ids });

  it('finds an order where requests overlap', () => {
    assert.ok(linearize([claim(0, 9, 'x'), read(1, 2), read(3, 4, 'x'), claim(5, 6), claim(1, 8)]));
    const detach: Operation = { ...at(3, 9), kind: 'detach', id: 'x', isFound: true };
    assert.ok(linearize([claim(0, 1, 'x'), detach, claim(4, 5, 'y'), read(8, 9, 'y')]));
  });

  it('finds none where there is none', () => {
    assert.equal(linearize([claim(0, 1, 'x'), claim(2, 3, 'y')]), undefined, 'two that exclude one another');
    assert.equal(linearize([claim(0, 1)]), undefined, 'refused, and nobody is there');
    assert.equal(linearize([claim(0, 1, 'x'), read(2, 3)]), undefined, 'a read that came later and saw less');
    assert.equal(linearize([claim(0, 9, 'x'), read(1, 2, 'x'), read(3, 4)]), undefined, 'seen, then not');
  });
});
