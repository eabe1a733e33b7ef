/** Arguments of a call: from the request, and by prototype. */
import { err, fromHex, ok, type Result } from '../base/index.ts';
import { ARGUMENT_BYTES_MAX, type CallArgument } from '../machine/index.ts';
import { refuse } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';
import { textOffsetOf } from './places.ts';
import { CALL_ARGUMENT, CALL_PROTOTYPE } from './rules.ts';
import type { CallArgumentRequest, CallRequest } from './service.ts';

const WORD_MAX = 1n << 64n;

const invalid = (detail: string, index: number): Result<never> => err(refuse(CALL_ARGUMENT, { detail, index }));

function readArgument(kernel: Kernel, argument: CallArgumentRequest, index: number): Result<CallArgument> {
  if (typeof argument === 'object' && 'buffer' in argument) {
    const bytes = fromHex(argument.buffer);
    return bytes === undefined ? invalid(`args/${index} is no hex.`, index) : ok({ kind: 'buffer', bytes });
  }
  if (typeof argument === 'object') {
    const at = textOffsetOf(kernel.view(), argument.symbol);
    return at.ok ? ok({ kind: 'word', value: kernel.world.image.base + BigInt(at.value) }) : at;
  }
  const text = String(argument).trim();
  if (!/^(?:-?\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text))
    return invalid(`args/${index}, ${text}, is no number.`, index);
  const value = BigInt(text);
  if (value >= WORD_MAX || value < -(WORD_MAX / 2n)) return invalid(`args/${index} has more than 64 bits.`, index);
  return ok({ kind: 'word', value: BigInt.asUintN(64, value) });
}

/** Arguments that were not given: zeroed memory of the pointee's size for pointers, else their position. */
function sampleArguments(kernel: Kernel, name: string, given: number): Result<readonly CallArgument[]> {
  const { btf } = kernel.world.image;
  const prototype = btf?.prototype(name);
  const pointees = btf?.pointees(name);
  if (prototype === undefined || pointees === undefined)
    return err(refuse(CALL_PROTOTYPE, { detail: `BTF has no prototype of ${name}.`, place: name }));
  const samples: CallArgument[] = [];
  for (const [i, parameter] of prototype.params.entries()) {
    if (i < given) continue;
    if (parameter.kind === 'struct' || parameter.kind === 'union')
      return err(refuse(CALL_PROTOTYPE, { detail: `${name} takes ${parameter.type} by value.`, place: name }));
    const pointee = pointees[i];
    if (pointee === undefined) samples.push({ kind: 'word', value: BigInt(i) });
    else samples.push({ kind: 'buffer', bytes: new Uint8Array(Math.min(Math.max(pointee.size, 64), 1 << 16)) });
  }
  return ok(samples);
}

/** @param at offset of the function */
export function readArguments(
  kernel: Kernel,
  request: Pick<CallRequest, 'function' | 'args' | 'sample'>,
  at: number,
): Result<readonly CallArgument[]> {
  const args: CallArgument[] = [];
  for (const [index, argument] of request.args.entries()) {
    const read = readArgument(kernel, argument, index);
    if (!read.ok) return read;
    args.push(read.value);
  }
  if (request.sample === true) {
    // BTF has names alone: `tcp_bbr:bbr_main` is `bbr_main` to it.
    const name = kernel.world.image.symbols.containing(at)?.name ?? request.function;
    const samples = sampleArguments(kernel, name, args.length);
    if (!samples.ok) return samples;
    args.push(...samples.value);
  }
  const bytes = args.reduce((sum, each) => sum + (each.kind === 'buffer' ? each.bytes.length + 128 : 0), 0);
  if (bytes > ARGUMENT_BYTES_MAX)
    return invalid(`The arguments take ${bytes} bytes, at most ${ARGUMENT_BYTES_MAX}.`, 0);
  return ok(args);
}
