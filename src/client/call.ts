/** One request, and what comes of it. */
import type { Problem } from './types.ts';

export type Answer<T> =
  | { readonly ok: true; readonly status: number; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  /** A file instead of a JSON body. */
  readonly file?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export type Send = <T>(call: Call) => Promise<Answer<T>>;

export type QueryValue = string | number | boolean | undefined;

export function withQuery(path: string, query: Readonly<Record<string, QueryValue>>): string {
  const parts = Object.entries(query).filter(([, v]) => v !== undefined);
  const text = parts.map(([k, v]) => `${k}=${encodeURIComponent(String(v))}`).join('&');
  return text === '' ? path : `${path}?${text}`;
}

export const part = (text: string): string => encodeURIComponent(text);
