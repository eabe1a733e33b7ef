/**
 * The refusals of the HTTP edge itself, as data, in the form of the coordinator's rules: one list, served at `/v1/rules` together with theirs.
 * Ids are stable.
 */
import type { Errno, Fault } from '../base/index.ts';
import type { RuleView } from '../coordinator/index.ts';

interface EdgeRuleText {
  readonly title: string;
  readonly errno: Errno;
  readonly status: number;
  readonly what: string;
  readonly why: string;
  readonly remedies: readonly string[];
}

const TEXTS = {
  'http.schema': {
    title: 'The request does not fit the schema',
    errno: 'EINVAL',
    status: 400,
    what: 'A field is missing, unknown, or of another type than the schema says. Nothing is coerced and nothing is ignored.',
    why: 'A field that is silently dropped is an option that silently does nothing.',
    remedies: ['Compare the request with the schema at /openapi.json; `errors` names the path that failed.'],
  },
  'http.json': {
    title: 'The body is not JSON',
    errno: 'EINVAL',
    status: 400,
    what: 'The body could not be parsed as JSON, or carries a key such as __proto__ that no schema has.',
    why: 'Nothing can be decided about a request that cannot be read.',
    remedies: ['Send valid JSON, UTF-8.'],
  },
  'http.target': {
    title: 'This kind does not take such a target',
    errno: 'EINVAL',
    status: 400,
    what: 'Several places, or a pattern, were given for a kind that attaches at one place. Arrays and patterns are for kprobe_multi, kretprobe_multi, fprobe and ftrace; livepatch takes arrays.',
    why: 'In Linux these kinds have no interface that names more than one place.',
    remedies: ['Send one request for each place, or use the kind that takes several.'],
  },
  'http.header': {
    title: 'A header has a value that it cannot have',
    errno: 'EINVAL',
    status: 400,
    what: '`x-ktextd-client` is 1 to 64 printable ASCII characters, `Idempotency-Key` 1 to 255 of them, `x-ktextd-deadline-ms` 1 to 600000, `If-Match` one site revision in quotes, `Last-Event-ID` an event sequence.',
    why: 'A label that is cut or a precondition that is ignored would answer another question than the one asked.',
    remedies: ['Correct the header, or leave it out.'],
  },
  'http.malformed': {
    title: 'The request cannot be read as HTTP',
    errno: 'EINVAL',
    status: 400,
    what: 'The request line, the URL or a header is not well formed.',
    why: 'The parser refused it before any route was chosen.',
    remedies: ['Percent-encode the URL; send HTTP/1.1 with a Host header.'],
  },
  'http.token': {
    title: 'A token is needed',
    errno: 'EACCES',
    status: 401,
    what: 'The service was started with a token file, and the request has no bearer token or one that is not in it.',
    why: 'With tokens, the token decides whose attachments the caller may change.',
    remedies: ['Send `Authorization: Bearer TOKEN`.'],
  },
  'http.role': {
    title: 'The token does not allow this',
    errno: 'EPERM',
    status: 403,
    what: 'The role `read` may look and plan; `attach` may also change its own attachments; what concerns everyone needs `admin`.',
    why: 'The operator gave this token that role.',
    remedies: ['Use a token with the role that the call needs.'],
  },
  'http.origin': {
    title: 'A page of another origin sent this',
    errno: 'EACCES',
    status: 403,
    what: 'The Origin header names another site than this service.',
    why: 'Otherwise any page open in a browser on this machine could patch text.',
    remedies: ['Call the service from its own page or from a program that is not a browser.'],
  },
  'http.host': {
    title: 'The service does not listen under this name',
    errno: 'EACCES',
    status: 403,
    what: 'The Host header is not a name or address on which the service listens.',
    why: 'A foreign name that resolves to a loopback address is how web pages get around the same-origin policy (DNS rebinding).',
    remedies: ['Use the address that the service printed when it started; `--allow-host NAME` adds a name.'],
  },
  'http.not-found': {
    title: 'There is no such resource',
    errno: 'ENOENT',
    status: 404,
    what: 'No route has this path.',
    why: 'The path is misspelt, or the call is not part of this version.',
    remedies: ['All calls are listed at /docs.'],
  },
  'rules.unknown': {
    title: 'There is no such rule',
    errno: 'ENOENT',
    status: 404,
    what: 'No rule has this id.',
    why: 'Rule ids are stable; this one is misspelt or belongs to another version.',
    remedies: ['GET /v1/rules lists them all.'],
  },
  'http.method': {
    title: 'The resource does not have this method',
    errno: 'EOPNOTSUPP',
    status: 405,
    what: 'The path exists, the method does not; the Allow header lists those that do.',
    why: 'Each resource takes only the methods that the contract gives it.',
    remedies: ['Use a method from the Allow header.'],
  },
  'http.body-too-large': {
    title: 'The body is too large',
    errno: 'E2BIG',
    status: 413,
    what: 'A body may have 1 MiB; attachments and plans 8 MiB.',
    why: 'Everything that a client can make the service hold is bounded.',
    remedies: ['Split the request, or use a pattern instead of a list of places.'],
  },
  'http.too-many-places': {
    title: 'Too many places in one request',
    errno: 'E2BIG',
    status: 413,
    what: 'A request may name 100,000 places.',
    why: 'A request is all or nothing, and holds text_mutex for all its places.',
    remedies: ['Split the request, or use a pattern.'],
  },
  'http.content-type': {
    title: 'The body must be application/json',
    errno: 'EINVAL',
    status: 415,
    what: 'Every POST, PUT and PATCH says `content-type: application/json`, even with an empty body; the charset, if any, is utf-8. Where the body is a file it is `application/octet-stream`.',
    why: 'A browser sends other types across origins without asking first; this one it does not.',
    remedies: ['Add `content-type: application/json`.'],
  },
  'http.idempotency.conflict': {
    title: 'This Idempotency-Key was used for another request',
    errno: 'EINVAL',
    status: 422,
    what: 'The tenant has sent the same key before, with another path or body.',
    why: 'A key stands for one request; answering the second with the first one’s answer would be wrong, doing it would break the promise.',
    remedies: ['Use a new key for a new request.'],
  },
  'events.compacted': {
    title: 'The events asked for are no longer retained',
    errno: 'ENOENT',
    status: 410,
    what: 'The sequence to resume from lies before the oldest retained event, or after the newest (the service was started anew).',
    why: 'Events come without gaps or not at all: a reader who missed some must know it.',
    remedies: ['List the resources again, then read events from now on (without Last-Event-ID and after).'],
  },
  'quota.in-flight': {
    title: 'Too many requests of one client are under way',
    errno: 'EAGAIN',
    status: 429,
    what: 'A client (a label of a tenant) has 64 requests under way, and sends another. Event streams do not count.',
    why: 'Whoever asks much waits for itself, not its neighbours for it.',
    remedies: ['Wait for answers before asking again; Retry-After says how long.'],
  },
  'quota.rate': {
    title: 'Too many requests a second',
    errno: 'EAGAIN',
    status: 429,
    what: 'The operator started the service with a rate for each client (`--max-rate`), and this one is over it.',
    why: 'Whoever asks much waits for itself, not its neighbours for it.',
    remedies: ['Ask more slowly, or for several places in one request; Retry-After says how long to wait.'],
  },
  'events.too-many-readers': {
    title: 'Too many readers of events',
    errno: 'EMFILE',
    status: 429,
    what: 'The number of open event streams is bounded.',
    why: 'Everything that a client can make the service hold is bounded.',
    remedies: ['Close streams that are not read; share one among several consumers.'],
  },
  'events.slow-reader': {
    title: 'The reader of events fell behind',
    errno: 'ENOSPC',
    status: 409,
    what: 'The stream was ended because its reader took events more slowly than they came, beyond the bound.',
    why: 'A slow reader must not hold memory or slow down text_mutex.',
    remedies: ['Reconnect with Last-Event-ID: what is retained will be sent. Filter with ?types=.'],
  },
  'service.loading': {
    title: 'The kernel image is still being loaded',
    errno: 'EAGAIN',
    status: 503,
    what: 'The service listens before it has loaded its image; /readyz shows how far it is.',
    why: 'Nothing can be said about text that is not there yet.',
    remedies: ['Try again after Retry-After seconds; wait for GET /readyz to answer 200.'],
  },
  'service.failed': {
    title: 'The kernel image could not be loaded',
    errno: 'EIO',
    status: 500,
    what: 'Loading ended with the error in `detail`.',
    why: 'Without an image there is nothing to attach to.',
    remedies: ['Start the service with an image and a profile that it can read.'],
  },
  'service.stopping': {
    title: 'The service is stopping',
    errno: 'ECANCELED',
    status: 503,
    what: 'A shutdown has begun: commands that were accepted are finished, new ones are refused.',
    why: 'What is refused here has certainly not happened.',
    remedies: ['Send the request again when the service is back.'],
  },
  'service.poisoned': {
    title: 'The service found itself inconsistent and writes no more',
    errno: 'EIO',
    status: 500,
    what: 'An invariant was violated; the first violation is in `detail`. Reads go on, writes are refused.',
    why: 'After a bug of ours, patching on could damage what is still right.',
    remedies: ['Report the violation; start the service anew.'],
  },
  'service.internal': {
    title: 'The service failed to answer',
    errno: 'EIO',
    status: 500,
    what: 'An error that nobody expected; the log has it under this requestId.',
    why: 'It is a bug of the service.',
    remedies: ['Report it with the requestId.'],
  },
} as const satisfies Readonly<Record<string, EdgeRuleText>>;

export type EdgeRuleId = keyof typeof TEXTS;

const text = (id: EdgeRuleId): EdgeRuleText => TEXTS[id];

export const isEdgeRule = (id: string): id is EdgeRuleId => Object.hasOwn(TEXTS, id);

export const edgeTitle = (id: EdgeRuleId): string => text(id).title;
export const edgeStatus = (id: EdgeRuleId): number => text(id).status;

/** All rules of the edge in the form in which `/v1/rules` serves them. */
export const EDGE_RULES: readonly RuleView[] = (Object.keys(TEXTS) as EdgeRuleId[]).map((id) => ({
  id,
  title: text(id).title,
  errno: text(id).errno,
  what: text(id).what,
  why: text(id).why,
  linux: '',
  range: 'all',
  strictness: 'both',
  remedies: text(id).remedies,
}));

/** A refusal by the edge; errno and remedies come from the rule. */
export const edgeFault = (rule: EdgeRuleId, detail: string, more: Pick<Fault, 'place' | 'index'> = {}): Fault => ({
  errno: text(rule).errno,
  rule,
  detail,
  remedies: text(rule).remedies,
  ...more,
});
