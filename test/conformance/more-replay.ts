import { type AttachRequest, kernelView } from '../../src/registry/index.ts';
import type { RegistryLab } from '../support/registry-lab.ts';
import type { MoreScenario, MoreStep } from './more-scenarios.ts';
import { bodyOffset, type RecordedStep, requestOf } from './scenarios.ts';

const GENERATED = 0xffff_ffff_c000_0000n;
/** From here on to the modules the recorded kernel has data and text that it freed when it had booted. */
const TEXT_END = 0xffff_ffff_8200_0000n;
const MODULE = 'lab';

/** `lab_t1` is looked up in the lab module: the built-in kernel has a function of the name, too. */
const placed = (target: string): string => (/^(?:__SCT__)?lab_/.test(target) ? `${MODULE}:${target}` : target);

const withOffset = (target: string, offset: number): string => {
  if (offset === 0) return target;
  return `${target}${offset > 0 ? '+' : '-'}0x${Math.abs(offset).toString(16)}`;
};

/** Kinds that only these scenarios have. */
const MORE_KINDS: Readonly<Record<string, (target: string) => AttachRequest>> = {
  fdx: (target) => ({ kind: 'ftrace_direct', target }),
  fdm: (target) => ({ kind: 'ftrace_direct', target }),
  fx_: (target) => ({ kind: 'ftrace', target }),
  fps: (target) => ({ kind: 'fprobe', target: [target] }),
  lpnt: (target) => ({ kind: 'livepatch', target, options: { patch: 'lpnt' } }),
  lpt1: (target) => ({ kind: 'livepatch', target, options: { patch: 'lpt1' } }),
  lpno: () => ({ kind: 'livepatch', target: 'no_such_function', options: { patch: 'lpno' } }),
};

/** Flags of the ops that a scenario is about. */
const FLAGS: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  'ft-flags:save_regs': { saveRegs: true },
  'ft-flags:recursion': { recursion: true },
};

const ADDRESS = /^register_kprobe\((?:addr=)?(0x[0-9a-f]+)\)$/;

const words = (line: string): string => line.replace(/\s+/g, ' ').trim();

const functionLine = (line: string): string =>
  words(line)
    .replace(/ M (?=tramp:|->)/, ' ')
    .replace(/0xffffffff[cd][0-9a-f]{7}/g, 'GENERATED')
    .replace(/(?:h_ft|ftrace_handler_\w+)\+0x0\/0x[0-9a-f]+ \[(?:lab|ktextd)\]/g, 'HANDLER')
    .replace(/ direct(?:\(jmp\))?-->.*$/, '');

const probeLine = (line: string): string =>
  words(line)
    .replace(/^[0-9a-f]{16} /, '')
    .replace(/ ?\[OPTIMIZED\]/, '');

/** The entry as words, calls and jumps by where they go. */
function entryWords(hex: string, address: bigint, length: number): string {
  const bytes = Buffer.from(hex, 'hex').subarray(0, length);
  const out: string[] = [];
  for (let at = 0; at < bytes.length; at++) {
    if ((bytes[at] === 0xe8 || bytes[at] === 0xe9) && at + 5 <= bytes.length) {
      const to = BigInt.asUintN(64, address + BigInt(at + 5 + bytes.readInt32LE(at + 1)));
      out.push(bytes[at] === 0xe8 ? 'call' : 'jmp', to >= GENERATED ? 'generated' : to.toString(16));
      at += 4;
    } else out.push((bytes[at] ?? 0).toString(16).padStart(2, '0'));
  }
  return out.join(' ');
}

/** One scenario on a kernel with the lab module in it that nobody is attached to. */
export class MoreReplay {
  readonly #lab: RegistryLab;
  readonly #scenario: MoreScenario;
  readonly #ids = new Map<string, string>();
  readonly #body: number;

  constructor(lab: RegistryLab, scenario: MoreScenario) {
    this.#lab = lab;
    this.#scenario = scenario;
    this.#body = bodyOffset(scenario.initial);
  }

