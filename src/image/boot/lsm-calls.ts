import type { BootContext } from './context.ts';
import { readPointer, readString, readU32, symbolAround, symbolAt } from './kernel-memory.ts';

/** What the security modules of this boot do to static calls and static keys (6.12 and later; before, hooks were lists). */
export interface LsmState {
  readonly enabled: ReadonlySet<string>;
  /** Offset of struct static_call_key → offset of the function. */
  readonly calls: ReadonlyMap<number, number>;
  /** Offsets of the `security_hook_active_*` keys that are on. */
  readonly activeKeys: readonly number[];
}

/** struct lsm_info (include/linux/lsm_hooks.h): name, order, flags, enabled, init, blobs. */
const LSM_INFO_SIZE = 48;
const LSM_ORDER_FIRST = -1;
const LSM_ORDER_LAST = 1;
const LSM_FLAG_LEGACY_MAJOR = 1;
const LSM_FLAG_EXCLUSIVE = 2;
/** struct lsm_static_call: key, trampoline, hl, active. */
const LSM_STATIC_CALL_SIZE = 32;
const MAX_LSM_COUNT = 64;
/** Some 260 hooks of 11 slots each in 6.12. */
const SLOTS_MAX = 1 << 16;

interface LsmInfo {
  readonly name: string;
  readonly order: number;
  readonly flags: number;
  readonly isEnabled: boolean;
}

function readInfos(boot: BootContext, start: string, stop: string): readonly LsmInfo[] {
  const { kernel } = boot;
  const from = kernel.symbolOffset(start);
  const to = kernel.symbolOffset(stop);
  if (from === undefined || to === undefined) return [];
  const infos: LsmInfo[] = [];
  for (let at = from; at + LSM_INFO_SIZE <= to && infos.length < MAX_LSM_COUNT; at += LSM_INFO_SIZE) {
    const namePointer = readPointer(kernel, at);
    const name = typeof namePointer === 'number' ? readString(kernel, namePointer) : undefined;
    if (name === undefined) continue;
    const enabled = readPointer(kernel, at + 24);
    // A pointer to a variable that a command line word sets; NULL stands for "always".
    const isEnabled = typeof enabled === 'number' ? (readU32(kernel, enabled) ?? 0) !== 0 : true;
    infos.push({
      name,
      order: (readU32(kernel, at + 8) ?? 0) | 0,
      flags: readU32(kernel, at + 16) ?? 0,
      isEnabled:
        cmdlineEnabled(boot, name) ?? (typeof enabled === 'number' && enabledInBss(boot, enabled) ? true : isEnabled),
    });
  }
  return infos;
}

/** LSMs of which a variable in .bss says that they are on set it themselves while the order is made. */
const enabledInBss = (boot: BootContext, offset: number): boolean => boot.kernel.read(offset, 4) === undefined;

function cmdlineEnabled(boot: BootContext, name: string): boolean | undefined {
  const word = boot.cmdline.value(name);
  return word === undefined ? undefined : word !== '0';
}

/** CONFIG_LSM: the string of names separated by commas that lists most of this kernel's modules. */
function builtinOrder(boot: BootContext, names: ReadonlySet<string>): string {
  let best = '';
  let bestCount = 1;
  for (const section of ['.init.data', '.rodata', '.data']) {
    const bytes = boot.kernel.section(section)?.bytes;
    if (bytes === undefined) continue;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (const name of names) {
      const needle = Buffer.from(`${name},`, 'latin1');
      for (let at = buffer.indexOf(needle); at >= 0; at = buffer.indexOf(needle, at + 1)) {
        const start = buffer.lastIndexOf(0, at) + 1;
        const text =
          at - start > 256 ? '' : buffer.toString('latin1', start, Math.min(buffer.indexOf(0, at), at + 512));
        if (!/^[a-z,_]+$/.test(text)) continue;
        const count = text.split(',').filter((word) => names.has(word)).length;
        if (count <= bestCount) continue;
        best = text;
        bestCount = count;
        // A list of most names is no accident; searching on would cost time.
        if (2 * count >= names.size) return best;
      }
    }
    if (best !== '') return best;
  }
  return best;
}

/** Names in the order in which they are initialised (ordered_lsm_init, security/security.c). */
function lsmOrder(boot: BootContext): readonly string[] {
  const early = readInfos(boot, '__start_early_lsm_info', '__end_early_lsm_info');
  const infos = readInfos(boot, '__start_lsm_info', '__end_lsm_info');
  const order: LsmInfo[] = [];
  const append = (info: LsmInfo | undefined): void => {
    if (info !== undefined && !order.includes(info)) order.push(info);
  };
  for (const info of infos) if (info.order === LSM_ORDER_FIRST) append(info);
  const chosen = boot.cmdline.value('lsm');
  const major = chosen === undefined ? boot.cmdline.value('security') : undefined;
  const names = (chosen ?? builtinOrder(boot, new Set(infos.map((info) => info.name)))).split(',');
  const isUnwantedMajor = (info: LsmInfo): boolean =>
    major !== undefined && (info.flags & LSM_FLAG_LEGACY_MAJOR) !== 0 && info.name !== major;
  for (const name of names) append(infos.find((info) => info.name === name && info.order === 0));
  if (major !== undefined) append(infos.find((info) => info.name === major));
  for (const info of infos) if (info.order === LSM_ORDER_LAST) append(info);
  let exclusive: string | undefined;
  const enabled = order.filter((info) => {
    if (!info.isEnabled || isUnwantedMajor(info)) return false;
    if ((info.flags & LSM_FLAG_EXCLUSIVE) === 0) return true;
    exclusive ??= info.name;
    return exclusive === info.name;
  });
  return [...early.map((info) => info.name), ...enabled.map((info) => info.name)];
}

