/** Calls of the service. A token, where one is needed, is kept for this tab only. */
const headers = () => {
  const token = sessionStorage.getItem('ktextd-token');
  return token ? { authorization: `Bearer ${token}` } : {};
};

/** Asks for a token until there is one. */
export function askToken() {
  const dialog = document.getElementById('token-dialog');
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        sessionStorage.setItem('ktextd-token', document.getElementById('token').value);
        resolve();
      },
      { once: true },
    );
    dialog.showModal();
  });
}

/** @returns {Promise<{ok: boolean, status: number, body: any}>} */
export async function call(method, path, body, client) {
  const options = { method, headers: { accept: 'application/json', ...headers() } };
  if (client) options.headers['x-ktextd-client'] = client;
  if (body !== undefined) {
    options.headers['content-type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  return { ok: response.ok, status: response.status, body: await response.json() };
}

/** All items of a paged list, `max` at most. */
export async function list(path, max) {
  const items = [];
  let cursor = null;
  do {
    const query = `${path.includes('?') ? '&' : '?'}limit=1000${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
    const answer = await call('GET', path + query);
    if (!answer.ok) return items;
    items.push(...answer.body.items);
    cursor = answer.body.nextCursor;
  } while (cursor !== null && items.length < max);
  return items;
}

/** Follows the events, reconnecting where it left off; `onState` hears `live` and `broken`. */
export async function follow(onEvent, onState) {
  // What is still retained comes first; when the beginning is gone, the stream starts from now.
  let after = 0;
  for (;;) {
    try {
      const response = await fetch(`/v1/events${after === null ? '' : `?after=${after}`}`, { headers: headers() });
      if (response.status === 401) await askToken();
      if (response.status === 410) after = null;
      if (response.ok) {
        onState('live');
        after = await read(response, onEvent, after);
      }
    } catch {
      // The service is away; the next round tries again.
    }
    onState('broken');
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}

async function read(response, onEvent, after) {
  let last = after;
  let text = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) return last;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.split('\n').find((l) => l.startsWith(`${name}: `))?.slice(name.length + 2);
      last = field('id') ?? last;
      const data = field('data');
      if (data !== undefined) onEvent(field('event') ?? 'message', JSON.parse(data));
    }
  }
}
