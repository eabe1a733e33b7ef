/** A reader of `/v1/events` that comes back after every restart where it stopped, and finds every gap. */
import assert from 'node:assert/strict';

interface Frame {
  readonly id: number | undefined;
  readonly event: string | undefined;
  readonly data: string;
}

function parseFrame(text: string): Frame {
  const field = (name: string): string | undefined => new RegExp(`^${name}: ?(.*)$`, 'm').exec(text)?.[1];
  const id = field('id');
  return { id: id === undefined ? undefined : Number(id), event: field('event'), data: field('data') ?? '' };
}

async function* frames(response: Response): AsyncGenerator<Frame> {
  assert.ok(response.body !== null, 'a stream has a body');
  let rest = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + piece).split('\n\n');
    rest = parts.pop() ?? '';
    yield* parts.map(parseFrame);
  }
}

export class EventReader {
  /** Number of the newest event that was read. */
  last = 0;
  events = 0;
  /** Streams that ended with a last event that says that the service stops. */
  told = 0;
  /** Streams that ended without one. */
  cut = 0;
  readonly #address: string;

  constructor(address: string) {
    this.#address = address;
  }

  /** Reads until the stream ends. Throws on a gap; a service that is not there is no error. Answers how long a 503 says to wait, in seconds. */
  async follow(): Promise<number> {
    const response = await fetch(`${this.#address}/v1/events`, {
      headers: { 'last-event-id': String(this.last) },
    }).catch(() => undefined);
    if (response === undefined) return 0;
    if (response.status === 503) {
      await response.text();
      return Number(response.headers.get('retry-after'));
    }
    assert.equal(response.status, 200, 'the stream goes on where it stopped');
    let isTold = false;
    try {
      for await (const frame of frames(response)) {
        if (frame.event === 'error') isTold = /service\.stopping/.test(frame.data);
        else this.#take(frame);
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    if (isTold) this.told += 1;
    else this.cut += 1;
    return 0;
  }

  #take({ id, event }: Frame): void {
    if (id === undefined || event === undefined) return;
    assert.equal(id, this.last + 1, 'events without a gap');
    this.last = id;
    this.events += 1;
  }
}
