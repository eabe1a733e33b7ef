/** The same algorithms as BPF and as C: what compiled programs are timed against. Both take memory and a number, and answer a number. */
export interface Algorithm {
  readonly name: string;
  readonly bpf: string;
  readonly c: string;
  /** Second argument. */
  readonly amount: bigint;
}

export const SIEVE: Algorithm = {
  name: 'sieve',
  amount: 1_000_000n,
  // R1 memory, R2 size: 8 bytes a store for the beginning, then the multiples of each prime, then the count.
  bpf: `
    mov %r3, %r1
    mov %r4, %r1
    add %r4, %r2
    lddw %r5, 0x0101010101010101
  fill:
    stxdw [%r3], %r5
    add %r3, 8
    jlt %r3, %r4, fill
    mov %r3, 2
  prime:
    mov %r5, %r3
    mul %r5, %r3
    jge %r5, %r2, count
    mov %r6, %r1
    add %r6, %r3
    ldxb %r7, [%r6]
    jeq %r7, 0, next
    add %r5, %r1
  strike:
    stb [%r5], 0
    add %r5, %r3
    jlt %r5, %r4, strike
  next:
    add %r3, 1
    ja prime
  count:
    mov %r0, 0
    mov %r3, %r1
    add %r3, 2
  sum:
    ldxb %r5, [%r3]
    add %r0, %r5
    add %r3, 1
    jlt %r3, %r4, sum
    exit`,
  c: `#include <stdint.h>
uint64_t sieve(uint8_t *memory, uint64_t size) {
  uint64_t found = 0;
  for (uint64_t at = 0; at < size; at += 8) *(uint64_t *)(memory + at) = 0x0101010101010101ull;
  for (uint64_t prime = 2; prime * prime < size; prime++)
    if (memory[prime])
      for (uint64_t at = prime * prime; at < size; at += prime) memory[at] = 0;
  for (uint64_t at = 2; at < size; at++) found += memory[at];
  return found;
}`,
};

export const XORSHIFT: Algorithm = {
  name: 'xorshift',
  amount: 5_000_000n,
  bpf: `
    lddw %r3, 0x9e3779b97f4a7c15
    mov %r0, 0
  again:
    mov %r4, %r3
    lsh %r4, 13
    xor %r3, %r4
    mov %r4, %r3
    rsh %r4, 7
    xor %r3, %r4
    mov %r4, %r3
    lsh %r4, 17
    xor %r3, %r4
    add %r0, %r3
    sub %r2, 1
    jne %r2, 0, again
    exit`,
  c: `#include <stdint.h>
uint64_t xorshift(uint8_t *memory, uint64_t rounds) {
  uint64_t state = 0x9e3779b97f4a7c15ull, sum = 0;
  (void)memory;
  do {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    sum += state;
  } while (--rounds);
  return sum;
}`,
};
