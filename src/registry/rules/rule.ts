import type { Errno, Fault } from '../../base/index.ts';

/** A reason to refuse, with everything its documentation page says. */
export interface Rule {
  /** `area.subject.claim`, stable for ever. */
  readonly id: string;
  readonly title: string;
  readonly errno: Errno;
  /** What is refused, one paragraph. */
  readonly what: string;
  /** Why, one paragraph. */
  readonly why: string;
  /** Function and file in Linux that decide, or why there is none. */
  readonly linux: string;
  /** Kernel versions it holds for. */
  readonly range: string;
  readonly strictness: 'both' | 'safe' | 'linux';
  readonly remedies: readonly string[];
}

export type FaultDetails = Omit<Fault, 'errno' | 'rule' | 'linux'> & { readonly errno?: Errno };

/** A fault by this rule. Remedies of the case come before the rule's general ones. */
export function refuse(rule: Rule, details: FaultDetails): Fault {
  return {
    ...details,
    errno: details.errno ?? rule.errno,
    rule: rule.id,
    linux: rule.linux,
    remedies: [...(details.remedies ?? []), ...rule.remedies],
  };
}
