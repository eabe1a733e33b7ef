import { err, type Fault, ok, type Result } from '../../base/index.ts';
import type { BootProfile } from '../kernel-image.ts';
import { MAX_PROFILE } from './max.ts';

/** Profiles that come with the service, by name. */
export const BUILT_IN_PROFILES: Readonly<Record<string, BootProfile>> = { [MAX_PROFILE.name]: MAX_PROFILE };

/** The profile that is used when none is asked for. */
export const DEFAULT_PROFILE: BootProfile = MAX_PROFILE;

const FIELDS = ['name', 'cpu', 'vulnerabilities', 'cmdline', 'staticKeys'] as const;
const NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
const ENTRIES_MAX = 4096;
const TEXT_MAX = 16384;

type Json = Readonly<Record<string, unknown>>;

class ProfileFault extends Error {
  readonly fault: Fault;

  constructor(place: string, what: string) {
    super(what);
    this.fault = {
      errno: 'EINVAL',
      rule: 'profile.invalid',
      detail: `profile: ${place === '' ? 'the document' : place} ${what}`,
      place,
    };
  }
}

function refuse(place: string, what: string): never {
  throw new ProfileFault(place, what);
}

function object(place: string, value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(place, 'must be an object');
  if (Object.keys(value).length > ENTRIES_MAX) refuse(place, `has more than ${ENTRIES_MAX} entries`);
  return value as Json;
}

function text(place: string, value: unknown): string {
  if (typeof value !== 'string') return refuse(place, 'must be a string');
  if (value.length > TEXT_MAX) refuse(place, `is longer than ${TEXT_MAX} characters`);
  return value;
}

/** JSON pointer (RFC 6901) of a member. */
const member = (place: string, key: string): string => `${place}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;

function record<T>(
  place: string,
  value: unknown,
  each: (place: string, value: unknown) => T,
): Readonly<Record<string, T>> {
  // From entries, so that a member named __proto__ is a member like any other.
  return Object.fromEntries(
    Object.entries(object(place, value)).map(([key, item]) => [key, each(member(place, key), item)]),
  );
}

function lines(place: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) return refuse(place, 'must be an array of strings');
  if (value.length > ENTRIES_MAX) refuse(place, `has more than ${ENTRIES_MAX} lines`);
  return value.map((line, i) => text(`${place}/${i}`, line));
}

function flag(place: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : refuse(place, 'must be true or false');
}

function profile(json: unknown): BootProfile {
  const document = object('', json);
  for (const key of Object.keys(document)) {
    if (!FIELDS.some((field) => field === key)) refuse(member('', key), `is unknown: ${FIELDS.join(', ')} are known`);
  }
  const name = text('/name', document['name']);
  if (!NAME_PATTERN.test(name)) refuse('/name', 'must be 1 to 64 letters, digits, dots, dashes or underscores');
  return {
    name,
    cpu: lines('/cpu', document['cpu']),
    vulnerabilities: record('/vulnerabilities', document['vulnerabilities'], text),
    cmdline: text('/cmdline', document['cmdline']),
    ...(document['staticKeys'] === undefined
      ? {}
      : { staticKeys: record('/staticKeys', document['staticKeys'], flag) }),
  };
}

/**
 * Reads a profile out of parsed JSON, strictly: unknown fields and wrong types are refused with `profile.invalid`, `place` being the JSON
 * pointer of the first one.
 */
export function parseProfile(json: unknown): Result<BootProfile> {
  try {
    return ok(profile(json));
  } catch (error) {
    if (error instanceof ProfileFault) return err(error.fault);
    throw error;
  }
}
