/**
 * Records what libbpf makes of the objects of fixtures/bpf on each kernel: `npx tsx scripts/bpf/record-libbpf.ts LIBBPF`, with LIBBPF the folder
 * tools/lib/bpf of Linux 6.12. Needs gcc and the headers of libelf and zlib, and the recorded kernels. Writes test/conformance/bpf-objects.json.br.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { type KernelImage, readElf } from '../../src/image/index.ts';
import { unwrapKernel } from '../../src/image/unwrap.ts';
import { builtinImage, kernelImage } from '../../test/support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../../test/support/kernels.ts';
import { OBJECTS } from './build-objects.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const OUTPUT = fileURLToPath(new URL('../../test/conformance/bpf-objects.json.br', import.meta.url));
const BUILTIN = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));
/** What libbpf asks of the running kernel, answered by record-libbpf.c. */
const WRAPPED = ['btf__load_vmlinux_btf', 'get_kernel_version', 'fopen', 'fopen64'];

function buildRecorder(libbpf: string, folder: string): string {
  const tools = resolve(libbpf, '../..');
  const includes = ['-I', libbpf, '-I', join(tools, 'include'), '-I', join(tools, 'include/uapi')];
  const defines = ['-D_GNU_SOURCE', '-D_LARGEFILE64_SOURCE', '-D_FILE_OFFSET_BITS=64'];
  const sources = readdirSync(libbpf).filter((name) => name.endsWith('.c'));
  execFileSync('gcc', ['-O1', '-w', '-c', ...defines, ...includes, ...sources.map((name) => join(libbpf, name))], {
    cwd: folder,
  });
  mkdirSync(join(folder, 'include'));
  symlinkSync(libbpf, join(folder, 'include/bpf'));
  const output = join(folder, 'record-libbpf');
  const objects = sources.map((name) => join(folder, name.replace(/c$/, 'o')));
  const wrap = `-Wl,${WRAPPED.map((name) => `--wrap=${name}`).join(',')}`;
  const own = ['-I', join(folder, 'include'), '-I', join(tools, 'include/uapi'), join(HERE, 'record-libbpf.c')];
  execFileSync('gcc', ['-O1', '-w', ...own, ...objects, '-o', output, '-lelf', '-lz', wrap]);
  return output;
}

async function btfOf(path: string): Promise<Uint8Array> {
  const unwrapped = await unwrapKernel(readFileSync(path));
  if (!unwrapped.ok) throw new Error(unwrapped.fault.detail);
  const sections = readElf(unwrapped.value.elf);
  const btf = sections.ok ? sections.value.find(({ name }) => name === '.BTF') : undefined;
  if (btf === undefined) throw new Error(`${path} has no .BTF`);
  return btf.bytes;
}

const kallsyms = ({ symbols }: KernelImage): string =>
  Array.from({ length: symbols.count }, (_, i) => symbols.at(i))
    .map(({ address, type, name }) => `${address.toString(16).padStart(16, '0')} ${type} ${name}\n`)
    .join('');

async function main(libbpf: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-libbpf-'));
  try {
    const recorder = buildRecorder(resolve(libbpf), folder);
    const kernels = [
      { name: 'builtin', path: BUILTIN, image: await builtinImage() },
      ...(await Promise.all(
        [RECORDED_6_12, RECORDED_6_1].map(async (name) => {
          const { path } = realKernel(name);
          return { name, path, image: await kernelImage(path) };
        }),
      )),
    ];
    const recorded: Record<string, Record<string, unknown>> = {};
    for (const { name, path, image } of kernels) {
      const [btf, symbols] = [join(folder, 'btf'), join(folder, 'kallsyms')];
      writeFileSync(btf, await btfOf(path));
      writeFileSync(symbols, kallsyms(image));
      const { major, minor, patch } = image.version;
      const version = String((major << 16) + (minor << 8) + Math.min(patch, 255));
      const objects: Record<string, unknown> = {};
      for (const object of readdirSync(OBJECTS).filter((each) => each.endsWith('.o'))) {
        const text = execFileSync(recorder, [join(OBJECTS, object), btf, symbols, version], { encoding: 'utf8' });
        objects[object] = JSON.parse(text);
      }
      recorded[name] = objects;
    }
    writeFileSync(OUTPUT, brotliCompressSync(JSON.stringify({ libbpf: '1.5, of Linux 6.12.117', kernels: recorded })));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [libbpf] = process.argv.slice(2);
if (libbpf === undefined) throw new Error('which folder has libbpf?');
await main(libbpf);
