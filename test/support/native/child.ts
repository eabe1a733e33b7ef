/** The process that executes generated code on the real CPU. It may die of it; its parent says which run it was. */
import koffi from 'koffi';
import {
  CALLX,
  CODE_AREA_SIZE,
  DATA_AREA_SIZE,
  type FromChild,
  IDENTITY,
  type NativeResult,
  type NativeRun,
  PROGRAMS_AT,
  type ToChild,
} from './area.ts';

const libc = koffi.load('libc.so.6');
const mmap = libc.func('void *mmap(uint64_t, size_t, int, int, int, long)');
const mprotect = libc.func('int mprotect(void *, size_t, int)');
const copyIn = libc.func('void *memcpy(void *, const uint8_t *, size_t)');
const copyOut = libc.func('memcpy', 'void *', [koffi.out('uint8_t *'), 'void *', 'size_t']);
const program = koffi.proto('uint64_t bpf_program(uint64_t, uint64_t)');

const [READ, WRITE, EXEC] = [1, 2, 4];
const PRIVATE_ANONYMOUS = 0x22;
const map = (size: number): bigint => {
  const pointer = mmap(0, size, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0);
  return BigInt(koffi.address(pointer));
};
const codeArea = map(CODE_AREA_SIZE);
const dataArea = map(DATA_AREA_SIZE);

function protect(flags: number): void {
  if (mprotect(codeArea, CODE_AREA_SIZE, flags) !== 0) throw new Error('mprotect failed');
}

function write(at: number, bytes: Uint8Array): void {
  copyIn(codeArea + BigInt(at), bytes, bytes.length);
}

function execute({ entry, memory, repeat = 1 }: NativeRun): NativeResult {
  if (memory.length > 0) copyIn(dataArea, memory, memory.length);
  const address = codeArea + BigInt(entry);
  const pointer = memory.length > 0 ? dataArea : 0n;
  let value = 0n;
  const start = process.hrtime.bigint();
  for (let call = 0; call < repeat; call++) value = koffi.call(address, program, pointer, memory.length);
  const elapsedNs = Number(process.hrtime.bigint() - start);
  const after = Buffer.alloc(memory.length);
  if (memory.length > 0) copyOut(after, dataArea, memory.length);
  return { value: BigInt(value), memory: after, elapsedNs };
}

const send = (message: FromChild): void => void process.send?.(message);

process.on('message', ({ batch }: ToChild) => {
  protect(READ | WRITE);
  write(PROGRAMS_AT, batch.code);
  protect(READ | EXEC);
  send({ kind: 'done', results: batch.runs.map(execute) });
});

write(IDENTITY.at, IDENTITY.bytes);
write(CALLX.at, CALLX.bytes);
protect(READ | EXEC);
send({ kind: 'ready', base: codeArea, dataBase: dataArea });
