import { err, ok, type Result } from '../base/index.ts';
import { byteView } from './byte-view.ts';
import { type Codec, codecOf, decompress } from './codec/decompress.ts';
import { isElf } from './elf.ts';
import { catchingMalformed, malformed, refuse, unsupported } from './malformed.ts';

/** Offsets into the boot protocol's header (Documentation/arch/x86/boot.rst). */
const HDR_S = 0x202;
const HDR_S_MAGIC = 0x53726448;
const BOOT_FLAG = 0x1fe;
const BOOT_FLAG_MAGIC = 0xaa55;
const SETUP_SECTS = 0x1f1;
const VERSION = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
/** payload_offset came with protocol 2.08. */
const VERSION_MIN = 0x0208;
const SETUP_SECTS_DEFAULT = 4;
const SECTOR = 512;

export interface Unwrapped {
  /** An ELF file, perhaps with bytes after it. */
  readonly elf: Uint8Array;
  /** What it was packed with; undefined for a bare ELF. */
  readonly codec: Codec | undefined;
}

interface Payload {
  readonly codec: Codec;
  readonly packed: Uint8Array;
  readonly size: number;
}

const isBzImage = (file: Uint8Array): boolean => {
  const view = byteView(file, 'bzImage header');
  return (
    file.length >= PAYLOAD_LENGTH + 4 && view.u16(BOOT_FLAG) === BOOT_FLAG_MAGIC && view.u32(HDR_S) === HDR_S_MAGIC
  );
};

/** The build appends the unpacked size, u32, to every payload; gzip's own last four bytes (RFC 1952, ISIZE) are just that. */
function payloadOf(bytes: Uint8Array, structure: string): Payload {
  const codec = codecOf(bytes);
  if (codec === undefined) {
    const magic = Buffer.from(bytes.subarray(0, 6)).toString('hex');
    return refuse(structure, 0, `unknown magic ${magic}`);
  }
  const view = byteView(bytes, structure);
  if (bytes.length < 16) refuse(structure, 0, `only ${bytes.length} bytes`);
  const size = view.u32(bytes.length - 4);
  return { codec, packed: codec === 'gzip' ? bytes : bytes.subarray(0, -4), size };
}

function bzImagePayload(file: Uint8Array): Payload {
  const view = byteView(file, 'bzImage header');
  const version = view.u16(VERSION);
  if (version < VERSION_MIN)
    refuse('bzImage header', VERSION, `boot protocol 0x${version.toString(16)} has no payload_offset`);
  const setup = (view.u8(SETUP_SECTS) || SETUP_SECTS_DEFAULT) + 1;
  const start = setup * SECTOR + view.u32(PAYLOAD_OFFSET);
  const length = view.u32(PAYLOAD_LENGTH);
  if (length === 0 || start + length > file.length) {
    refuse(
      'bzImage header',
      PAYLOAD_OFFSET,
      `payload 0x${start.toString(16)}+0x${length.toString(16)} ends past the file`,
    );
  }
  return payloadOf(file.subarray(start, start + length), 'bzImage payload');
}

/** Files made by `gzip vmlinux` and the like: only gzip records its size; of the others the unpacked size is not to be had. */
function compressedFile(file: Uint8Array, codec: Codec): Result<Payload> {
  if (codec !== 'gzip')
    return err(unsupported(`a bare ${codec} file: unpack it first (vmlinux.gz, vmlinux and bzImage are read)`));
  return catchingMalformed(() => payloadOf(file, 'gzip file'));
}

/**
 * Takes the ELF out of a kernel file: a bzImage (x86 boot protocol 2.08 and later), a bare ELF, or a gzipped ELF.
 */
export async function unwrapKernel(file: Uint8Array): Promise<Result<Unwrapped>> {
  if (isElf(file)) return ok({ elf: file, codec: undefined });
  const codec = codecOf(file);
  let payload: Result<Payload>;
  if (codec !== undefined) payload = compressedFile(file, codec);
  else if (file.length >= PAYLOAD_LENGTH + 4 && isBzImage(file))
    payload = catchingMalformed(() => bzImagePayload(file));
  else return err(malformed('file', 0, 'neither a bzImage (no HdrS at 0x202) nor an ELF'));
  if (!payload.ok) return payload;
  const unpacked = await decompress(payload.value.codec, payload.value.packed, payload.value.size);
  if (!unpacked.ok) return unpacked;
  if (!isElf(unpacked.value)) return err(malformed(`${payload.value.codec} payload`, 0, 'does not unpack to an ELF'));
  return ok({ elf: unpacked.value, codec: payload.value.codec });
}
