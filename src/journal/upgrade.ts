/**
 * Entries of older formats, brought to today's. Each step goes from one version to the next and stays for good, with a journal of that version
 * in its test.
 */
import { FORMAT_VERSION } from './entry-format.ts';

type Step = (kind: string, value: unknown) => unknown;

/** From the version that is the key to the next one. */
const STEPS: ReadonlyMap<number, Step> = new Map();

export type Upgraded = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

/** `steps` and `to` are for tests. */
export function upgradeEntry(
  kind: string,
  value: unknown,
  version: number,
  steps: ReadonlyMap<number, Step> = STEPS,
  to = FORMAT_VERSION,
): Upgraded {
  if (version > to)
    return { ok: false, reason: `format ${version} is newer than this program, which knows up to ${to}` };
  let now = value;
  for (let at = version; at < to; at++) {
    const step = steps.get(at);
    if (step === undefined) return { ok: false, reason: `format ${version} is no longer known` };
    now = step(kind, now);
  }
  return { ok: true, value: now };
}
