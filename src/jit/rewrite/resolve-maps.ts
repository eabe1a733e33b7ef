import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { type BpfCode, immediateHalves, insnNamed, insnTable } from '../bpf/index.ts';
import { MAP_VALUES_AT, type MapSpec } from '../maps/index.ts';

/** A map as instructions are made to name it. */
export interface MapReference {
  /** Address of struct bpf_map. */
  readonly address: bigint;
  readonly spec: MapSpec;
}

const NUMBER = insnNamed('lddw');
const MAP = insnNamed('lddw map_idx');
const MAP_VALUE = insnNamed('lddw map_idx_value');
const NAMES_MAP = insnTable(({ index }) => Number(index === MAP.index || index === MAP_VALUE.index));
const SOURCE = 'resolve_pseudo_ldimm64, kernel/bpf/verifier.c (6.12)';

const fault = (index: number, detail: string, errno: Fault['errno'] = 'EINVAL'): Fault => ({
  errno,
  rule: 'bpf.map.reference',
  detail: `instruction ${index}: ${detail}`,
  linux: SOURCE,
  index,
});

/**
 * Puts addresses in place of references to maps (BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE), which count in `maps`; other immediates stay,
 * file descriptors among them, which the compiler then refuses.
 *
 * Faults, with the slot in `index`: EINVAL an index or an offset that is not there; ENOTSUPP a value of a map that is no array of
 * one element.
 */
export function resolveMaps(code: BpfCode, maps: readonly MapReference[]): Result<BpfCode> {
  let out: BpfCode | undefined;
  for (let slot = 0; slot < code.length; slot++) {
    if (NAMES_MAP[code.insn[slot] as number] === 0) continue;
    const address = addressOf(code, slot, maps);
    if (!address.ok) return address;
    out ??= copyOfCode(code);
    putNumber(out, slot, address.value);
  }
  return ok(out ?? code);
}

/** A 64-bit immediate that named something becomes this number. */
export function putNumber({ insn, src, imm }: BpfCode, slot: number, value: bigint): void {
  insn[slot] = NUMBER.index;
  src[slot] = 0;
  [imm[slot], imm[slot + 1]] = immediateHalves(value);
}

/** For {@link putNumber}: with columns of its own where that writes. */
export const copyOfCode = (code: BpfCode): BpfCode => ({
  ...code,
  insn: code.insn.slice(),
  src: code.src.slice(),
  imm: code.imm.slice(),
});

/** What a reference to a map stands for. */
function addressOf(code: BpfCode, slot: number, maps: readonly MapReference[]): Result<bigint> {
  const index = code.imm[slot] as number;
  const map = maps[index];
  if (map === undefined) return err(fault(slot, `there is no map ${index} of ${maps.length}`));
  const offset = (code.imm[slot + 1] as number) >>> 0;
  if (code.insn[slot] === MAP.index)
    return offset === 0 ? ok(map.address) : err(fault(slot, 'the second half of a reference to a map is 0'));
  const { spec } = map;
  if (spec.type !== 'array' || spec.maxEntries !== 1)
    return err(fault(slot, `${spec.name} is no array of one element: its value has no address`, 'ENOTSUPP'));
  if (offset >= spec.valueSize)
    return err(
      fault(slot, `offset ${offset} is outside of the value of ${spec.name}, which has ${spec.valueSize} bytes`),
    );
  return ok(map.address + BigInt(MAP_VALUES_AT + offset));
}
