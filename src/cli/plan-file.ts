import { readFileSync } from 'node:fs';
import type { PlanRequest } from '../client/index.ts';
import { UsageError } from './usage.ts';

/** True when the first `length` characters could still become JSON: the parser complains about the end, if at all. */
function isPrefix(text: string, length: number): boolean {
  try {
    JSON.parse(text.slice(0, length));
    return true;
  } catch (error) {
    const { message } = error as Error;
    const at = /at position (\d+)/.exec(message)?.[1];
    return /end of JSON input|Unterminated/.test(message) || (at !== undefined && Number(at) >= length);
  }
}

/** Offset of the character at fault: Node 20 does not always say it, so it is where the longest good prefix ends. */
function faultOffset(text: string): number {
  let good = 0;
  let bad = text.length;
  while (good < bad) {
    const middle = Math.ceil((good + bad) / 2);
    if (isPrefix(text, middle)) good = middle;
    else bad = middle - 1;
  }
  return good;
}

/** The line with the fault, its number and the column, both from 0. */
function positionOf(text: string): { readonly line: string; readonly number: number; readonly column: number } {
  const before = text.slice(0, faultOffset(text)).split('\n');
  const number = before.length - 1;
  return { line: text.split('\n')[number] ?? '', number, column: before.at(-1)?.length ?? 0 };
}

/** Reads a file of JSON; `-` is standard input. Throws {@link UsageError}. */
export function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    const { line, number, column } = positionOf(text);
    throw new UsageError(`${path}:${number + 1}:${column + 1}: this is not JSON`, line, column);
  }
}

/** Reads `{steps: […]}`, or the bare array of steps. As {@link readJson}. */
export function readPlan(path: string): PlanRequest {
  const plan = readJson(path);
  return (Array.isArray(plan) ? { steps: plan } : plan) as PlanRequest;
}
