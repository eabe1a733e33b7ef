import { readFileSync } from 'node:fs';

const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');

/** Of the package; its file lies beside src and dist alike. */
export const VERSION: string = (JSON.parse(text) as { readonly version: string }).version;
