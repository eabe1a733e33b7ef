/**
 * Where a kprobe may go at all.
 * Source: kernel/kprobes.c check_kprobe_address_safe, within_kprobe_blacklist; kernel/jump_label.c jump_label_text_reserved;
 * kernel/static_call_inline.c static_call_text_reserved; lib/bug.c find_bug (6.12; 6.1 alike).
 */
import type { Fault } from '../../base/index.ts';
import { moduleAt } from '../../image/index.ts';
import {
  KPROBE_BLACKLISTED,
  KPROBE_BUG_SITE,
  KPROBE_FTRACE_CALLER,
  KPROBE_JUMP_LABEL,
  KPROBE_MODULE_GOING,
  KPROBE_NOT_TEXT,
  KPROBE_PADDING,
  KPROBE_STATIC_CALL,
  KPROBE_STATIC_CALL_TRAMPOLINE,
} from '../rules/kprobe.ts';
import { type Rule, refuse } from '../rules/rule.ts';
import { floorIndex, inRanges, isKernelText, type World } from '../world.ts';

/** Index of the table entry whose instruction has this byte. */
function siteCovering(starts: Uint32Array, sizes: Uint8Array, addr: number): number | undefined {
  const index = floorIndex(starts, addr);
  if (index < 0) return undefined;
  return addr < (starts[index] as number) + (sizes[index] as number) ? index : undefined;
}

/** True for a symbol whose name carries a compiler suffix and whose base symbol is blacklisted (foo.cold of foo). */
export function isSuffixOfBlacklisted(world: World, addr: number): boolean {
  const name = world.image.symbols.containing(addr)?.name;
  const dot = name?.indexOf('.') ?? -1;
  if (name === undefined || dot < 0) return false;
  const base = world.image.symbols.offsetOf(name.slice(0, dot));
  return base !== undefined && inRanges(world.blacklist, base) !== undefined;
}

/** True inside ftrace_caller or ftrace_regs_caller, which ftrace copies for every ops. */
export function isInFtraceCaller({ ftrace }: World, addr: number): boolean {
  if (ftrace === undefined) return false;
  return (
    (addr >= ftrace.ftraceCaller && addr < ftrace.ftraceCallerEnd) ||
    (addr >= ftrace.ftraceRegsCaller && addr < ftrace.ftraceRegsCallerEnd)
  );
}

/** Why an address may not have a kprobe; undefined when it may. */
export function unsafeAddress(
  world: World,
  addr: number,
  place: string,
): { readonly rule: Rule; readonly detail: string } | undefined {
  const { image } = world;
  if (!isKernelText(world, addr))
    return { rule: KPROBE_NOT_TEXT, detail: `${place} is neither core kernel text nor a module's.` };
  const module = addr < world.coreText.end ? undefined : moduleAt(image, addr);
  if (module !== undefined && world.goingModules.has(module.name))
    return { rule: KPROBE_MODULE_GOING, detail: `${place} belongs to ${module.name}, which is going away.` };
  const forbidden = inRanges(world.blacklist, addr);
  if (forbidden !== undefined || isSuffixOfBlacklisted(world, addr))
    return {
      rule: KPROBE_BLACKLISTED,
      detail: `${place} is blacklisted for kprobes${forbidden?.name === undefined ? '' : ` (${forbidden.name})`}.`,
    };
  const label = siteCovering(image.jumpLabels.code, image.jumpLabels.size, addr);
  if (label !== undefined)
    return { rule: KPROBE_JUMP_LABEL, detail: `${place} is part of a static branch (jump label).` };
  const call = siteCovering(image.staticCalls.site, image.staticCalls.size, addr);
  if (call !== undefined) return { rule: KPROBE_STATIC_CALL, detail: `${place} is part of a static-call site.` };
  if (image.bugTable[floorIndex(image.bugTable, addr)] === addr)
    return { rule: KPROBE_BUG_SITE, detail: `${place} is the ud2 of a BUG or WARN.` };
  const name = image.symbols.containing(addr)?.name ?? '';
  if (name.startsWith('__pfx_') || name.startsWith('__cfi_'))
    return { rule: KPROBE_PADDING, detail: `${place} lies in the padding before a function.` };
  if (world.strictness === 'safe' && inRanges(image.staticCalls.trampolines, addr) !== undefined)
    return {
      rule: KPROBE_STATIC_CALL_TRAMPOLINE,
      detail: `${place} is a static-call trampoline; Linux accepts the probe and stops with BUG at the next update of the call.`,
    };
  if (world.strictness === 'safe' && isInFtraceCaller(world, addr))
    return {
      rule: KPROBE_FTRACE_CALLER,
      detail: `${place} is part of the code that ftrace copies for every ops; Linux accepts the probe and copies its breakpoint.`,
    };
  return undefined;
}

export function checkAddressSafe(world: World, addr: number, place: string): Fault | undefined {
  const unsafe = unsafeAddress(world, addr, place);
  return unsafe === undefined ? undefined : refuse(unsafe.rule, { detail: unsafe.detail, place });
}
