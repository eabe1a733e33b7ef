import type { Cmdline } from './cmdline.ts';
import type { CpuInfo } from './cpuinfo.ts';

export type SpectreV2 = 'none' | 'retpoline' | 'lfence' | 'eibrs' | 'eibrs-retpoline' | 'eibrs-lfence' | 'ibrs';
export type Retbleed = 'none' | 'unret' | 'ibpb' | 'ibrs' | 'eibrs' | 'stuff';
type RetbleedCmd = 'off' | 'auto' | 'unret' | 'ibpb' | 'stuff';

/** What cpu_select_mitigations (arch/x86/kernel/cpu/bugs.c, 6.12) leaves behind. */
export interface Mitigations {
  readonly spectreV2: SpectreV2;
  readonly retbleed: Retbleed;
  /** X86_FEATURE_* names that are forced on. */
  readonly features: ReadonlySet<string>;
  /** Symbol that x86_return_thunk points to; undefined for the default. */
  readonly returnThunk: string | undefined;
  /** Static keys that the selection turns on or off, by symbol. */
  readonly staticKeys: ReadonlyMap<string, boolean>;
  /** True when BPF programs flush the predictors: `static_call_update(bpf_arch_pred_flush, bpf_arch_ibpb)`. */
  readonly bpfPredFlush: boolean;
}

export interface MitigationInput {
  readonly cpu: CpuInfo;
  /** By file name in /sys/devices/system/cpu/vulnerabilities; a text says which mitigation won and decides where it does. */
  readonly vulnerabilities: Readonly<Record<string, string>>;
  readonly cmdline: Cmdline;
}

interface State extends MitigationInput {
  readonly isOff: boolean;
  readonly isAmd: boolean;
  readonly on: Set<string>;
  readonly keys: Map<string, boolean>;
  thunk: string | undefined;
}

const isAffected = (state: State, bug: string): boolean => state.cpu.bugs.has(bug);

/** The words of a vulnerability's text without its `; …` tail; undefined when the profile has no such file. */
function textOf(state: State, file: string): string | undefined {
  const text = state.vulnerabilities[file];
  return text === undefined ? undefined : text.trim();
}

/** spectre_v2_strings, oldest spellings included; longest first. */
const SPECTRE_V2_TEXTS: readonly (readonly [RegExp, SpectreV2])[] = [
  [/^Mitigation: (?:Enhanced \/ Automatic|Enhanced) IBRS \+ Retpolines/, 'eibrs-retpoline'],
  [/^Mitigation: (?:Enhanced \/ Automatic|Enhanced) IBRS \+ LFENCE/, 'eibrs-lfence'],
  [/^Mitigation: (?:Enhanced \/ Automatic|Enhanced) IBRS/, 'eibrs'],
  [/^Vulnerable: eIBRS\+LFENCE/, 'eibrs-lfence'],
  [/^Vulnerable: eIBRS/, 'eibrs'],
  [/^Mitigation: Retpolines/, 'retpoline'],
  [/^(?:Mitigation|Vulnerable): LFENCE/, 'lfence'],
  [/^Mitigation: IBRS/, 'ibrs'],
  [/^Vulnerable/, 'none'],
];

function retbleedCmd(cmdline: Cmdline): RetbleedCmd {
  let cmd: RetbleedCmd = 'auto';
  for (const word of cmdline.values('retbleed').flatMap((value) => value.split(','))) {
    if (word === 'off' || word === 'auto' || word === 'unret' || word === 'ibpb' || word === 'stuff') cmd = word;
  }
  return cmd;
}

