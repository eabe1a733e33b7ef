/**
 * Fills the folder of real kernels that tests use (test/support/kernels.ts) from Debian's packages. Needs apt-get and dpkg-deb, no root.
 *
 *   tsx scripts/fetch-kernels.ts [--all] [--modules] [--folder DIR]
 *
 * Without --all the two kernels the recordings were made on; with it also Debian's general and real-time 6.12 kernels. What is
 * there already is kept. With --modules the recorded kernels' network and library modules come too, into `modules/RELEASE`.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { kernelsFolder } from '../test/support/kernels.ts';

interface Kernel {
  readonly release: string;
  /** Of the vmlinuz; undefined where any build of that release does. */
  readonly sha256?: string;
}

const RECORDED: readonly Kernel[] = [
  { release: '6.12.117+deb12-cloud-amd64', sha256: 'b9ea6660d2abac0b2d65aaf11d07cb9d9012b4beb1287d6eb539fccecd1aebd2' },
  { release: '6.1.0-55-cloud-amd64', sha256: '98cd6f847b56873cdefb57ca3ffd9ca7fbe30d7d574602661a3170f1aea9a20f' },
];
const MORE: readonly Kernel[] = [{ release: '6.12.117+deb12-amd64' }, { release: '6.12.117+deb12-rt-amd64' }];

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

interface Outcome {
  readonly code: number | null;
  readonly output: string;
}

function run(command: string, args: readonly string[], folder: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-4000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code) => resolve({ code, output }));
  });
}

class FetchFailure extends Error {}

const lastLine = (output: string): string => output.trim().split('\n').at(-1) ?? '';

/** Package lists of our own, for a machine whose lists are missing or old and a user who may not update them. */
async function ownLists(work: string): Promise<readonly string[]> {
  const state = join(work, 'apt');
  mkdirSync(join(state, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(state, 'archives', 'partial'), { recursive: true });
  const options = ['-o', `Dir::State::Lists=${join(state, 'lists')}`, '-o', `Dir::Cache=${state}`];
  say('  reading the package lists (apt-get update, into a temporary folder)');
  const update = await run('apt-get', [...options, 'update'], work);
  if (update.code !== 0) throw new FetchFailure(`apt-get update failed: ${lastLine(update.output)}`);
  return options;
}

async function download(kernel: Kernel, work: string): Promise<string> {
  const name = `linux-image-${kernel.release}`;
  let outcome = await run('apt-get', ['download', name], work);
  if (outcome.code === 127) throw new FetchFailure('apt-get is not installed: kernels come from Debian packages');
  if (outcome.code !== 0) outcome = await run('apt-get', [...(await ownLists(work)), 'download', name], work);
  if (outcome.code !== 0) throw new FetchFailure(`apt-get download ${name} failed: ${lastLine(outcome.output)}`);
  const file = readdirSync(work).find((entry) => entry.startsWith(`${name}_`) && entry.endsWith('.deb'));
  if (file === undefined) throw new FetchFailure(`apt-get download ${name} left no package`);
  return join(work, file);
}

const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Folders of `lib/modules/RELEASE/kernel` with modules of every make, small and large. */
const MODULE_FOLDERS = ['crypto', 'fs/xfs', 'lib', 'net/ipv4', 'net/netfilter'];

const modulesOf = (kernel: Kernel, folder: string): string => join(folder, 'modules', kernel.release);

function copyModules(kernel: Kernel, unpacked: string, folder: string): void {
  const from = join(unpacked, 'lib', 'modules', kernel.release, 'kernel');
  for (const each of MODULE_FOLDERS)
    if (existsSync(join(from, each)))
      cpSync(join(from, each), join(modulesOf(kernel, folder), 'kernel', each), { recursive: true });
}

async function fetchKernel(kernel: Kernel, folder: string, withModules: boolean): Promise<void> {
  const target = join(folder, `vmlinuz-${kernel.release}`);
  const hasModules = !withModules || existsSync(modulesOf(kernel, folder));
  if (hasModules && existsSync(target) && (kernel.sha256 === undefined || digest(target) === kernel.sha256)) {
    say(`${target}: is there`);
    return;
  }
  say(`${target}: downloading linux-image-${kernel.release}`);
  const work = mkdtempSync(join(tmpdir(), 'ktextd-kernels-'));
  try {
    const unpacked = join(work, 'unpacked');
    const extract = await run('dpkg-deb', ['-x', await download(kernel, work), unpacked], work);
    if (extract.code !== 0) throw new FetchFailure(`dpkg-deb -x failed: ${lastLine(extract.output)}`);
    const image = join(unpacked, 'boot', `vmlinuz-${kernel.release}`);
    if (!existsSync(image)) throw new FetchFailure(`the package has no boot/vmlinuz-${kernel.release}`);
    if (kernel.sha256 !== undefined && digest(image) !== kernel.sha256) {
      throw new FetchFailure(`the package has another build: SHA-256 ${digest(image)}, not ${kernel.sha256}`);
    }
    copyFileSync(image, `${target}.partial`);
    renameSync(`${target}.partial`, target);
    if (withModules) copyModules(kernel, unpacked, folder);
    say(`${target}: done`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    modules: { type: 'boolean', default: false },
    folder: { type: 'string' },
  },
});
const folder = values.folder ?? kernelsFolder();
mkdirSync(folder, { recursive: true });
let failures = 0;
for (const kernel of values.all ? [...RECORDED, ...MORE] : RECORDED) {
  try {
    await fetchKernel(kernel, folder, values.modules);
  } catch (error) {
    if (!(error instanceof FetchFailure)) throw error;
    failures++;
    process.stderr.write(`vmlinuz-${kernel.release}: ${error.message}\n`);
  }
}
process.exitCode = failures === 0 ? 0 : 1;
