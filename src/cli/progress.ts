import type { Context } from './context.ts';
import { statusLine } from './status-line.ts';

/**
 * Shows on a terminal how far the service is with a command that takes long: this one, or another that holds text_mutex and is waited for. What is
 * answered within a moment shows nothing.
 */
export async function withProgress<T>(context: Context, work: () => Promise<T>): Promise<T> {
  if (context.io.isTerminal !== true) return work();
  const end = new AbortController();
  const following = follow(context, end.signal).catch(() => undefined);
  try {
    return await work();
  } finally {
    end.abort();
    await following;
  }
}

async function follow({ client, io }: Context, signal: AbortSignal): Promise<void> {
  const events = await client.events({ types: ['progress'], signal });
  if (!events.ok) return;
  const line = statusLine(io.err);
  try {
    for await (const { data } of events.value) {
      if (signal.aborted) break;
      line.show(`${data['client']}: ${data['command']}, ${data['what']}, ${data['done']} of ${data['total']}`);
    }
  } finally {
    line.clear();
  }
}