/** The command line's wish; `undefined` stands for auto (spectre_v2_parse_cmdline). */
function spectreV2Cmd(state: State): SpectreV2 | 'on' | undefined {
  const { cmdline, cpu } = state;
  if (state.isOff || cmdline.flag('nospectre_v2')) return 'none';
  switch (cmdline.value('spectre_v2')) {
    case 'off':
      return 'none';
    case 'on':
      return 'on';
    case 'retpoline':
    case 'retpoline,generic':
      return 'retpoline';
    case 'retpoline,amd':
    case 'retpoline,lfence':
      return 'lfence';
    case 'eibrs':
      return cpu.flags.has('ibrs_enhanced') ? 'eibrs' : undefined;
    case 'eibrs,retpoline':
      return cpu.flags.has('ibrs_enhanced') ? 'eibrs-retpoline' : undefined;
    case 'eibrs,lfence':
      return cpu.flags.has('ibrs_enhanced') ? 'eibrs-lfence' : undefined;
    case 'ibrs':
      return cpu.vendor === 'intel' && cpu.flags.has('ibrs') ? 'ibrs' : undefined;
    default:
      return undefined;
  }
}

function autoSpectreV2(state: State): SpectreV2 {
  const { cpu } = state;
  if (cpu.flags.has('ibrs_enhanced')) return 'eibrs';
  const cmd = retbleedCmd(state.cmdline);
  const wantsIbrs = isAffected(state, 'retbleed') && cmd !== 'off' && cmd !== 'stuff';
  return wantsIbrs && cpu.flags.has('ibrs') && cpu.vendor === 'intel' ? 'ibrs' : 'retpoline';
}

function selectSpectreV2(state: State): SpectreV2 {
  const text = textOf(state, 'spectre_v2');
  const told = text === undefined ? undefined : SPECTRE_V2_TEXTS.find(([pattern]) => pattern.test(text))?.[1];
  if (told !== undefined) return told;
  const cmd = spectreV2Cmd(state);
  if (cmd === undefined) return isAffected(state, 'spectre_v2') ? autoSpectreV2(state) : 'none';
  return cmd === 'on' ? autoSpectreV2(state) : cmd;
}

function selectSpectreV1(state: State): void {
  const { cpu } = state;
  const text = textOf(state, 'spectre_v1');
  const isMitigated =
    text === undefined
      ? isAffected(state, 'spectre_v1') && !state.isOff && !state.cmdline.flag('nospectre_v1')
      : text.startsWith('Mitigation');
  if (!isMitigated) return;
  const smapWorks = cpu.flags.has('smap') && !isAffected(state, 'cpu_meltdown');
  if (!cpu.flags.has('fsgsbase') && smapWorks) return;
  if (isAffected(state, 'swapgs') && !cpu.flags.has('pti')) state.on.add('FENCE_SWAPGS_USER');
  state.on.add('FENCE_SWAPGS_KERNEL');
}

function selectBhi(state: State, mode: SpectreV2): void {
  if (!isAffected(state, 'bhi') || mode === 'none') return;
  const told = /BHI: ([^;]*)/.exec(textOf(state, 'spectre_v2') ?? '')?.[1];
  if (told !== undefined) {
    if (told.startsWith('BHI_DIS_S')) state.on.add('CLEAR_BHB_HW');
    else if (told.startsWith('SW loop')) state.on.add('CLEAR_BHB_LOOP').add('CLEAR_BHB_LOOP_ON_VMEXIT');
    else if (told.includes('KVM: SW loop')) state.on.add('CLEAR_BHB_LOOP_ON_VMEXIT');
    return;
  }
  const cmd = state.cmdline.value('spectre_bhi') ?? 'on';
  // Whether the CPU has RRSBA and BHI_DIS_S is in no flag: retpolines are taken to do, and no hardware control to exist.
  if (cmd === 'off' || mode === 'retpoline' || mode === 'eibrs-retpoline') return;
  state.on.add('CLEAR_BHB_LOOP_ON_VMEXIT');
  if (cmd !== 'vmexit') state.on.add('CLEAR_BHB_LOOP');
}

