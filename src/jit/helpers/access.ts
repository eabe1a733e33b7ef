import { ERRNO, type Errno } from '../../base/index.ts';
import { type HelperContext, HelperFault, type MappedMap } from './helper-context.ts';

/** An errno as a helper returns it. */
export const failed = (errno: Errno): bigint => BigInt.asUintN(64, -BigInt(ERRNO[errno]));
export const answered = (errno: Errno | undefined): bigint => (errno === undefined ? 0n : failed(errno));

/** An argument of type u32. */
export const u32 = (value: bigint): number => Number(value & 0xffff_ffffn);
/** An argument of type s32. */
export const s32 = (value: bigint): number => Number(BigInt.asIntN(32, value));

export function read({ memory }: HelperContext, address: bigint, length: number): Uint8Array {
  const bytes = memory.read(address, length);
  if (bytes === undefined) throw new HelperFault(address, 'read');
  return bytes;
}

export function write({ memory }: HelperContext, address: bigint, bytes: Uint8Array): void {
  if (bytes.length > 0 && !memory.write(address, bytes)) throw new HelperFault(address, 'write');
}

export function read64(context: HelperContext, address: bigint): bigint {
  const bytes = read(context, BigInt.asUintN(64, address), 8);
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}

export function write64(context: HelperContext, address: bigint, value: bigint): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  write(context, address, bytes);
}

/** The map whose address a program has passed. */
export function mapAt({ maps }: HelperContext, address: bigint): MappedMap {
  const map = maps.find((each) => each.address === address);
  if (map === undefined) throw new HelperFault(address, 'read');
  return map;
}