  /** What differs; undefined when nothing does. */
  run(): string | undefined {
    for (const [i, step] of this.#scenario.steps.entries()) {
      const where = `step ${i}, ${step.op} ${step.kind ?? step.cmd} ${step.target ?? ''}`;
      const answer = this.#do(step);
      if (answer !== step.errno) return `${where}: Linux ${step.errno}, here ${answer}`;
      const difference = this.#listings(step) ?? this.#entry(step);
      if (difference !== undefined) return `${where}: ${difference}`;
    }
    for (const id of [...this.#ids.values()].reverse()) this.#lab.detach(id);
    return undefined;
  }

  #do(step: MoreStep): string {
    if (step.op === 'detach') return this.#detach(step.name ?? '');
    if (step.op === 'attach') return this.#attach(step.name ?? '', this.#request(step));
    return this.#command(step);
  }

  #request(step: MoreStep): AttachRequest {
    const target = placed(step.target ?? '');
    const more = MORE_KINDS[step.kind ?? ''];
    if (more !== undefined) {
      const request = more(withOffset(target, step.off ?? 0));
      const flags = FLAGS[this.#scenario.id];
      return flags === undefined ? request : { ...request, options: flags };
    }
    const { kind = '', name = '', op, off, errno } = step;
    const recorded: RecordedStep = {
      op: op === 'detach' ? 'detach' : 'attach',
      name,
      kind,
      target,
      errno,
      ...(off === undefined ? {} : { off }),
    };
    return requestOf(recorded, this.#body, (place) => this.#addressOf(place));
  }

  #addressOf(place: string): string {
    const [, module, name = '', sign, offset = '0'] = /^(?:(\w+):)?([\w.]+)(?:([+-])(\w+))?$/.exec(place) ?? [];
    const symbols = this.#lab.world.image.symbols.byName(name);
    const symbol = module === undefined ? symbols[0] : symbols.at(-1);
    if (symbol === undefined) throw new Error(`${place} is not there`);
    return `0x${(symbol.address + (sign === '-' ? -BigInt(offset) : BigInt(offset))).toString(16)}`;
  }

  #attach(name: string, request: AttachRequest): string {
    const { outcome } = this.#lab.decide(request);
    if (outcome.kind === 'refused') return outcome.fault.errno;
    this.#ids.set(name, outcome.attachment.id);
    return 'OK';
  }

