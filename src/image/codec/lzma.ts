import { refuse } from '../malformed.ts';

/**
 * The LZMA decoder (the format's specification, LZMA SDK 9.35 lzma-specification.txt), into an output whose size is known before: the output itself
 * is the dictionary, so the declared dictionary size costs nothing and no match can reach outside. Work is bounded by output and input.
 */
export interface LzmaDecoder {
  /** Sets lc, lp and pb from a properties byte and forgets all probabilities. */
  setProperties(byte: number): void;
  /** Forgets probabilities and recent distances. */
  resetState(): void;
  /** From now on matches reach back to here only. */
  resetDictionary(): void;
  /** Decodes from src[from, end) until `length` bytes are out; returns the place after the last byte read. */
  decode(src: Uint8Array, from: number, end: number, length: number): number;
  /** Copies bytes as they are. */
  copy(bytes: Uint8Array): void;
  /** Bytes written so far. */
  readonly written: number;
}

const PROBABILITY_INIT = 1024;
const TOP = 0x1000000;
const STATES = 12;
const POS_STATES = 16;
const MATCH_MIN = 2;
const LITERAL_CODER = 0x300;

/** Places in the one array of probabilities. */
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POS_STATES;
const IS_REP_G0 = IS_REP + STATES;
const IS_REP_G1 = IS_REP_G0 + STATES;
const IS_REP_G2 = IS_REP_G1 + STATES;
const IS_REP0_LONG = IS_REP_G2 + STATES;
const POS_SLOT = IS_REP0_LONG + STATES * POS_STATES;
const SPECIAL = POS_SLOT + 4 * 64;
const ALIGN = SPECIAL + 128;
const LENGTH_CODER = 2 + 2 * POS_STATES * 8 + 256;
const MATCH_LENGTH = ALIGN + 16;
const REP_LENGTH = MATCH_LENGTH + LENGTH_CODER;
const LITERAL = REP_LENGTH + LENGTH_CODER;

const afterLiteral = (state: number): number => (state < 4 ? 0 : state < 10 ? state - 3 : state - 6);

