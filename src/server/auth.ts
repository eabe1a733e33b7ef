/** Bearer tokens from a file: who a caller is and what it may do. The file's tokens are kept as SHA-256 hashes only. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Role } from './services.ts';

export interface TokenEntry {
  readonly name: string;
  readonly role: Role;
}

export interface TokenBook {
  readonly size: number;
  /** Compares with every entry in constant time; undefined when none has the token. */
  find(token: string): TokenEntry | undefined;
}

/** A book that another one can take the place of while the service runs. */
export interface ReloadableTokens extends TokenBook {
  replace(book: TokenBook): void;
}

export function reloadableTokens(first: TokenBook): ReloadableTokens {
  let book = first;
  return {
    get size() {
      return book.size;
    },
    find: (token) => book.find(token),
    replace(next) {
      book = next;
    },
  };
}

export type TokenFileOutcome =
  | { readonly ok: true; readonly book: TokenBook }
  | { readonly ok: false; readonly line: number; readonly message: string };

const ROLES: readonly Role[] = ['read', 'attach', 'admin'];
const NAME = /^[\x21-\x7e]{1,64}$/;
const TOKEN_CHARACTERS_MIN = 16;

const sha256 = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();

/** Reads lines `name token [role]`; `#` starts a comment. The message names a line, never a token. */
export function parseTokenFile(text: string): TokenFileOutcome {
  const entries: { readonly name: string; readonly role: Role; readonly hash: Buffer }[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const words = raw
      .replace(/(^|\s)#.*$/, '')
      .trim()
      .split(/\s+/);
    if (words[0] === '' || words[0] === undefined) continue;
    const [name, token, role = 'attach', ...rest] = words;
    const fail = (message: string) => ({ ok: false, line: i + 1, message }) as const;
    if (token === undefined) return fail('a line is `name token [role]`; the token is missing');
    if (rest.length > 0) return fail('a line is `name token [role]`; there is more on it');
    if (!NAME.test(name)) return fail('a name is 1 to 64 printable ASCII characters');
    if (token.length < TOKEN_CHARACTERS_MIN) return fail(`a token has at least ${TOKEN_CHARACTERS_MIN} characters`);
    if (!ROLES.includes(role as Role)) return fail(`the role is one of ${ROLES.join(', ')}`);
    const hash = sha256(token);
    if (entries.some((e) => e.hash.equals(hash))) return fail('this token is already on an earlier line');
    if (entries.some((e) => e.name === name && e.role !== role))
      return fail(`${name} has another role on an earlier line`);
    entries.push({ name, role: role as Role, hash });
  }
  if (entries.length === 0) return { ok: false, line: 1, message: 'the file has no token' };
  return { ok: true, book: tokenBook(entries) };
}

function tokenBook(
  entries: readonly { readonly name: string; readonly role: Role; readonly hash: Buffer }[],
): TokenBook {
  return {
    size: entries.length,
    find(token) {
      const hash = sha256(token);
      let found: TokenEntry | undefined;
      // No early exit: the time taken must not tell which entry matched.
      for (const entry of entries) {
        if (timingSafeEqual(entry.hash, hash)) found = { name: entry.name, role: entry.role };
      }
      return found;
    },
  };
}

/** The token of an Authorization header; undefined when it is not `Bearer TOKEN`. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([\x21-\x7e]+) *$/i.exec(header ?? '')?.[1];
}
