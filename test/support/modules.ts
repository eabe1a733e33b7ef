/** Modules for tests: this project's own, one for each kernel, and Debian's where they are. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelsFolder } from './kernels.ts';

const OWN = fileURLToPath(new URL('../../fixtures/modules/', import.meta.url));

/** The lab module, built for the built-in kernel or a recorded one. */
export const labModule = (kernel: 'builtin' | '6.12' | '6.1' = 'builtin'): Uint8Array =>
  new Uint8Array(readFileSync(join(OWN, `lab-${kernel}.ko`)));

/** Folders where Debian's modules of a release may lie: beside the kernels, and where `KTEXTD_MODULES` says (a `lib/modules`). */
const folders = (release: string): readonly string[] =>
  [join(kernelsFolder(), 'modules', release), join(process.env['KTEXTD_MODULES'] ?? '', release)].filter(existsSync);

/** Every module of a release that is to be had, by its file; none is no failure: a kernel's package is downloaded for its image alone. */
export function debianModules(release: string): { readonly files: readonly string[]; readonly skip: false | string } {
  const [folder] = folders(release);
  const found = (folder === undefined ? [] : readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    .filter((file) => /\.ko(?:\.xz)?$/.test(file))
    .sort()
    .map((file) => join(folder ?? '', file));
  const how = `no modules of ${release}: run \`npm run kernels -- --modules\`, or set KTEXTD_MODULES to a lib/modules`;
  return { files: found, skip: found.length === 0 ? how : false };
}
