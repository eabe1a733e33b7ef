import type { Result } from '../../base/index.ts';
import type { BootProfile } from '../kernel-image.ts';
import { catchingMalformed, refuse } from '../malformed.ts';
import { applyAlternatives } from './alternatives.ts';
import type { BootInput, BootResult } from './boot-patching.ts';
import { bootText } from './boot-text.ts';
import { applyCallThunks, noCallThunks } from './call-thunks.ts';
import { parseCmdline } from './cmdline.ts';
import type { BootContext, BootReport } from './context.ts';
import { readCapFlags } from './cpu-caps.ts';
import { isKvmGuest, parseCpuInfo } from './cpuinfo.ts';
import { sealEndbr } from './endbr-seal.ts';
import { nopFtraceSites } from './ftrace-sites.ts';
import { cpuCaps } from './hidden-features.ts';
import { readJumpEntries } from './jump-entries.ts';
import { patchJumpLabels } from './jump-labels.ts';
import { lsmState } from './lsm-calls.ts';
import { selectMitigations } from './mitigations.ts';
import { applyParavirt61 } from './paravirt-61.ts';
import { applyRetpolines } from './retpoline-sites.ts';
import { applyReturns } from './return-sites.ts';
import { patchRuntimeConstants } from './runtime-const.ts';
import { unlockForUniprocessor } from './smp-locks.ts';
import { staticCallUpdates } from './static-call-updates.ts';
import { patchStaticCalls } from './static-calls.ts';
import { type KeyStates, staticKeyStates } from './static-keys.ts';

type Unknown = BootResult['unknowns'][number];

/** Collects what the passes did. */
export function makeReport(): { readonly report: BootReport; result(): Omit<BootResult, 'machine'> } {
  const counts = new Map<string, number>();
  const unknowns: Unknown[] = [];
  return {
    report: {
      count: (category, sites = 1) => counts.set(category, (counts.get(category) ?? 0) + sites),
      unknown: (category, count, reason) => unknowns.push({ category, count, reason }),
    },
    result: () => ({ counts: Object.fromEntries(counts), unknowns }),
  };
}

/** For a pass that runs twice and is counted once. */
const SILENT: BootReport = { count: () => undefined, unknown: () => undefined };

function contextOf(input: BootInput, report: BootReport): BootContext {
  const { kernel, profile } = input;
  const machine = machineOf(profile);
  const names = readCapFlags(kernel);
  const caps = cpuCaps(kernel, names, machine.cpu, machine.mitigations, profile.staticKeys ?? {});
  return { kernel, text: bootText(kernel, input.text), profile, ...machine, caps, report };
}

/** What the profile alone says. */
export function machineOf(profile: BootProfile): Pick<BootContext, 'cmdline' | 'cpu' | 'mitigations'> {
  const cmdline = parseCmdline(profile.cmdline);
  const cpu = parseCpuInfo(profile);
  return { cmdline, cpu, mitigations: selectMitigations({ cpu, vulnerabilities: profile.vulnerabilities, cmdline }) };
}

/**
 * Does to the text what this kernel does to itself while it boots on the machine that the profile describes. The bytes of `input.text` are
 * changed in place; the kernel's own are not. Faults name a malformed table.
 */
export function applyBootPatching(input: BootInput): Result<BootResult> {
  return catchingMalformed(() => {
    const { report, result } = makeReport();
    const boot = contextOf(input, report);
    const keyStates = refusingFarBranches(() => {
      nopFtraceSites(boot);
      return alternativeInstructions(boot);
    });
    return { ...result(), machine: { capabilities: boot.caps.bits, keyStates } };
  });
}

/** A branch that does not reach: only a damaged table sends one that far. */
export function refusingFarBranches<T>(patch: () => T): T {
  try {
    return patch();
  } catch (error) {
    if (error instanceof RangeError) refuse('a table of patch sites', 0, error.message);
    throw error;
  }
}

/** The order of alternative_instructions; static calls and static keys, which boot patches before and after it, come last with their final state. */
function alternativeInstructions(boot: BootContext): KeyStates {
  const { kernel } = boot;
  applyParavirt61(boot);
  applyRetpolines(boot);
  applyReturns(boot);
  applyAlternatives(boot);
  const lsm = lsmState(boot);
  const updates = staticCallUpdates(boot, lsm);
  const thunks = applyCallThunks(boot, () => patchStaticCalls({ ...boot, report: SILENT }, updates, noCallThunks));
  sealEndbr(boot);
  unlockForUniprocessor(boot);
  patchStaticCalls(boot, updates, thunks);
  const entries = readJumpEntries(kernel);
  const states = staticKeyStates(boot, entries, lsm);
  patchJumpLabels(boot, entries, states);
  patchRuntimeConstants(boot);
  reportLimits(boot);
  return states;
}

/** Machines of which a profile does not tell enough. */
function reportLimits(boot: BootContext): void {
  const { kernel, report, cpu } = boot;
  if (isKvmGuest(cpu)) {
    report.unknown(
      'KVM guest',
      1,
      'paravirtual spinlocks, clock, steal time and IPIs depend on what the hypervisor offers in leaf 0x40000001',
    );
  }
  if (!cpu.flags.has('hypervisor') && kernel.symbolOffset('__SCK__x86_pmu_handle_irq') !== undefined) {
    report.unknown(
      'performance counters',
      1,
      'the static calls of x86_pmu depend on the model of the CPU; they are left NULL',
    );
  }
}