/** The features of the chosen mode (end of spectre_v2_select_mitigation). Returns whether BPF flushes the predictors. */
function applySpectreV2(state: State, mode: SpectreV2): boolean {
  const { cpu, on } = state;
  if (mode === 'none') return false;
  if (mode === 'ibrs') on.add('KERNEL_IBRS');
  if (mode === 'lfence' || mode === 'eibrs-lfence') on.add('RETPOLINE_LFENCE');
  if (mode !== 'ibrs' && mode !== 'eibrs') on.add('RETPOLINE');
  selectBhi(state, mode);
  const isEibrs = mode.startsWith('eibrs');
  if (!isEibrs) on.add('RSB_CTXSW').add('RSB_VMEXIT');
  else if (isAffected(state, 'eibrs_pbrsb')) on.add('RSB_VMEXIT_LITE');
  if (isAffected(state, 'retbleed') && cpu.flags.has('ibpb') && state.isAmd) {
    if (retbleedCmd(state.cmdline) !== 'ibpb') on.add('USE_IBPB_FW');
  } else if (cpu.flags.has('ibrs') && !isEibrs && mode !== 'ibrs') {
    on.add('USE_IBRS_FW');
  }
  return cpu.flags.has('ibpb') && (!on.has('RETPOLINE') || on.has('RETPOLINE_LFENCE'));
}

function wantedRetbleed(state: State, mode: SpectreV2): Retbleed {
  if (!isAffected(state, 'retbleed') || state.isOff) return 'none';
  const byDefault: Retbleed = state.isAmd ? 'unret' : 'none';
  switch (retbleedCmd(state.cmdline)) {
    case 'off':
      return 'none';
    case 'unret':
      return 'unret';
    case 'ibpb':
      return state.cpu.flags.has('ibpb') ? 'ibpb' : byDefault;
    case 'stuff':
      return mode === 'retpoline' ? 'stuff' : byDefault;
    case 'auto':
      return byDefault;
  }
}

function selectRetbleed(state: State, mode: SpectreV2): Retbleed {
  const text = textOf(state, 'retbleed') ?? '';
  let wanted = wantedRetbleed(state, mode);
  if (text.startsWith('Mitigation: untrained return thunk')) wanted = 'unret';
  else if (text.startsWith('Mitigation: IBPB')) wanted = 'ibpb';
  // A text of stuffing may come from ITS, which is selected later and then sets the same.
  else if (text.startsWith('Mitigation: Stuffing')) wanted = 'stuff';
  if (wanted === 'unret') {
    state.on.add('RETHUNK').add('UNRET');
    state.thunk = 'retbleed_return_thunk';
  } else if (wanted === 'ibpb') {
    useEntryIbpb(state);
  } else if (wanted === 'stuff') {
    state.on.add('RETHUNK').add('CALL_DEPTH');
    state.thunk = 'call_depth_return_thunk';
  }
  if (state.cpu.vendor !== 'intel') return wanted;
  if (mode === 'ibrs') return 'ibrs';
  if (mode.startsWith('eibrs')) return 'eibrs';
  return wanted === 'stuff' ? 'stuff' : 'none';
}

/** An IBPB on every kernel entry makes untraining and return thunks needless. */
function useEntryIbpb(state: State): void {
  state.on.add('ENTRY_IBPB').add('IBPB_ON_VMEXIT');
  for (const needless of ['UNRET', 'RETHUNK', 'RSB_VMEXIT']) state.on.delete(needless);
}

function selectSpectreV2User(state: State, mode: SpectreV2): void {
  const { cpu, cmdline, on, keys } = state;
  if (!cpu.flags.has('ibpb') && !cpu.flags.has('stibp')) return;
  const forced = spectreV2Cmd(state) === 'on';
  const cmd = forced ? 'on' : (cmdline.value('spectre_v2_user') ?? 'auto');
  const told = /IBPB: ([a-z-]+)/.exec(textOf(state, 'spectre_v2') ?? '')?.[1];
  const isNone = told === undefined ? mode === 'none' || cmd === 'off' : told === 'disabled';
  if (isNone || !cpu.flags.has('ibpb')) return;
  on.add('USE_IBPB');
  const always = told === undefined ? cmd === 'on' || cmd.endsWith(',ibpb') : told === 'always-on';
  keys.set(always ? 'switch_mm_always_ibpb' : 'switch_mm_cond_ibpb', true);
}

