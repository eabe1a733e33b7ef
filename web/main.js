import { askToken, call, follow, list } from './api.js';
import { byId, clock, el, number } from './dom.js';
import { colourOf, createMap } from './map.js';
import { attached, planned, refusal } from './outcome.js';

const OPTIONS = {
  kprobe: ['postHandler'],
  ftrace: ['saveRegs', 'ipmodify'],
  ftrace_direct: ['sharesIpmodify'],
  fentry: ['sleepable'],
  fexit: ['sleepable'],
  fmod_ret: ['sleepable'],
};
const KINDS = ['fentry', 'kprobe', 'kretprobe', 'ftrace', 'ftrace_direct', 'fexit', 'fmod_ret', 'kprobe_multi', 'kretprobe_multi', 'fprobe', 'livepatch'];
const PATTERN_KINDS = new Set(['kprobe_multi', 'kretprobe_multi', 'fprobe', 'ftrace']);
const SITES_MAX = 5000;
const EVENTS_SHOWN = 200;

const map = createMap(byId('map'), { onHover: showHover, onPick: showSite });
let shownPlace;

const chip = (kind) => el('span', { class: 'chip', colour: colourOf(kind) }, kind);

function showHover(cell) {
  const at = cell?.sites.map((s) => `${s.symbol} · ${s.owners.map((o) => `${o.kind} of ${o.client}`).join(' → ') || 'quarantined'}`);
  byId('hover').textContent = cell === undefined ? 'Point at the map. Bright cells are patched; click one to look at it.' : `${cell.address}  ${cell.section}  ${at?.join('  |  ') ?? ''}`;
}

function listing(text, site) {
  const start = BigInt(site.address);
  const end = start + BigInt(site.current.length / 2);
  const rows = text.instructions.map((i) => {
    const at = BigInt(i.address);
    const isPatched = at >= start && at < end && site.current !== site.original;
    const target = i.target && !i.target.startsWith('0x') ? `  <${i.target}>` : '';
    return el('tr', { class: isPatched ? 'patched' : '' }, el('td', {}, i.address.slice(-8)), el('td', {}, i.bytes), el('td', {}, i.text + target));
  });
  return el('div', { class: 'scroll' }, el('table', { class: 'listing' }, el('tbody', {}, ...rows)));
}

async function showSite(place) {
  shownPlace = place;
  const site = await call('GET', `/v1/sites/${encodeURIComponent(place)}`);
  if (!site.ok) return byId('site').replaceChildren(refusal(site.body));
  const { body } = site;
  const symbol = body.symbol.replace(/\+0x[0-9a-f]+$/, '');
  const near = await call('GET', `/v1/text?at=${encodeURIComponent(symbol)}&length=64`);
  const text = near.ok ? near : await call('GET', `/v1/text?at=${body.address}&length=48`);
  const owners = body.owners.map((o) => el('li', {}, chip(o.kind), ` ${o.client}`));
  const budget = Object.entries(body.budget).map(([name, left]) => `${name} ${left}`).join(', ');
  byId('site-place').textContent = `${body.symbol} · ${body.kind} · revision ${body.revision}${budget ? ` · left: ${budget}` : ''}`;
  byId('site').replaceChildren(
    el('p', { class: 'change' }, body.original, ' → ', el('b', {}, body.current), body.quarantined ? '  quarantined' : ''),
    owners.length > 0 ? el('ol', { class: 'owners' }, ...owners) : el('p', { class: 'empty' }, 'Nobody owns it.'),
    text.ok ? listing(text.body, body) : '',
  );
}

const targetText = ({ target }) => (typeof target === 'string' ? target : (target.pattern ?? target.join(', ')));

function attachmentRow(a) {
  const change = async (method, body) => {
    const answer = await call(method, `/v1/attachments/${a.id}`, body, byId('client').value);
    if (!answer.ok) byId('outcome').replaceChildren(refusal(answer.body));
  };
  const detach = el('button', { type: 'button', class: 'quiet small', onclick: (e) => (e.stopPropagation(), change('DELETE')) }, 'Detach');
  const place = a.sites?.[0]?.place ?? targetText(a);
  return el(
    'tr',
    { 'data-place': place, class: a.enabled ? '' : 'off', onclick: () => showSite(place) },
    el('td', {}, chip(a.kind)),
    el('td', { class: 'mono', title: targetText(a) }, targetText(a)),
    el('td', {}, a.client),
    el('td', {}, number(a.siteCount)),
    el('td', {}, clock(a.since)),
    el('td', { class: 'mono' }, a.id),
    el('td', {}, detach),
  );
}

const defaultPlace = () => byId('target').value;

let isRefreshing = false;
let isStale = false;

/** Lists anew; several events in a row cost one round. */
async function refresh() {
  if (isRefreshing) {
    isStale = true;
    return;
  }
  isRefreshing = true;
  do {
    isStale = false;
    const [sites, attachments] = await Promise.all([list('/v1/sites?state=patched', SITES_MAX), list('/v1/attachments', 1000)]);
    map.setSites(sites);
    byId('attachment-count').textContent = `${number(attachments.length)} · ${number(sites.length)}${sites.length >= SITES_MAX ? '+' : ''} patched sites`;
    const rows = attachments.slice(0, 200).map(attachmentRow);
    const none = el('tr', {}, el('td', { class: 'empty', colSpan: 7 }, 'Nothing is attached: every byte is pristine.'));
    byId('attachments').tBodies[0].replaceChildren(...(rows.length > 0 ? rows : [none]));
    const kinds = [...new Set(sites.flatMap((s) => (s.owners.length > 0 ? s.owners.map((o) => o.kind) : ['shared code'])))];
    showLegend(kinds);
    shownPlace ??= sites[0]?.address ?? defaultPlace();
    await showSite(shownPlace);
  } while (isStale);
  isRefreshing = false;
}

