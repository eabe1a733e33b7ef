/**
 * Compiles the objects of fixtures/bpf from their sources: `npx tsx scripts/bpf/build-objects.ts [DIRECTORY]`.
 * Needs clang and llvm-strip, and bpftool for the one that is linked (apt-get install clang llvm bpftool).
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const OBJECTS = fileURLToPath(new URL('../../fixtures/bpf/', import.meta.url));

const FLAGS = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-Wall', '-Werror', '-Wno-unused-variable'];

/** Objects that bpftool links out of others. */
const LINKED: Readonly<Record<string, readonly string[]>> = { linked: ['globals', 'subprograms'] };

/** No path of this machine gets into an object, so that the same compiler makes the same bytes anywhere. */
export function buildObjects(into: string): void {
  for (const source of readdirSync(OBJECTS).filter((name) => name.endsWith('.bpf.c'))) {
    const object = join(into, source.replace(/\.bpf\.c$/, '.o'));
    const prefix = `-fdebug-prefix-map=${OBJECTS.replace(/\/$/, '')}=.`;
    execFileSync('clang', [...FLAGS, '-Wno-unused-const-variable', prefix, '-c', source, '-o', object], {
      cwd: OBJECTS,
      stdio: 'inherit',
    });
    execFileSync('llvm-strip', ['-g', object], { stdio: 'inherit' });
  }
  for (const [name, parts] of Object.entries(LINKED)) {
    const paths = [name, ...parts].map((each) => join(into, `${each}.o`));
    execFileSync('bpftool', ['gen', 'object', ...paths], { stdio: 'inherit' });
  }
}

/** The compiler's version, which the bytes depend on; undefined when there is none. */
export function clangVersion(): string | undefined {
  try {
    return /clang version (\S+)/.exec(execFileSync('clang', ['--version'], { encoding: 'utf8', stdio: 'pipe' }))?.[1];
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildObjects(process.argv[2] ?? OBJECTS);
