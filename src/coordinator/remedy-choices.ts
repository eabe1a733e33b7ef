import type { AttachRequest } from '../registry/index.ts';

/** The same wish with one choice made differently, and how to say so after `Attach `. */
export interface Change {
  readonly request: AttachRequest;
  readonly how: string;
  /** Another kind of owner: for the asker to consider, not to be asked of others. */
  readonly isOtherKind?: true;
}

type Options = Readonly<Record<string, unknown>>;

/** A name that no patch has unless somebody wants this very trial to fail. */
const OTHER_PATCH = 'another-patch-name';

const without = (options: Options, name: string): Options =>
  Object.fromEntries(Object.entries(options).filter(([key]) => key !== name));

/**
 * What the asker could have chosen instead, if it is enough for them: a probe without its post_handler, a direct call that shares. Each is
 * to be tried before it is offered.
 */
export function otherChoices(request: AttachRequest): readonly Change[] {
  const { kind, target, options = {} } = request;
  const change = (next: Options, how: string): Change => ({ request: { kind, target, options: next }, how });
  const instead = (other: AttachRequest['kind'], how: string): Change => ({
    request: { kind: other, target },
    how,
    isOtherKind: true,
  });
  switch (kind) {
    case 'kprobe':
      return options['postHandler'] === true ? [change(without(options, 'postHandler'), 'without postHandler')] : [];
    case 'ftrace':
      return options['ipmodify'] === true ? [change(without(options, 'ipmodify'), 'without ipmodify')] : [];
    case 'ftrace_direct':
      return [
        ...(options['sharesIpmodify'] === true
          ? []
          : [change({ ...options, sharesIpmodify: true }, 'with sharesIpmodify: true')]),
        instead('fentry', 'as fentry'),
        instead('ftrace', 'as an ftrace ops'),
      ];
    case 'livepatch':
      return options['patch'] === undefined
        ? []
        : [change({ ...options, patch: OTHER_PATCH }, 'under another patch name')];
    case 'fentry':
    case 'fexit':
    case 'fmod_ret': {
      const layout = options['layout'] === undefined || options['layout'] === 'linux' ? 'seed' : 'linux';
      return [change({ ...options, layout }, `with layout: "${layout}"`)];
    }
    default:
      return [];
  }
}
