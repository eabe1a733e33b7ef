/**
 * Makes few files of the many that the compiler wrote: `dist/cli/main.js` and the threads' modules are replaced by themselves together with what
 * they import, packages included. Resolving and reading each module by itself was half of the time from start to ready.
 *
 * A module goes on looking for files where its source was: `import.meta.url` becomes the URL of that place. The other compiled modules stay, for
 * what imports them one by one; and running the compiler alone puts everything back.
 */
import { readFile, rm } from 'node:fs/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const CHUNKS = 'bundled';
const ENTRIES = [
  'cli/main',
  'coordinator/program-run-worker',
  'coordinator/verification-worker',
  'explore/thread/explore-worker',
  'image/packed/build-worker',
  'machine/thread/call-worker',
  'machine/thread/workload-worker',
];

/** Packages with machine code, WebAssembly or files of their own beside their modules. */
const SEPARATE = ['@fastify/swagger-ui', '@foxglove/wasm-bz2', 'iced-x86', 'lmdb', 'zstddec'];

/** What a bundled file needs that ES modules do not have. */
const PREAMBLE = `
import { createRequire as bundleRequire } from 'node:module';
const require = bundleRequire(import.meta.url);
const BUNDLE_ROOT = import.meta.url.slice(0, import.meta.url.lastIndexOf('/dist/') + 6);
`.trim();

const ownPlaces: Plugin = {
  name: 'own-places',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/.*\.js$/ }, async ({ path }) => {
      if (!path.startsWith(DIST)) return undefined;
      const text = await readFile(path, 'utf8');
      const own = `new URL(${JSON.stringify(relative(DIST, path))}, BUNDLE_ROOT).href`;
      return { contents: text.replaceAll('import.meta.url', own), loader: 'js' };
    });
  },
};

await rm(`${DIST}${CHUNKS}`, { recursive: true, force: true });
await build({
  entryPoints: ENTRIES.map((entry) => `${DIST}${entry}.js`),
  outdir: DIST,
  outbase: DIST,
  allowOverwrite: true,
  bundle: true,
  splitting: true,
  chunkNames: `${CHUNKS}/[name]-[hash]`,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: SEPARATE,
  banner: { js: PREAMBLE },
  plugins: [ownPlaces],
  logLevel: 'warning',
});
