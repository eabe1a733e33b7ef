/** The kernel's printf formats for code addresses. Source: lib/vsprintf.c symbol_string, kernel/kallsyms.c sprint_symbol (6.12; 6.1 alike). */
import { formatAddress, toAddress } from '../../base/index.ts';
import { moduleAt } from '../../image/index.ts';
import type { BpfTrampoline, FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/** What generated handlers stand for lies in a module on a real kernel, and the kernel names the module. */
const MODULE = 'ktextd';
/** BTF id of vmlinux's own BTF object. */
const VMLINUX_BTF = 1n;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** ` [lab]` behind the symbols of a module. */
export function moduleSuffix(txn: Txn, at: number): string {
  const module = moduleAt(txn.world.image, at);
  return module === undefined ? '' : ` [${module.name}]`;
}

/** `%px` with `0x` in front. */
export const rawAddress = (txn: Txn, at: number): string => formatAddress(toAddress(txn.world.image.base, at));

/** bpf_trampoline_compute_key: the object's id in the upper half, the function's BTF id below, marked as not a program. */
function trampolineKey(txn: Txn, trampoline: BpfTrampoline): bigint | undefined {
  const { btf, symbols } = txn.world.image;
  const name = symbols.containing(trampoline.func)?.name;
  const id = name === undefined ? undefined : btf?.id(name);
  return id === undefined ? undefined : (VMLINUX_BTF << 32n) | 0x8000_0000n | BigInt(id);
}

function trampolineSymbol(txn: Txn, at: number): string | undefined {
  const trampoline = txn.trampolines.find(
    ({ image }) => image !== undefined && at >= image.at && at < image.at + image.size,
  );
  if (trampoline?.image === undefined) return undefined;
  const key = trampolineKey(txn, trampoline);
  if (key === undefined) return undefined;
  return `bpf_trampoline_${key}+${hex(at - trampoline.image.at)}/${hex(trampoline.image.size)}`;
}

function handlerSymbol(txn: Txn, at: number): string | undefined {
  const handler = txn.arena.allocations.get(at);
  if (handler?.what !== 'ftrace_handler' || handler.attachment === undefined) return undefined;
  return `ftrace_handler_${handler.attachment}+0x0/${hex(handler.bytes.length)} [${MODULE}]`;
}

/** `%pS`: `symbol+0xoffset/0xsize`; the plain address where the kernel has no symbol, as for the private trampolines of ftrace. */
export function formatSymbol(txn: Txn, at: number): string {
  if (!txn.world.pristine.contains(at, 1))
    return trampolineSymbol(txn, at) ?? handlerSymbol(txn, at) ?? rawAddress(txn, at);
  const symbol = txn.world.image.symbols.containing(at);
  if (symbol?.offset === undefined) return rawAddress(txn, at);
  return `${symbol.name}+${hex(at - symbol.offset)}/${hex(symbol.size)}${moduleSuffix(txn, at)}`;
}

/** `%pS` of an ops' callback. */
export function formatFunc(txn: Txn, ops: FtraceOps): string {
  return formatSymbol(txn, txn.world.image.symbols.offsetOf(ops.func.symbol) ?? ops.func.at);
}
