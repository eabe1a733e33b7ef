import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where real kernels for tests live: `KTEXTD_KERNELS`, else the cache that `npm run kernels` fills. */
export function kernelsFolder(): string {
  return (
    process.env['KTEXTD_KERNELS'] ??
    join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ktextd', 'kernels')
  );
}

/** The two kernels the recordings in test/conformance were made on. */
export const RECORDED_6_12 = 'vmlinuz-6.12.117+deb12-cloud-amd64';
export const RECORDED_6_1 = 'vmlinuz-6.1.0-55-cloud-amd64';

/**
 * Path of a real kernel, or the reason for a test's `skip` option.
 * In CI (`CI=true`) a missing kernel is an error: a skip there would hide that nothing real was tested.
 */
export function realKernel(name: string): { readonly path: string; readonly skip: false | string } {
  const path = join(kernelsFolder(), name);
  if (existsSync(path)) return { path, skip: false };
  const how = `${name} is not in ${kernelsFolder()}: run \`npm run kernels\` or set KTEXTD_KERNELS`;
  if (process.env['CI'] === 'true') throw new Error(how);
  return { path, skip: how };
}

/** Every vmlinuz in the kernels' folder. */
export function allKernels(): readonly string[] {
  const folder = kernelsFolder();
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith('vmlinuz-'))
    .sort()
    .map((name) => join(folder, name));
}
