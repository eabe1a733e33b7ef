/**
 * Rebuilds the built-in kernel, fixtures/builtin/vmlinux, and its manifest.
 *
 *   tsx scripts/build-fixture.ts [--kallsyms 6.12|6.1] [--output PATH] [--keep]
 *
 * With --output the image goes there and the manifest stays as it is. Same tools, same bytes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildKernel } from './fixture/build.ts';
import type { KallsymsOrder } from './fixture/kallsyms.ts';
import { hashSources, MANIFEST_PATH, type Manifest, OUTPUT_PATH, sha256 } from './fixture/manifest.ts';
import { probeToolchain } from './fixture/toolchain.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

function fail(message: string): never {
  process.stderr.write(`build-fixture: ${message}\n`);
  process.exit(1);
}

function parseOrder(text: string): KallsymsOrder {
  return text === '6.12' || text === '6.1' ? text : fail(`--kallsyms takes 6.12 or 6.1, not ${text}`);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      kallsyms: { type: 'string', default: '6.12' },
      output: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  });
  const order = parseOrder(values.kallsyms);
  if (order !== '6.12' && values.output === undefined) fail('--kallsyms 6.1 needs --output');
  const toolchain = probeToolchain();
  if (toolchain.kind === 'missing') fail(toolchain.message);
  const progress = (line: string): void => void process.stdout.write(`${line}\n`);
  const image = buildKernel({ root, order, progress, keep: values.keep });
  const path = values.output ?? join(root, OUTPUT_PATH);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, image);
  if (values.output === undefined) {
    const manifest: Manifest = {
      tools: toolchain.versions,
      output: { path: OUTPUT_PATH, size: image.length, sha256: sha256(image) },
      sources: hashSources(root),
    };
    writeFileSync(join(root, MANIFEST_PATH), `${JSON.stringify(manifest, null, 2)}\n`);
  }
  progress(`wrote ${values.output ?? OUTPUT_PATH}: ${image.length} bytes, sha256 ${sha256(image)}`);
}

try {
  main();
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