const CLEARS_BUFFERS = /^(?:Mitigation: Clear CPU buffers|Vulnerable: Clear CPU buffers attempted)/;

function selectClearCpuBuf(state: State): void {
  const { cpu, on, keys } = state;
  for (const file of ['mds', 'tsx_async_abort'])
    if (CLEARS_BUFFERS.test(textOf(state, file) ?? '')) on.add('CLEAR_CPU_BUF');
  if ((textOf(state, 'reg_file_data_sampling') ?? '').startsWith('Mitigation: Clear Register File'))
    on.add('CLEAR_CPU_BUF');
  const tsa = textOf(state, 'tsa') ?? '';
  const isTsaForced = tsa.startsWith('Vulnerable: Clear CPU buffers attempted') && cpu.flags.has('hypervisor');
  if ((tsa.startsWith('Mitigation: Clear CPU buffers') && !tsa.endsWith(': VM')) || isTsaForced)
    on.add('CLEAR_CPU_BUF');
  if (isAffected(state, 'mmio_stale_data') && CLEARS_BUFFERS.test(textOf(state, 'mmio_stale_data') ?? '')) {
    keys.set('mmio_stale_data_clear', !on.has('CLEAR_CPU_BUF'));
    // ARCH_CAP_FBSDP_NO is in no flag; CPUs with this bug and that bit are few.
    keys.set('cpu_buf_idle_clear', true);
    keys.set('mds_idle_clear', true);
  }
  const hasSmt = (cpu.threadsPerCore ?? 1) > 1 || /SMT (?:vulnerable|mitigated)/.test(textOf(state, 'mds') ?? '');
  const clearsInIdle = (tsa !== '' && !/^(?:Not affected|Vulnerable$)/.test(tsa)) || isAffected(state, 'msbds_only');
  if (hasSmt && clearsInIdle) keys.set('cpu_buf_idle_clear', true).set('mds_idle_clear', true);
}

/** 0x19 for Zen 3 and 4, where SRSO needs the aliasing thunk. Without `cpu family`, the bugs tell. */
export function amdFamily(cpu: CpuInfo): number {
  if (cpu.family !== undefined) return cpu.family;
  // Only Zen 1 and 2 have all of these; RETBleed alone is Bulldozer's and Jaguar's too.
  if (cpu.bugs.has('retbleed')) return cpu.bugs.has('smt_rsb') || cpu.bugs.has('srso') ? 0x17 : 0x15;
  if (/Milan|Genoa|Bergamo|Siena/i.test(cpu.modelName)) return 0x19;
  if (/Turin/i.test(cpu.modelName)) return 0x1a;
  if (cpu.bugs.has('srso')) return cpu.bugs.has('tsa') || !cpu.bugs.has('vmscape') ? 0x19 : 0x1a;
  return /EPYC|Ryzen/i.test(cpu.modelName) ? 0x17 : 0x10;
}

function selectSrso(state: State, retbleed: Retbleed): void {
  const text = textOf(state, 'spec_rstack_overflow');
  const isAffectedByIt = isAffected(state, 'srso') && !state.isOff;
  const cmd = state.cmdline.value('spec_rstack_overflow') ?? 'safe-ret';
  const isSafeRet = text === undefined ? isAffectedByIt && cmd === 'safe-ret' : /: safe RET/i.test(text);
  if (isSafeRet) {
    const isAlias = amdFamily(state.cpu) === 0x19;
    state.on
      .add('RETHUNK')
      .add('UNRET')
      .add(isAlias ? 'SRSO_ALIAS' : 'SRSO');
    state.thunk = isAlias ? 'srso_alias_return_thunk' : 'srso_return_thunk';
  } else if (text !== undefined && /^Mitigation: IBPB(?!.*VMEXIT)/.test(text) && retbleed !== 'ibpb') {
    useEntryIbpb(state);
  } else if (text?.startsWith('Mitigation: IBPB on VMEXIT') === true) {
    state.on.add('IBPB_ON_VMEXIT');
    state.on.delete('RSB_VMEXIT');
  }
}

