/**
 * Eight clients over real sockets, attaching to and detaching from the same few functions at once. Goal: whatever the order, every changed
 * byte has an owner after each round, what is exclusive has one winner, losers learn who holds it, and in the end the text is as it was.
 * Method: the real server and coordinator on the built-in kernel; what each client asks for follows from a seed, the order does not.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ok, type Prng, seededPrng } from '../../src/base/index.ts';
import type {
  AttachAnswer,
  AttachmentView,
  AuditView,
  Coordinator,
  Page,
  Problem,
  SiteView,
} from '../../src/coordinator/index.ts';
import { createLogger, type RunningService, startService } from '../../src/server/index.ts';
import { testCoordinator } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';

const SEED = Number(process.env['RACE_SEED'] ?? 20191022);
const REPLAY = `replay: RACE_SEED=${SEED} npx tsx scripts/test.ts test/integration/racing-clients.test.ts`;
const CLIENTS = 8;
const ROUNDS = 25;
const REQUESTS_PER_ROUND = 4;

let service: RunningService;
let coordinator: Coordinator;

interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

async function ask<T>(client: string, method: string, path: string, body?: unknown): Promise<Answer<T>> {
  const response = await fetch(`${service.address}${path}`, {
    method,
    headers: { 'x-ktextd-client': client, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

const attach = (client: string, request: unknown): Promise<Answer<AttachAnswer & Problem>> =>
  ask(client, 'POST', '/v1/attachments', request);

const detach = (client: string, id: string): Promise<Answer<Problem>> => ask(client, 'DELETE', `/v1/attachments/${id}`);

async function audit(): Promise<AuditView> {
  const { status, body } = await ask<AuditView>('auditor', 'GET', '/v1/audit');
  assert.equal(status, 200);
  return body;
}

const pick = <T>(random: Prng, all: readonly T[]): T => all[random.below(all.length)] as T;

const FUNCTIONS = ['tcp_set_state', 'vfs_read', 'do_mmap'];

/** A request that meets others at the entry or in the body. */
function anyRequest(random: Prng): { readonly kind: string; readonly target: unknown; readonly options?: unknown } {
  const target = pick(random, FUNCTIONS);
  switch (random.below(8)) {
    case 0:
      return { kind: 'kprobe', target };
    case 1:
      return { kind: 'kprobe', target, options: { postHandler: true } };
    case 2:
      return { kind: 'kprobe', target: `${target}+0x9` };
    case 3:
      return { kind: 'kretprobe', target };
    case 4:
      return { kind: 'ftrace', target: FUNCTIONS, options: { saveRegs: random.below(2) === 0 } };
    case 5:
      return { kind: 'ftrace', target, options: { ipmodify: true } };
    case 6:
      return { kind: 'ftrace_direct', target, options: { sharesIpmodify: random.below(2) === 0 } };
    default:
      return { kind: 'fentry', target };
  }
}

/** One client and what it holds. */
class Racer {
  readonly name: string;
  readonly held: string[] = [];
  granted = 0;
  refused = 0;
  readonly #random: Prng;

  constructor(index: number) {
    this.name = `client-${index}`;
    this.#random = seededPrng(SEED + index);
  }

  async round(): Promise<void> {
    for (let i = 0; i < REQUESTS_PER_ROUND; i++) {
      if (this.held.length > 0 && this.#random.below(5) < 2) await this.#leave(this.#random.below(this.held.length));
      else await this.#enter();
    }
  }

  async #enter(): Promise<void> {
    const request = anyRequest(this.#random);
    const { status, body } = await attach(this.name, request);
    if (status === 201) {
      this.granted += 1;
      this.held.push(body.id);
      return;
    }
    this.refused += 1;
    assert.equal(status, 409, `${JSON.stringify(request)}: ${JSON.stringify(body)}\n${REPLAY}`);
    assert.equal(body.errno, 'EBUSY');
    assert.ok(body.holders.length > 0, `${body.rule} names no holder`);
  }

  async #leave(index: number): Promise<void> {
    const [id = ''] = this.held.splice(index, 1);
    const { status, body } = await detach(this.name, id);
    assert.equal(status, 200, `${JSON.stringify(body)}\n${REPLAY}`);
  }

  async leaveAll(): Promise<void> {
    while (this.held.length > 0) await this.#leave(this.#random.below(this.held.length));
  }
}

async function checkRound(racers: readonly Racer[]): Promise<void> {
  const { orphans } = await audit();
  assert.deepEqual(orphans, [], REPLAY);
  const { body: listed } = await ask<Page<AttachmentView>>('auditor', 'GET', '/v1/attachments?limit=1000');
  const live = racers.flatMap(({ held }) => held).sort();
  assert.deepEqual(listed.items.map(({ id }) => id).sort(), live, REPLAY);
  for (const name of FUNCTIONS) await checkExclusive(name, listed.items);
}