/** Where `__ro_after_init` and plain data lie. */
const HOOK_SECTIONS = ['.rodata', '.data', '.init.data', '.data..ro_after_init'];

interface Hook {
  /** Offset of the first struct lsm_static_call of the hook. */
  readonly slots: number;
  readonly hook: number;
  readonly lsm: string;
}

/** Where in `bytes` a pointer into [from, to) stands; a native search for its upper six bytes, megabytes being too many for a loop. */
function pointersInto(kernel: BootContext['kernel'], bytes: Uint8Array, from: number, to: number): readonly number[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: number[] = [];
  const last = (kernel.base + BigInt(to)) >> 16n;
  for (let upper = (kernel.base + BigInt(from)) >> 16n; upper <= last; upper++) {
    const needle = Buffer.alloc(8);
    needle.writeBigUInt64LE(upper);
    const six = needle.subarray(0, 6);
    for (let at = buffer.indexOf(six); at >= 0; at = buffer.indexOf(six, at + 1)) {
      const pointer = at >= 2 ? buffer.readBigUInt64LE(at - 2) - kernel.base : -1n;
      if (pointer >= BigInt(from) && pointer < BigInt(to)) found.push(at - 2);
    }
  }
  return found.sort((a, b) => a - b);
}

/**
 * Every struct security_hook_list {scalls, hook, lsmid} in data: it points into static_calls_table and at code. Its lsmid is filled in by security_add_hooks, which
 * gets arrays by name: `apparmor_hooks`, `bpf_lsm_hooks`, so that the symbol tells whose they are.
 */
function findHooks(boot: BootContext, table: number, tableEnd: number, lsms: readonly string[]): readonly Hook[] {
  const { kernel } = boot;
  const hooks: Hook[] = [];
  for (const name of HOOK_SECTIONS) {
    const section = kernel.section(name);
    const start = section?.offset;
    if (section === undefined || start === undefined || section.executable) continue;
    for (const at of pointersInto(kernel, section.bytes, table, tableEnd)) {
      const hook = (start + at) % 8 === 0 ? readPointer(kernel, start + at + 8) : undefined;
      if (typeof hook !== 'number' || readPointer(kernel, start + at + 16) !== null || !boot.text.has(hook, 1))
        continue;
      const array = symbolAround(kernel, start + at);
      const lsm = array?.endsWith('_hooks') === true ? lsms.find((word) => array.startsWith(`${word}_`)) : undefined;
      const slots = readPointer(kernel, start + at);
      if (lsm !== undefined && typeof slots === 'number') hooks.push({ slots, hook, lsm });
    }
  }
  return hooks;
}

/** Slots of one hook: as many as its static calls have names that differ only in the number. */
const keyPrefix = (name: string): string => name.replace(/\d+$/, '');

/** A struct lsm_static_call as the file has it: a key, a trampoline, no hook yet, a key. */
function isSlot(boot: BootContext, at: number): boolean {
  const { kernel } = boot;
  const trampoline = readPointer(kernel, at + 8);
  if (typeof trampoline !== 'number' || !boot.text.has(trampoline, 8)) return false;
  const keys = [readPointer(kernel, at), readPointer(kernel, at + 24)];
  return readPointer(kernel, at + 16) === null && keys.every((key) => typeof key === 'number');
}

/** Puts the hooks of each module, in their order, into the first free slot (lsm_static_call_init). */
export function lsmState(boot: BootContext): LsmState {
  const { kernel } = boot;
  const table = kernel.symbolOffset('static_calls_table');
  const order = lsmOrder(boot);
  if (table === undefined) return { enabled: new Set(order), calls: new Map(), activeKeys: [] };
  let tableEnd = table;
  const slotName = (slot: number): string | undefined => {
    const key = readPointer(kernel, slot);
    return typeof key === 'number' ? symbolAt(kernel, key) : undefined;
  };
  while (isSlot(boot, tableEnd) && tableEnd - table < SLOTS_MAX * LSM_STATIC_CALL_SIZE)
    tableEnd += LSM_STATIC_CALL_SIZE;
  const calls = new Map<number, number>();
  const activeKeys: number[] = [];
  const used = new Map<number, number>();
  const hooks = findHooks(boot, table, tableEnd, order);
  for (const lsm of order) {
    for (const hook of hooks) {
      if (hook.lsm !== lsm) continue;
      const index = used.get(hook.slots) ?? 0;
      const slot = hook.slots + index * LSM_STATIC_CALL_SIZE;
      if (keyPrefix(slotName(slot) ?? '') !== keyPrefix(slotName(hook.slots) ?? '?')) continue;
      used.set(hook.slots, index + 1);
      const key = readPointer(kernel, slot);
      const active = readPointer(kernel, slot + 24);
      if (typeof key === 'number') calls.set(key, hook.hook);
      if (typeof active === 'number') activeKeys.push(active);
    }
  }
  return { enabled: new Set(order), calls, activeKeys };
}
