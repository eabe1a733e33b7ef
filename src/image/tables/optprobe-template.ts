import { toHex } from '../../base/index.ts';
import type { OptprobeTemplate } from '../kernel-image.ts';
import type { RawKernel } from '../raw-kernel.ts';

/** As long as it could ever be: a save and a restore of all registers. */
const TEMPLATE_MAX = 512;

/** The template as the packed image keeps it. */
export type PackedTemplate = Omit<OptprobeTemplate, 'bytes'> & { readonly bytes: string };

/**
 * The code that every optimized kprobe's detour begins with, and the places in it that each probe fills in. It lies in .rodata: it is copied and
 * never run where it is. Undefined when the kernel is built without CONFIG_OPTPROBES.
 * Source: arch/x86/kernel/kprobes/opt.c optprobe_template_entry (6.12; 6.1 alike).
 */
export function readOptprobeTemplate(kernel: RawKernel): PackedTemplate | undefined {
  const label = (name: string): number | undefined => kernel.symbolOffset(`optprobe_template_${name}`);
  const entry = label('entry');
  const clac = label('clac');
  const val = label('val');
  const call = label('call');
  const end = label('end');
  if (entry === undefined || clac === undefined || val === undefined || call === undefined || end === undefined)
    return undefined;
  const isOrdered = entry < clac && clac < val && val < call && call < end;
  const bytes = isOrdered && end - entry <= TEMPLATE_MAX ? kernel.read(entry, end - entry) : undefined;
  if (bytes === undefined) return undefined;
  return { bytes: toHex(bytes), clac: clac - entry, val: val - entry, call: call - entry };
}
