/** What the rules of modules refuse, with the lab module on the built-in kernel. */
import assert from 'node:assert/strict';
import { type Fault, kernelAddress } from '../../src/base/index.ts';
import type { KernelImage, ModuleSupport } from '../../src/image/index.ts';
import type { ModuleDecision } from '../../src/registry/index.ts';
import { labModule } from './modules.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

function faultOf({ outcome }: ModuleDecision): Fault {
  assert.equal(outcome.kind, 'refused');
  return (outcome as Extract<typeof outcome, { kind: 'refused' }>).fault;
}

const LAB = labModule();

const loading = (lab: RegistryLab): Fault => faultOf(lab.loadModule(LAB));
const unloading = (lab: RegistryLab): Fault => faultOf(lab.stepModule('lab', 'gone'));

const supporting =
  (support: Partial<ModuleSupport>) =>
  (image: KernelImage): KernelImage => ({ ...image, moduleSupport: { ...image.moduleSupport, ...support } });

function loaded(lab: RegistryLab, until: 'coming' | 'live' = 'live'): void {
  assert.equal(lab.loadModule(LAB, until).outcome.kind, 'granted');
}

export const MODULE_CASES: Readonly<Record<string, RuleCase>> = {
  'module.malformed': { refuse: (lab) => faultOf(lab.loadModule(LAB.subarray(0, LAB.length - 100))) },
  'module.vermagic': {
    refuse: loading,
    image: supporting({ vermagic: '6.12.0-ktextd SMP preempt mod_unload modversions ' }),
  },
  'module.symbol.unknown': { refuse: loading, image: supporting({ hasExports: true, exported: () => undefined }) },
  'module.symbol.version': {
    refuse: loading,
    image: supporting({
      exported: (name) => ({ name, address: kernelAddress(0xffff_ffff_8100_0000n), isGpl: true, crc: 1 }),
    }),
  },
  'module.exists': {
    refuse: (lab) => {
      loaded(lab);
      return loading(lab);
    },
  },
  'module.no-room': {
    refuse: (lab) => {
      loaded(lab);
      const [module] = lab.state.modules;
      assert.ok(module !== undefined);
      const areas = module.image.areas.map((area) => ({ ...area, size: 0x2fff_0000 }));
      lab.state = { ...lab.state, modules: [{ ...module, name: 'huge', image: { ...module.image, areas } }] };
      return loading(lab);
    },
  },
  'module.unknown': { refuse: unloading },
  'module.not-live': {
    refuse: (lab) => {
      loaded(lab, 'coming');
      return unloading(lab);
    },
  },
  'module.in-use': {
    refuse: (lab) => {
      loaded(lab);
      lab.attach('fentry', 'lab:lab_t1', {}, 'tracer');
      return unloading(lab);
    },
    holders: ['tracer'],
  },
  'module.permanent': {
    refuse: (lab) => {
      loaded(lab);
      const [module] = lab.state.modules;
      assert.ok(module !== undefined);
      lab.state = { ...lab.state, modules: [{ ...module, image: { ...module.image, canUnload: false } }] };
      return unloading(lab);
    },
  },
  'module.livepatch': {
    refuse: (lab) => {
      lab.attach('livepatch', 'lab:lab_notrace', {}, 'patcher');
      return loading(lab);
    },
    holders: ['patcher'],
  },
  'kprobe.module.going': {
    refuse: (lab) => {
      loaded(lab);
      assert.equal(lab.stepModule('lab', 'going').outcome.kind, 'granted');
      return lab.refused('kprobe', 'lab_t1');
    },
  },
  'kprobe.gone': {
    refuse: (lab) => {
      loaded(lab);
      const { id } = lab.attach('kprobe', 'lab_t1+0x10');
      lab.setEnabled(id, false);
      assert.equal(lab.stepModule('lab', 'gone').outcome.kind, 'granted');
      const { outcome } = lab.setEnabled(id, true);
      assert.equal(outcome.kind, 'refused');
      return (outcome as Extract<typeof outcome, { kind: 'refused' }>).fault;
    },
  },
};