export function lzmaDecoder(out: Uint8Array): LzmaDecoder {
  let probabilities = new Uint16Array(LITERAL);
  let [lc, lpMask, pbMask] = [0, 0, 0];
  let state = 0;
  let [rep0, rep1, rep2, rep3] = [0, 0, 0, 0];
  let dictionary = 0;
  let written = 0;
  let input: Uint8Array = out;
  let [at, limit, range, code] = [0, 0, 0, 0];

  const normalize = (): void => {
    if (at >= limit) refuse('LZMA data', at, 'ends too soon');
    range = (range << 8) >>> 0;
    code = ((code << 8) | (input[at++] as number)) >>> 0;
  };

  const bit = (index: number): 0 | 1 => {
    if (range < TOP) normalize();
    const probability = probabilities[index] as number;
    const bound = (range >>> 11) * probability;
    if (code < bound) {
      range = bound;
      probabilities[index] = probability + ((2048 - probability) >>> 5);
      return 0;
    }
    range -= bound;
    code -= bound;
    probabilities[index] = probability - (probability >>> 5);
    return 1;
  };

  const tree = (base: number, bits: number): number => {
    let node = 1;
    for (let i = 0; i < bits; i++) node = (node << 1) | bit(base + node);
    return node - (1 << bits);
  };

  const reverseTree = (base: number, bits: number): number => {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const each = bit(base + node);
      node = (node << 1) | each;
      value |= each << i;
    }
    return value;
  };

  const directBits = (bits: number): number => {
    let value = 0;
    for (let i = 0; i < bits; i++) {
      if (range < TOP) normalize();
      range >>>= 1;
      const each = code >= range ? 1 : 0;
      if (each === 1) code -= range;
      value = (value << 1) | each;
    }
    return value >>> 0;
  };

  const matchLength = (base: number, posState: number): number => {
    if (bit(base) === 0) return tree(base + 2 + posState * 8, 3);
    if (bit(base + 1) === 0) return 8 + tree(base + 2 + POS_STATES * 8 + posState * 8, 3);
    return 16 + tree(base + 2 + 2 * POS_STATES * 8, 8);
  };

  const matchDistance = (length: number): number => {
    const slot = tree(POS_SLOT + Math.min(length, 3) * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >>> 1) - 1;
    const high = ((2 | (slot & 1)) << bits) >>> 0;
    if (slot < 14) return high + reverseTree(SPECIAL + high - slot, bits);
    return high + directBits(bits - 4) * 16 + reverseTree(ALIGN, 4);
  };

  const literal = (): void => {
    const previous = written > dictionary ? (out[written - 1] as number) : 0;
    const context = (((written - dictionary) & lpMask) << lc) + (previous >>> (8 - lc));
    const base = LITERAL + LITERAL_CODER * context;
    let symbol = 1;
    if (state >= 7) {
      let match = out[written - rep0 - 1] as number;
      while (symbol < 0x100) {
        const matchBit = (match >>> 7) & 1;
        match <<= 1;
        const each = bit(base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | each;
        if (matchBit !== each) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | bit(base + symbol);
    out[written++] = symbol & 0xff;
    state = afterLiteral(state);
  };

  /** Reads which recent distance is meant and moves it to the front; returns the length, 1 for the shortest form. */
  const repeated = (posState: number): number => {
    if (bit(IS_REP_G0 + state) === 0) {
      if (bit(IS_REP0_LONG + state * POS_STATES + posState) === 0) {
        state = state < 7 ? 9 : 11;
        return 1;
      }
    } else {
      let distance = rep1;
      if (bit(IS_REP_G1 + state) === 1) {
        if (bit(IS_REP_G2 + state) === 0) distance = rep2;
        else {
          distance = rep3;
          rep3 = rep2;
        }
        rep2 = rep1;
      }
      rep1 = rep0;
      rep0 = distance;
    }
    const length = matchLength(REP_LENGTH, posState) + MATCH_MIN;
    state = state < 7 ? 8 : 11;
    return length;
  };

  const fresh = (posState: number): number => {
    rep3 = rep2;
    rep2 = rep1;
    rep1 = rep0;
    const length = matchLength(MATCH_LENGTH, posState);
    state = state < 7 ? 7 : 10;
    rep0 = matchDistance(length);
    return length + MATCH_MIN;
  };

  const copyMatch = (length: number, end: number): void => {
    if (rep0 >= written - dictionary) refuse('LZMA data', at, `a match reaches ${rep0 + 1} bytes back`);
    if (written + length > end) refuse('LZMA data', at, 'more output than declared');
    for (let from = written - rep0 - 1, stop = written + length; written < stop; )
      out[written++] = out[from++] as number;
  };

  const resetState = (): void => {
    probabilities.fill(PROBABILITY_INIT);
    state = 0;
    rep0 = rep1 = rep2 = rep3 = 0;
  };

  return {
    get written() {
      return written;
    },
    resetState,
    setProperties: (byte) => {
      const [literalContext, rest] = [byte % 9, Math.floor(byte / 9)];
      const [literalPosition, position] = [rest % 5, Math.floor(rest / 5)];
      if (position > 4 || literalContext + literalPosition > 8)
        refuse('LZMA properties', 0, `byte 0x${byte.toString(16)}`);
      lc = literalContext;
      lpMask = (1 << literalPosition) - 1;
      pbMask = (1 << position) - 1;
      probabilities = new Uint16Array(LITERAL + (LITERAL_CODER << (literalContext + literalPosition)));
      resetState();
    },
    resetDictionary: () => {
      dictionary = written;
    },
    copy: (bytes) => {
      if (written + bytes.length > out.length) refuse('LZMA data', at, 'more output than declared');
      out.set(bytes, written);
      written += bytes.length;
    },
    decode: (src, from, end, length) => {
      if (end - from < 5 || src[from] !== 0) refuse('LZMA data', from, 'no range coder begins here');
      if (written + length > out.length) refuse('LZMA data', from, 'more output than declared');
      input = src;
      at = from + 1;
      limit = end;
      range = 0xffffffff;
      code = 0;
      for (let i = 0; i < 4; i++) code = ((code << 8) | (src[at++] as number)) >>> 0;
      const stop = written + length;
      while (written < stop) {
        const posState = (written - dictionary) & pbMask;
        if (bit(IS_MATCH + state * POS_STATES + posState) === 0) literal();
        else copyMatch(bit(IS_REP + state) === 1 ? repeated(posState) : fresh(posState), stop);
      }
      if (range < TOP) normalize();
      return at;
    },
  };
}

const ALONE_HEADER = 13;

/** Decodes the .lzma format (properties, u32 dictionary size, u64 size or all ones, data) to `size` bytes. */
export function decodeLzmaAlone(src: Uint8Array, size: number): Uint8Array {
  if (src.length < ALONE_HEADER + 5) refuse('LZMA header', 0, `only ${src.length} bytes`);
  const out = new Uint8Array(size);
  const decoder = lzmaDecoder(out);
  decoder.setProperties(src[0] as number);
  decoder.decode(src, ALONE_HEADER, src.length, size);
  return out;
}
