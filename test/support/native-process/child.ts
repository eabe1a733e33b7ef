/**
 * The process that runs machine code on the real CPU: it may crash, its parent must not. koffi is loaded here and nowhere else. Memory is
 * never writable and executable at once: it is filled first and then protected.
 */
import koffi from 'koffi';
import type { NativeAnswer, NativeMessage, NativeReply, NativeRequest } from './protocol.ts';

const libc = koffi.load('libc.so.6');
const mmap = libc.func(
  'uint64_t mmap(uint64_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
);
const mprotect = libc.func('int mprotect(uint64_t address, size_t length, int protection)');
const dlopen = libc.func('uint64_t dlopen(const char *path, int mode)');
const dlsym = libc.func('uint64_t dlsym(uint64_t handle, const char *name)');
const syscall = libc.func('long syscall(long number, long a, long b)');
/** Words that a function does not take do not disturb it. */
const WORDS_MAX = 12;
const proto = koffi.proto(`uint64_t NativeCode(${Array.from({ length: WORDS_MAX }, () => 'uint64_t').join(', ')})`);

const PROT = { 'r--': 1, 'rw-': 3, 'r-x': 5 } as const;
const MAP_PRIVATE = 0x2;
const MAP_ANONYMOUS = 0x20;
const MAP_FIXED_NOREPLACE = 0x10_0000;
const SYS_ARCH_PRCTL = 158;
const RTLD_NOW = 2;
/** More nanoseconds than anything takes. */
const NEVER = 1n << 62n;
const ARCH_SET_GS = 0x1001;

function memory(address: bigint, length: number): Uint8Array {
  return new Uint8Array(koffi.view(address, length));
}

function map(address: bigint, length: number): void {
  const got = mmap(address, length, PROT['rw-'], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (BigInt(got) !== address) throw new Error(`mmap at 0x${address.toString(16)} failed`);
}

function call(address: bigint, args: readonly bigint[]): bigint {
  const words = Array.from({ length: WORDS_MAX }, (_, i) => args[i] ?? 0n);
  return BigInt.asUintN(64, BigInt(koffi.call(address, proto, ...words)));
}

function addressOf(library: string, name: string): bigint {
  const handle = dlopen(library, RTLD_NOW);
  const address = handle === 0n ? 0n : BigInt(dlsym(BigInt(handle), name));
  if (address === 0n) throw new Error(`${library} has no ${name}`);
  return address;
}

function answer(request: NativeRequest): NativeAnswer {
  switch (request.op) {
    case 'map':
      map(request.address, request.length);
      return undefined;
    case 'write':
      memory(request.address, request.bytes.length).set(request.bytes);
      return undefined;
    case 'protect':
      if (mprotect(request.address, request.length, PROT[request.permissions]) !== 0)
        throw new Error('mprotect failed');
      return undefined;
    case 'read':
      return memory(request.address, request.length).slice();
    case 'gs':
      if (syscall(SYS_ARCH_PRCTL, ARCH_SET_GS, request.base) !== 0) throw new Error('arch_prctl failed');
      return undefined;
    case 'call':
      return call(request.address, request.args);
    case 'time': {
      // Once before, so that its pages are there.
      call(request.address, request.args);
      let fastest = NEVER;
      for (let round = 0; round < request.rounds; round++) {
        const start = process.hrtime.bigint();
        call(request.address, request.args);
        const took = process.hrtime.bigint() - start;
        if (took < fastest) fastest = took;
      }
      return fastest;
    }
    case 'symbol':
      return addressOf(request.library, request.name);
  }
}

process.on('message', (message: NativeMessage) => {
  const send = (reply: NativeReply): void => void process.send?.(reply);
  try {
    send({ id: message.id, answers: message.requests.map(answer) });
  } catch (error) {
    send({ id: message.id, error: String(error) });
  }
});
