/**
 * Rebuilds the modules of this project's own, fixtures/modules/lab-KERNEL.ko: one for the built-in kernel and one for each recorded kernel, because
 * a module's types go on where its kernel's end. Those of kernels that are not there are left as they are.
 *
 *   tsx scripts/build-modules.ts [--output DIR]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { readExports } from '../src/image/module/exports.ts';
import type { RawKernel } from '../src/image/raw-kernel.ts';
import { readRawKernel } from '../src/image/read-raw-kernel.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../test/support/kernels.ts';
import { probeToolchain, runTool } from './fixture/toolchain.ts';
import { withSites } from './modules/sites.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const C_FLAGS = [
  '-std=gnu11',
  '-O2',
  '-g',
  '-Wall',
  '-Werror',
  '-ffreestanding',
  '-fno-builtin',
  '-fno-strict-aliasing',
  '-fno-common',
  '-fno-pic',
  '-fno-pie',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-fno-inline-functions',
  '-fno-inline-small-functions',
  '-fno-inline-functions-called-once',
  '-fno-ipa-icf',
  '-fno-toplevel-reorder',
  '-mcmodel=kernel',
  '-mno-red-zone',
  '-mno-mmx',
  '-mno-sse',
  '-mno-80387',
  '-mpreferred-stack-boundary=3',
  '-march=x86-64',
  '-mtune=generic',
  '-falign-functions=16',
  '-pg',
  '-mfentry',
  '-mrecord-mcount',
  '-mfunction-return=thunk-extern',
  '-mharden-sls=all',
];

/** What tells kernels apart in a function's first bytes. */
const IBT_FLAGS = ['-fcf-protection=branch', '-fpatchable-function-entry=16,16'];
const FENTRY = '999:\\tcall __fentry__\\n.pushsection __mcount_loc, \\"a\\"\\n.quad 999b\\n.popsection\\n';

export interface ModuleVariant {
  readonly name: string;
  /** Path of the kernel that it is for. */
  readonly kernel: string;
  readonly isIbt: boolean;
}

const debian = (file: string, name: string, isIbt: boolean): readonly ModuleVariant[] => {
  const { path, skip } = realKernel(file);
  return skip === false ? [{ name, kernel: path, isIbt }] : [];
};

/** The variants that can be built here. */
export const variants = (): readonly ModuleVariant[] => [
  { name: 'lab-builtin', kernel: join(root, 'fixtures', 'builtin', 'vmlinux'), isIbt: true },
  ...debian(RECORDED_6_12, 'lab-6.12', true),
  ...debian(RECORDED_6_1, 'lab-6.1', false),
];

export const modulePath = (name: string): string => join(root, 'fixtures', 'modules', `${name}.ko`);

function vermagicOf(release: string, kernel: RawKernel): string {
  const at = kernel.symbolOffset('vermagic');
  const bytes = at === undefined ? undefined : kernel.read(at, 128);
  if (bytes === undefined) return `${release} SMP preempt mod_unload `;
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1');
}

/** Symbols of the kernel that the module uses, and what they stand for in every module. */
const USED = ['module_layout', '__fentry__', '__x86_return_thunk'];
/** For a kernel without versions, where it is not looked at. */
const NO_CRC = 0x6b746578;

/** `__versions`: struct modversion_info of each symbol. */
function versions(kernel: RawKernel): string {
  const exports = readExports(kernel);
  const names = Buffer.from(exports?.names ?? [])
    .toString('latin1')
    .split('\0');
  const entries = USED.map((name) => {
    const crc = exports?.crc[names.indexOf(name)] ?? NO_CRC;
    return `\t.quad ${crc}\n\t.asciz "${name}"\n\t.zero ${55 - name.length}\n`;
  });
  return `\n\t.section __versions, "a"\n${entries.join('')}`;
}

/** The bytes of one variant. Same tools, same bytes. */
export async function buildModule({ kernel, isIbt }: ModuleVariant): Promise<Uint8Array> {
  const raw = await readRawKernel(readFileSync(kernel));
  if (!raw.ok) throw new Error(raw.fault.detail);
  const work = mkdtempSync(join(tmpdir(), 'ktextd-module-'));
  try {
    writeFileSync(join(work, 'base.btf'), raw.value.section('.BTF')?.bytes ?? new Uint8Array(0));
    const include = join(root, 'fixtures', 'kernel', 'include');
    const source = join(root, 'fixtures', 'modules', 'lab.c');
    const entry = isIbt ? `endbr64\\n${FENTRY}` : FENTRY;
    const flags = [
      ...C_FLAGS,
      ...(isIbt ? IBT_FLAGS : ['-fcf-protection=none']),
      `-I${include}`,
      `-ffile-prefix-map=${root}=.`,
      `-fdebug-prefix-map=${work}=.`,
      `-DLAB_ENTRY="${entry}"`,
      `-DLAB_VERMAGIC="${vermagicOf(raw.value.release, raw.value)}"`,
    ];
    runTool('gcc', [...flags, '-S', source, '-o', 'lab.s'], work);
    const assembly = withSites(readFileSync(join(work, 'lab.s'), 'utf8'), isIbt);
    writeFileSync(join(work, 'sites.s'), `${assembly}${versions(raw.value)}`);
    runTool('as', ['--64', '-o', 'lab.o', 'sites.s'], work);
    runTool('pahole', ['-J', '--btf_gen_floats', '--btf_base=base.btf', 'lab.o'], work);
    runTool('objcopy', ['-g', '-R', '.comment', '-R', '.note.GNU-stack', 'lab.o', 'lab.ko'], work);
    return readFileSync(join(work, 'lab.ko'));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { output: { type: 'string' } } });
  const toolchain = probeToolchain();
  if (toolchain.kind === 'missing') throw new Error(toolchain.message);
  for (const variant of variants()) {
    const path = values.output === undefined ? modulePath(variant.name) : join(values.output, `${variant.name}.ko`);
    const bytes = await buildModule(variant);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    process.stdout.write(`wrote ${variant.name}.ko: ${bytes.length} bytes\n`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