let sectionLegend = [];
function showLegend(kinds) {
  const entries = [...sectionLegend, ...kinds.map((kind) => ({ name: kind, colour: colourOf(kind) }))];
  const items = entries.map(({ name, colour }) => {
    const swatch = el('i');
    swatch.style.background = colour;
    return el('li', {}, swatch, name);
  });
  byId('legend').replaceChildren(...items);
}

function eventText({ sequence, time, ...data }) {
  const words = [data.kind, data.places?.join(' ') ?? data.place ?? data.address, data.reason, data.errno, data.rule, data.client, data.verdict];
  return words.filter((w) => typeof w === 'string' && w !== '').join(' · ') || JSON.stringify(data);
}

function showEvent(type, data) {
  const row = el(
    'li',
    { class: type, title: JSON.stringify(data) },
    el('span', { class: 'sequence' }, String(data.sequence ?? '')),
    el('span', { class: 'time' }, clock(data.time)),
    el('span', { class: 'type' }, type),
    el('span', {}, eventText(data)),
  );
  const place = data.places?.[0] ?? data.place;
  if (place) row.addEventListener('click', () => showSite(place));
  const events = byId('events');
  events.prepend(row);
  while (events.children.length > EVENTS_SHOWN) events.lastChild.remove();
  if (type !== 'poke' && type !== 'rejected') refresh();
}

function showOptions() {
  const names = OPTIONS[byId('kind').value] ?? [];
  const boxes = names.map((name) => el('label', {}, el('input', { type: 'checkbox', value: name }), name));
  byId('options').replaceChildren(el('legend', {}, 'Options'), ...(boxes.length > 0 ? boxes : [el('span', { class: 'empty' }, 'none for this kind')]));
}

function request() {
  const kind = byId('kind').value;
  const text = byId('target').value.trim();
  const places = text.split(/[\s,]+/);
  const target = PATTERN_KINDS.has(kind) && /[*?]/.test(text) ? { pattern: text } : places.length > 1 ? places : text;
  const chosen = [...byId('options').querySelectorAll('input:checked')].map((box) => [box.value, true]);
  return { kind, target, ...(chosen.length > 0 ? { options: Object.fromEntries(chosen) } : {}) };
}

async function attach(event) {
  event.preventDefault();
  const answer = await call('POST', '/v1/attachments', request(), byId('client').value);
  byId('outcome').replaceChildren(answer.ok ? attached(answer.body) : refusal(answer.body));
  const place = answer.body.sites?.[0]?.place ?? answer.body.place;
  if (place) await showSite(place);
}

async function plan() {
  const answer = await call('POST', '/v1/plans', { steps: [{ attach: request() }] }, byId('client').value);
  byId('outcome').replaceChildren(answer.ok ? planned(answer.body) : refusal(answer.body));
}

async function audit() {
  const { ok, body } = await call('GET', '/v1/audit');
  const note = byId('audit-outcome');
  note.hidden = false;
  note.className = ok && body.orphans.length === 0 ? 'note' : 'note bad';
  note.textContent = ok
    ? `${number(body.bytesChecked)} bytes checked: ${number(body.differing)} differ from pristine, ${number(body.attributed)} of them have an owner, ${body.orphans.length} orphans.`
    : body.detail;
}

let suggestion;
function suggest() {
  clearTimeout(suggestion);
  suggestion = setTimeout(async () => {
    const text = byId('target').value.trim();
    if (!/^[\w.]{2,}$/.test(text)) return;
    const answer = await call('GET', `/v1/symbols?match=${encodeURIComponent(`${text}*`)}&limit=20`);
    if (answer.ok) byId('names').replaceChildren(...answer.body.items.map((s) => el('option', { value: s.name }, s.prototype ?? '')));
  }, 150);
}

function showImage(image) {
  const facts = {
    kernel: image.release,
    image: image.source.split('/').at(-1),
    profile: image.profile,
    rules: `${image.kernel}, ${image.strictness}`,
    functions: number(image.counts.functions),
    'ftrace sites': number(image.counts.ftraceSites),
    loaded: `${number(Math.round(image.loadMs))} ms${image.fromCache ? ' (cache)' : ''}`,
  };
  byId('facts').replaceChildren(...Object.entries(facts).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
  const { bytes, total, sections } = map.setImage(image);
  sectionLegend = sections;
  byId('scale').textContent = `${number(total)} bytes; one cell is ${number(bytes)} byte${bytes === 1 ? '' : 's'}`;
}

/** Waits for the image, however long it loads. */
async function whenReady() {
  for (;;) {
    const answer = await call('GET', '/v1/image').catch(() => undefined);
    if (answer?.ok) return answer.body;
    if (answer?.status === 401) await askToken();
    else {
      byId('status').textContent = answer?.body.detail ?? 'the service does not answer';
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

byId('kind').append(...KINDS.map((kind) => el('option', {}, kind)));
byId('kind').addEventListener('change', showOptions);
byId('target').addEventListener('input', suggest);
byId('attach').addEventListener('submit', attach);
byId('plan').addEventListener('click', plan);
byId('audit').addEventListener('click', audit);
byId('reset').addEventListener('click', () => call('POST', '/v1/image/reset', {}));
showOptions();
showImage(await whenReady());
await refresh();
follow(showEvent, (state) => {
  const status = byId('status');
  status.textContent = state === 'live' ? 'live' : 'disconnected';
  status.className = `status ${state}`;
  if (state === 'live') refresh();
});
