/** enum bpf_core_relo_kind (include/uapi/linux/bpf.h, 6.12), with libbpf's names. */
export const CORE_KINDS = [
  'byte_off',
  'byte_sz',
  'field_exists',
  'signed',
  'lshift_u64',
  'rshift_u64',
  'local_type_id',
  'target_type_id',
  'type_exists',
  'type_size',
  'enumval_exists',
  'enumval_value',
  'type_matches',
] as const;

export type CoreKind = (typeof CORE_KINDS)[number];

/** What a relocation is about. */
export type CoreSubject = 'field' | 'type' | 'enum-value';

const SUBJECTS: Readonly<Record<CoreKind, CoreSubject>> = {
  byte_off: 'field',
  byte_sz: 'field',
  field_exists: 'field',
  signed: 'field',
  lshift_u64: 'field',
  rshift_u64: 'field',
  local_type_id: 'type',
  target_type_id: 'type',
  type_exists: 'type',
  type_size: 'type',
  enumval_exists: 'enum-value',
  enumval_value: 'enum-value',
  type_matches: 'type',
};

export const subjectOf = (kind: CoreKind): CoreSubject => SUBJECTS[kind];