function selectIts(state: State, mode: SpectreV2): void {
  const { on, cmdline } = state;
  if (!isAffected(state, 'its') || state.isOff || (on.has('RETPOLINE') && on.has('CALL_DEPTH'))) return;
  const text = textOf(state, 'indirect_target_selection');
  const cmd = cmdline.value('indirect_target_selection') ?? 'on';
  const byCmd =
    cmd === 'off' || mode === 'none' || on.has('RETPOLINE_LFENCE')
      ? 'none'
      : cmd === 'stuff' && on.has('RETPOLINE')
        ? 'stuff'
        : 'thunks';
  const chosen =
    text === undefined
      ? byCmd
      : text.includes('Aligned branch/return thunks')
        ? 'thunks'
        : text.includes('Stuffing')
          ? 'stuff'
          : 'none';
  if (chosen === 'none') return;
  on.add('RETHUNK');
  if (chosen === 'stuff') on.add('CALL_DEPTH');
  else if (!on.has('RETPOLINE')) on.add('INDIRECT_THUNK_ITS');
  state.thunk = chosen === 'stuff' ? 'call_depth_return_thunk' : 'its_return_thunk';
}

function selectOthers(state: State): void {
  const { cpu, cmdline, on, keys } = state;
  if ((textOf(state, 'meltdown') ?? '').includes('XEN PV')) on.add('XENPV');
  if (/^Mitigation: Speculative Store Bypass disabled(?! via)/.test(textOf(state, 'spec_store_bypass') ?? '')) {
    on.add('SPEC_STORE_BYPASS_DISABLE');
  } else if (textOf(state, 'spec_store_bypass') === undefined && cpu.flags.has('ssbd') && !state.isOff) {
    if (cmdline.value('spec_store_bypass_disable') === 'on') on.add('SPEC_STORE_BYPASS_DISABLE');
  }
  if ((textOf(state, 'vmscape') ?? '').startsWith('Mitigation: IBPB before exit')) on.add('IBPB_EXIT_TO_USER');
  if ((textOf(state, 'l1tf') ?? '').startsWith('Mitigation: PTE Inversion')) on.add('L1TF_PTEINV');
  if (cmdline.value('l1d_flush') === 'on' && cpu.flags.has('flush_l1d')) keys.set('switch_mm_cond_l1d_flush', true);
  if (/STIBP: conditional/.test(textOf(state, 'spectre_v2') ?? '')) {
    keys.set('switch_to_cond_stibp', true).set('sched_smt_present', true);
  }
  // The texts of several files end in the state of SMT.
  if (Object.values(state.vulnerabilities).some((text) => /SMT (?:vulnerable|mitigated|enabled)/.test(text))) {
    keys.set('sched_smt_present', true);
  }
}

/** Repeats the kernel's selection in its order; where /sys says what won, /sys decides. */
export function selectMitigations(input: MitigationInput): Mitigations {
  const mode = input.cmdline.value('mitigations');
  const state: State = {
    ...input,
    isOff: mode === 'off',
    isAmd: input.cpu.vendor === 'amd' || input.cpu.vendor === 'hygon',
    on: new Set(),
    keys: new Map(),
    thunk: undefined,
  };
  selectSpectreV1(state);
  const spectreV2 = selectSpectreV2(state);
  const bpfPredFlush = applySpectreV2(state, spectreV2);
  const retbleed = selectRetbleed(state, spectreV2);
  selectSpectreV2User(state, spectreV2);
  selectClearCpuBuf(state);
  selectSrso(state, retbleed);
  selectIts(state, spectreV2);
  selectOthers(state);
  return { spectreV2, retbleed, features: state.on, returnThunk: state.thunk, staticKeys: state.keys, bpfPredFlush };
}
