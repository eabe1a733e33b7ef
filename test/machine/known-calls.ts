/** Calls of functions that every kernel has, with arguments that mean something. */
import type { KernelImage } from '../../src/image/index.ts';
import type { CallArgument } from '../../src/machine/index.ts';
import { buffer, text, word } from '../support/call-lab.ts';

export type KnownCall = readonly [name: string, ...args: readonly CallArgument[]];

const room = (length: number): CallArgument => buffer('00'.repeat(length));

function u32s(...values: readonly number[]): CallArgument {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, i * 4);
  return { kind: 'buffer', bytes };
}

const SENTENCE = text('The quick brown fox jumps over the lazy dog, 1234567890 times.');
const PATTERN = buffer(Array.from({ length: 300 }, (_, i) => ((i * 7) & 0xff).toString(16).padStart(2, '0')).join(''));

const ARITHMETIC: readonly KnownCall[] = [
  ['gcd', word(48), word(36)],
  ['gcd', word(1_000_000_007), word(998_244_353)],
  ['lcm', word(21), word(6)],
  ['int_sqrt', word(1_000_000)],
  ['int_sqrt', word(2n ** 63n - 1n)],
  ['int_pow', word(3), word(13)],
  ['__sw_hweight32', word(0xf0f0_1234)],
  ['__sw_hweight64', word(0xf0f0_1234_8000_0001n)],
  ['rational_best_approximation', word(31_415), word(10_000), word(100), word(100), room(8), room(8)],
  ['mul_u64_u64_div_u64', word(2n ** 63n), word(3), word(7)],
];

const CHECKSUMS: readonly KnownCall[] = [
  ['crc32_le', word(0xffff_ffff), PATTERN, word(300)],
  ['crc32_be', word(0xffff_ffff), PATTERN, word(299)],
  ['__crc32c_le', word(0xffff_ffff), PATTERN, word(297)],
  ['crc16', word(0), PATTERN, word(300)],
  ['csum_partial', PATTERN, word(300), word(0)],
  ['ip_compute_csum', PATTERN, word(299)],
];

const STRINGS: readonly KnownCall[] = [
  ['strlen', SENTENCE],
  ['strnlen', SENTENCE, word(9)],
  ['strcmp', text('abcdef'), text('abcdeg')],
  ['strncmp', text('abcdef'), text('abcxyz'), word(3)],
  ['strcasecmp', text('KPROBE'), text('kprobe')],
  ['strchr', SENTENCE, word(0x66)],
  ['strrchr', SENTENCE, word(0x6f)],
  ['strstr', SENTENCE, text('lazy')],
  ['strspn', text('aabbcc'), text('ab')],
  ['strim', text('  trimmed  ')],
  ['memchr', SENTENCE, word(0x6a), word(40)],
  ['memcmp', PATTERN, PATTERN, word(300)],
  ['memcpy', room(300), PATTERN, word(300)],
  ['memmove', room(300), PATTERN, word(257)],
  ['memset', room(300), word(0x41), word(299)],
  ['memscan', SENTENCE, word(0x7a), word(60)],
  ['sysfs_streq', text('enabled\n'), text('enabled')],
  ['glob_match', text('tcp_*_[a-f]?'), text('tcp_send_ab')],
];

const TEXTS: readonly KnownCall[] = [
  [
    'snprintf',
    room(128),
    word(128),
    text('%d|%s|%#lx|%5u|%-4d|%02x|%c'),
    word(-42),
    text('abc'),
    word(0xdead_beef),
    word(7),
    word(12),
    word(5),
    word(0x7a),
  ],
  ['scnprintf', room(8), word(8), text('%s'), text('longer than that')],
  ['sprintf', room(96), text('%pM %pI4 %*ph'), buffer('001122aabbcc'), buffer('0a000001'), word(3), buffer('a1b2c3')],
  ['sscanf', text('12 0x1f'), text('%d %i'), room(8), room(8)],
  ['kstrtoull', text('0x1f\n'), word(0), room(8)],
  ['kstrtoint', text('-12'), word(10), room(8)],
  ['bin2hex', room(64), PATTERN, word(16)],
  ['hex2bin', room(16), text('00ff10a5'), word(4)],
  ['get_option', buffer('00'.repeat(64)), room(8)],
  ['match_string', room(64), word(0), text('x')],
];

/** With comparison functions of the kernel's own. */
function searching(image: KernelImage): readonly KnownCall[] {
  const [symbol] = image.symbols.byName('gid_cmp');
  if (symbol === undefined) return [];
  const compare = word(symbol.address);
  return [
    ['sort', u32s(5, 3, 9, 1, 7, 3, 8, 2), word(8), word(4), compare, word(0)],
    ['bsearch', u32s(7), u32s(1, 3, 5, 7, 9), word(5), word(4), compare],
    ['bsearch', u32s(8), u32s(1, 3, 5, 7, 9), word(5), word(4), compare],
  ];
}

const BITS: readonly KnownCall[] = [
  ['_find_first_bit', buffer('0000000000000000000100'.padEnd(64, '0')), word(256)],
  ['_find_next_bit', buffer('ff000000000000000100'.padEnd(64, '0')), word(256), word(8)],
  ['__bitmap_weight', PATTERN, word(2000)],
  ['__bitmap_and', room(64), PATTERN, PATTERN, word(400)],
  ['__bitmap_set', room(64), word(3), word(100)],
  ['bitmap_find_next_zero_area_off', PATTERN, word(512), word(0), word(5), word(0), word(0)],
];

export const knownCalls = (image: KernelImage): readonly KnownCall[] => [
  ...ARITHMETIC,
  ...CHECKSUMS,
  ...STRINGS,
  ...TEXTS,
  ...BITS,
  ...searching(image),
];
