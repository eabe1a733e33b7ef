/**
 * Looks at an LMDB file before LMDB does. LMDB trusts what it maps: a file that was cut or overwritten ends the process with SIGSEGV or SIGBUS
 * instead of an error. So the two meta pages and every page of both trees are followed here first.
 *
 * Layout (lmdb 3.5 for Node; data format 2): a page starts with number (8 bytes), transaction (8), padding (2), flags (2), then lower and upper
 * bound of its free room (2 + 2, counted from the end of this header, as are the nodes) or the count of overflow pages (4). Pages 0 and 1 are
 * meta pages.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const HEADER_SIZE = 24;
const NODE_HEADER_SIZE = 8;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const DEPTH_MAX = 32;
const FLAGS = { branch: 1, leaf: 2, overflow: 4, meta: 8 } as const;
const BIG_DATA = 1;

/** Offsets in a meta page. */
const META = { magic: 24, version: 28, pageSize: 48, roots: [88, 136], lastPage: 144, transaction: 152 } as const;

class Damaged extends Error {}

const damaged = (reason: string): never => {
  throw new Damaged(reason);
};

interface Meta {
  readonly pageSize: number;
  readonly roots: readonly bigint[];
  readonly lastPage: number;
  readonly transaction: bigint;
}

function readMeta(file: Buffer, at: number): Meta | undefined {
  if (at + 160 > file.length || file.readUInt32LE(at + META.magic) !== MAGIC) return undefined;
  if (file.readUInt32LE(at + META.version) !== DATA_VERSION) return undefined;
  return {
    pageSize: file.readUInt32LE(at + META.pageSize),
    roots: META.roots.map((each) => file.readBigUInt64LE(at + each)),
    lastPage: Number(file.readBigUInt64LE(at + META.lastPage)),
    transaction: file.readBigUInt64LE(at + META.transaction),
  };
}

class Tree {
  readonly #file: Buffer;
  readonly #meta: Meta;
  readonly #seen = new Set<number>();

  constructor(file: Buffer, meta: Meta) {
    this.#file = file;
    this.#meta = meta;
  }

  walk(root: bigint): void {
    if (root !== NO_PAGE) this.#page(Number(root), 0);
  }

  #take(page: number): number {
    if (page < 2 || page > this.#meta.lastPage) damaged(`page ${page} of ${this.#meta.lastPage} is referred to`);
    if (this.#seen.has(page)) damaged(`page ${page} is referred to twice`);
    this.#seen.add(page);
    const at = page * this.#meta.pageSize;
    if (this.#file.readBigUInt64LE(at) !== BigInt(page)) damaged(`page ${page} has another page's number`);
    return at;
  }

  #page(page: number, depth: number): void {
    const at = this.#take(page);
    const flags = this.#file.readUInt16LE(at + 18) & 0xf;
    const [lower, upper] = [this.#file.readUInt16LE(at + 20), this.#file.readUInt16LE(at + 22)];
    if (flags !== FLAGS.branch && flags !== FLAGS.leaf) damaged(`page ${page} is neither branch nor leaf`);
    if (lower > upper || upper + HEADER_SIZE > this.#meta.pageSize || depth > DEPTH_MAX)
      damaged(`page ${page} has impossible bounds`);
    for (let slot = 0; slot < lower; slot += 2) {
      const offset = this.#file.readUInt16LE(at + HEADER_SIZE + slot);
      const node = HEADER_SIZE + offset;
      if (offset < upper || node + NODE_HEADER_SIZE > this.#meta.pageSize)
        damaged(`a node of page ${page} lies outside it`);
      if (flags === FLAGS.branch) this.#page(this.#child(at + node), depth + 1);
      else this.#leafNode(page, at, node);
    }
  }

  #child(node: number): number {
    return this.#file.readUInt32LE(node) + this.#file.readUInt16LE(node + 4) * 2 ** 32;
  }

  #leafNode(page: number, at: number, node: number): void {
    const size = this.#file.readUInt32LE(at + node);
    const [flags, keySize] = [this.#file.readUInt16LE(at + node + 4), this.#file.readUInt16LE(at + node + 6)];
    const data = node + NODE_HEADER_SIZE + keySize;
    const inPage = (flags & BIG_DATA) !== 0 ? 8 : size;
    if (data + inPage > this.#meta.pageSize) damaged(`an entry of page ${page} runs past its end`);
    if ((flags & BIG_DATA) !== 0) this.#overflow(Number(this.#file.readBigUInt64LE(at + data)), size);
  }

  #overflow(page: number, size: number): void {
    const at = this.#take(page);
    const pages = this.#file.readUInt32LE(at + 20);
    if ((this.#file.readUInt16LE(at + 18) & FLAGS.overflow) === 0) damaged(`page ${page} is no overflow page`);
    if (page + pages - 1 > this.#meta.lastPage || HEADER_SIZE + size > pages * this.#meta.pageSize)
      damaged(`the entry on page ${page} runs past its pages`);
  }
}

/** What is wrong with the file's structure; undefined: nothing, or there is no file yet. What its entries say is not looked at. */
export function lmdbFileDamage(path: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if (fstatSync(descriptor).size === 0) return undefined;
    check(readFileSync(descriptor));
    return undefined;
  } catch (error) {
    if (error instanceof Damaged || error instanceof RangeError) return error.message;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function check(file: Buffer): void {
  const first = readMeta(file, 0) ?? damaged('it is no LMDB file of this format');
  const { pageSize } = first;
  if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) damaged(`page size ${pageSize}`);
  const second = readMeta(file, pageSize) ?? damaged('its second meta page is damaged');
  const newest = second.transaction > first.transaction ? second : first;
  if ((newest.lastPage + 1) * pageSize > file.length)
    damaged(`it is cut: ${file.length} bytes, and ${(newest.lastPage + 1) * pageSize} are in use`);
  const tree = new Tree(file, newest);
  for (const root of newest.roots) tree.walk(root);
}
