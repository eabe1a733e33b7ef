/** What is refused of maps, and of programs that name them. */
import assert from 'node:assert/strict';
import type { Fault, Result } from '../../src/base/index.ts';
import {
  accessProblem,
  type BpfMap,
  type CreateMapRequest,
  decideCreateMap,
  decideDeleteMap,
  decideUpdateElement,
  type MapChange,
  mapUnknown,
} from '../../src/registry/index.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

const EXIT = '9500000000000000';
/** r1 = map 0; exit */
const USES_MAP_0 = `18510000000000000000000000000000${EXIT}`;

const request = (more: Partial<CreateMapRequest> = {}): CreateMapRequest => ({
  name: 'm',
  type: 'hash',
  keySize: 4,
  valueSize: 4,
  maxEntries: 1,
  ...more,
});

function faultOf(result: Result<unknown>): Fault {
  assert.ok(!result.ok);
  return result.fault;
}

const made = (lab: RegistryLab, more: Partial<CreateMapRequest> = {}): Result<MapChange> =>
  decideCreateMap(lab.state, request(more), { id: 'map_1', client: 'test', tenant: 'default', nowMs: 1 });

function map(lab: RegistryLab, more: Partial<CreateMapRequest> = {}): BpfMap {
  const change = made(lab, more);
  assert.ok(change.ok);
  lab.state = change.value.state;
  return change.value.map;
}

const update = (lab: RegistryLab, key: string, flags = 0): Fault =>
  faultOf(decideUpdateElement(lab.state, 'map_1', { key, value: '00000000', flags }));

export const MAP_CASES: Readonly<Record<string, RuleCase>> = {
  'map.unknown': { refuse: () => mapUnknown('map_none') },
  'map.in-use': {
    refuse: (lab) => {
      const { id } = map(lab);
      assert.equal(lab.loadProgram({ type: 'raw', bytecode: USES_MAP_0, maps: [id] }).outcome.kind, 'granted');
      return faultOf(decideDeleteMap(lab.state, id));
    },
  },
  'map.limit': { refuse: (lab) => faultOf(made(lab, { maxEntries: 1 << 24 })) },
  'bpf.map.attributes': { refuse: (lab) => faultOf(made(lab, { keySize: 0 })) },
  'bpf.map.element': {
    refuse: (lab) => {
      map(lab);
      return update(lab, '00000000', 3);
    },
  },
  'bpf.map.access': {
    refuse: (lab) => faultOf(accessProblem(map(lab, { type: 'array', frozen: true }), 'write')),
  },
  'map.sizes': {
    refuse: (lab) => {
      map(lab);
      return update(lab, '00');
    },
  },
  'bpf.map.reference': {
    refuse: (lab) => {
      const { outcome } = lab.loadProgram({ type: 'raw', bytecode: USES_MAP_0 });
      assert.ok(outcome.kind === 'refused');
      return outcome.fault;
    },
  },
};