/** Whoever won: one owner that may change the instruction pointer, one direct owner; and the budget says so. */
async function checkExclusive(name: string, attachments: readonly AttachmentView[]): Promise<void> {
  const { body: site } = await ask<SiteView>('auditor', 'GET', `/v1/sites/${name}`);
  const owners = site.owners.map(({ attachment }) => attachments.find(({ id }) => id === attachment));
  const ipmodify = owners.filter((owner) => owner?.options['ipmodify'] === true).length;
  const hasPostHandler = owners.some((owner) => owner?.options['postHandler'] === true) ? 1 : 0;
  const direct = owners.filter((owner) => owner?.kind === 'ftrace_direct').length;
  const hasBpf = owners.some((owner) => owner?.kind === 'fentry') ? 1 : 0;
  assert.ok(ipmodify + hasPostHandler <= 1, `${name}: two may change the instruction pointer\n${REPLAY}`);
  assert.ok(direct + hasBpf <= 1, `${name}: two direct owners\n${REPLAY}`);
  if (ipmodify + hasPostHandler === 1) assert.equal(site.budget['ipmodify'], 0);
  assert.equal(site.budget['direct'], 1 - direct - hasBpf);
}

const everyClient = <T>(work: (client: string) => Promise<T>): Promise<readonly T[]> =>
  Promise.all(Array.from({ length: CLIENTS }, (_, index) => work(`client-${index}`)));

/** A probe that was a jump leaves text when the optimizer runs, and its clock stands still here. */
async function nothingLeft(): Promise<void> {
  await coordinator.waitForKprobeOptimizer();
  const { differing, orphans } = await audit();
  assert.deepEqual({ differing, orphans }, { differing: 0, orphans: [] });
}

describe('eight clients at once', () => {
  before(async () => {
    coordinator = testCoordinator(await builtinImage(), 'safe', SEED);
    service = await startService({
      listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      log: createLogger('silent'),
      open: async () => ok(coordinator),
    });
    assert.ok((await service.opened).ok);
  });

  after(() => service.stop('test ended'));

  it('leave every byte accounted for, round after round, and pristine text in the end', async () => {
    const racers = Array.from({ length: CLIENTS }, (_, index) => new Racer(index));
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(racers.map((racer) => racer.round()));
      await checkRound(racers);
    }
    await Promise.all(racers.map((racer) => racer.leaveAll()));
    await nothingLeft();
    const granted = racers.reduce((sum, racer) => sum + racer.granted, 0);
    const refused = racers.reduce((sum, racer) => sum + racer.refused, 0);
    assert.ok(granted > 100 && refused > 50, `${granted} granted, ${refused} refused: nobody met anybody`);
  });

  it('race for IPMODIFY: one wins, seven learn who', async () => {
    const answers = await everyClient((client) =>
      attach(client, { kind: 'ftrace', target: 'tcp_set_state', options: { ipmodify: true, saveRegs: true } }),
    );
    const won = answers.filter(({ status }) => status === 201);
    assert.equal(won.length, 1);
    const winner = won[0]?.body;
    for (const { status, body } of answers) {
      if (status === 201) continue;
      assert.deepEqual({ status, rule: body.rule }, { status: 409, rule: 'ftrace.ipmodify.exclusive' });
      assert.deepEqual(
        body.holders.map((holder) => [holder.attachment, holder.client]),
        [[winner?.id, winner?.client]],
      );
    }
    await detach(winner?.client ?? '', winner?.id ?? '');
    await nothingLeft();
  });

  it('meet a kprobe with a post_handler: fentry shares with it, IPMODIFY is refused and told who holds it', async () => {
    const kprobe = await attach('prober', { kind: 'kprobe', target: 'tcp_set_state', options: { postHandler: true } });
    assert.equal(kprobe.status, 201);
    const answers = await everyClient((client) =>
      Number(client.slice(-1)) % 2 === 0
        ? attach(client, { kind: 'fentry', target: 'tcp_set_state' })
        : attach(client, { kind: 'ftrace', target: 'tcp_set_state', options: { ipmodify: true, saveRegs: true } }),
    );
    for (const [index, { status, body }] of answers.entries()) {
      if (index % 2 === 0) {
        assert.deepEqual({ status, verdict: body.verdict }, { status: 201, verdict: 'shared' });
        continue;
      }
      assert.deepEqual([status, body.errno, body.rule], [409, 'EBUSY', 'ftrace.ipmodify.exclusive']);
      assert.deepEqual(
        body.holders.map((holder) => [holder.attachment, holder.kind, holder.client]),
        [[kprobe.body.id, 'kprobe', 'prober']],
      );
    }
    assert.deepEqual((await audit()).orphans, []);
    const leaving = answers.flatMap(({ status, body }) => (status === 201 ? [body.id] : []));
    await Promise.all([kprobe.body.id, ...leaving].map((id) => detach('prober', id)));
    await nothingLeft();
  });

  it('detach one attachment eight times: it goes once', async () => {
    const { body } = await attach('prober', { kind: 'fentry', target: 'vfs_read' });
    const answers = await everyClient((client) => detach(client, body.id));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array<number>(CLIENTS - 1).fill(404)]);
    await nothingLeft();
  });
});