  #detach(name: string): string {
    const id = this.#ids.get(name);
    if (id === undefined) return `nothing attached as ${name}`;
    const { outcome } = this.#lab.detach(id);
    if (outcome.kind === 'refused') return outcome.fault.errno;
    this.#ids.delete(name);
    return 'OK';
  }

  #command({ cmd = '', target = '' }: MoreStep): string {
    const address = ADDRESS.exec(cmd)?.[1];
    if (address !== undefined) return this.#attach(cmd, { kind: 'kprobe', target: address });
    switch (cmd) {
      case 'wait':
        return 'OK';
      case 'register_kprobe("lab:lab_t1")':
        return this.#attach(cmd, { kind: 'kprobe', target: 'lab:lab_t1' });
      case 'register_kprobe(flags=0x80)':
        return this.#attach(cmd, { kind: 'kprobe', target });
      case 'register_kprobe(DISABLED)': {
        const answer = this.#attach('disabled', { kind: 'kprobe', target });
        return answer === 'OK' ? this.#enable(false) : answer;
      }
      case 'enable_kprobe':
        return this.#enable(true);
      case 'unregister':
        return this.#detach('disabled');
      case 'static_branch_enable':
        return this.#attach('key', { kind: 'jump_label', target: 'lab:lab_key', options: { enabled: true } });
      case 'static_branch_disable':
        return this.#detach('key');
      case 'static_call_update':
        return this.#attach('call', { kind: 'static_call', target: 'lab_sc', options: { to: 'lab:lab_sc_second' } });
      case 'static_call_update back':
        return this.#detach('call');
      case 'BPF_LINK_CREATE kprobe_multi':
        return this.#multi(target);
      default:
        return this.#generated(cmd);
    }
  }

  #enable(isOn: boolean): string {
    const { outcome } = this.#lab.setEnabled(this.#ids.get('disabled') ?? '', isOn);
    return outcome.kind === 'refused' ? outcome.fault.errno : 'OK';
  }

  #multi(target: string): string {
    const what = this.#scenario.id.slice('bpf-kmulti:'.length);
    const places: Readonly<Record<string, readonly string[]>> = {
      'addr+0': [this.#addressOf(target)],
      'dup syms': [target, target],
      'one bad sym': [target, 'no_such_function'],
      'data addr': [this.#addressOf('init_task')],
    };
    return this.#attach(what, { kind: 'kprobe_multi', target: places[what] ?? [placed(target)] });
  }

  /** Code that the recording had made before, for an owner that is not among its steps. */
  #generated(cmd: string): string {
    if (!/generated/.test(this.#scenario.id)) return `no request for ${cmd}`;
    this.#attach('program', { kind: 'fentry', target: 'bpf_modify_return_test' });
    this.#attach('ops', { kind: 'ftrace', target: 'cmdline_proc_show' });
    const [, call, what] = /^(register_kprobe|ftrace_set_filter_ip)\((.*)\)$/.exec(cmd) ?? [];
    const name = what === 'ftrace dynamic trampoline' ? 'ftrace_trampoline' : 'bpf_trampoline';
    const found = [...this.#lab.state.arena.allocations.values()].find((each) => each.what.startsWith(name));
    if (call === undefined || found === undefined) return `no request for ${cmd}`;
    const target = this.#lab.address(found.at);
    return this.#attach(cmd, { kind: call === 'register_kprobe' ? 'kprobe' : 'ftrace', target });
  }

  #lines(view: string, form: (line: string) => string, target: string): string {
    const text = kernelView(this.#lab.view(), view);
    const lines = text.ok ? text.value.split(/\n(?!\t)/).filter((line) => line.includes(target)) : [];
    return lines.map(form).sort().join('\n      ');
  }

  #listings(step: MoreStep): string | undefined {
    if (this.#scenario.target === undefined || step.op === 'cmd') return undefined;
    const pairs = [
      ['tracing/enabled_functions', step.functions, functionLine],
      ['debug/kprobes/list', step.probes, probeLine],
    ] as const;
    for (const [view, recorded, form] of pairs) {
      const want = [...(recorded ?? [])].map(form).sort().join('\n      ');
      const have = this.#lines(view, form, step.target ?? this.#scenario.target);
      if (want !== have) return `${view}\n    Linux ${want}\n    here  ${have}`;
    }
    return undefined;
  }

  /** The entry alone: behind it a rebuilt function refers to other addresses, and a probe may be an int3 or a jmp. */
  #entry({ after, target: about }: MoreStep): string | undefined {
    const { at, target } = this.#scenario;
    if (about !== target) return undefined;
    const isFreed = at !== undefined && BigInt(at) >= TEXT_END && BigInt(at) < GENERATED;
    if (after === undefined || at === undefined || target === undefined || isFreed) return undefined;
    const own = this.#addressOf(placed(target));
    const offset = Number(BigInt(own) - this.#lab.world.image.base);
    const isProbed = (i: number): boolean => this.#lab.state.kprobeTable.get(offset + i)?.isFtrace === false;
    const length = [...Array(this.#body).keys()].find(isProbed) ?? this.#body;
    // A function without a site begins with its body.
    if (!this.#lab.world.pristine.contains(offset, this.#body)) return undefined;
    const isEntry = Buffer.from(this.#lab.world.pristine.bytes(offset, this.#body))
      .toString('hex')
      .endsWith('0f1f440000');
    if (!isEntry) return undefined;
    const have = entryWords(this.#lab.hex(offset, this.#body), BigInt(own), length);
    const want = entryWords(after, BigInt(at), length);
    return have === want ? undefined : `entry\n    Linux ${want}\n    here  ${have}`;
  }
}
