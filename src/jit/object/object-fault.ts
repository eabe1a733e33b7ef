import type { Errno, Fault, Result } from '../../base/index.ts';

/** Rules of objects; their pages are the registry's. */
export type ObjectRule =
  | 'bpf.object.malformed'
  | 'bpf.object.unsupported'
  | 'bpf.object.section'
  | 'bpf.object.choice'
  | 'bpf.object.map'
  | 'bpf.object.relocation'
  | 'bpf.object.core'
  | 'bpf.object.extern'
  | 'bpf.object.size';

/** Where in the object: a section's name and bytes from its start. */
export interface ObjectPlace {
  readonly section: string;
  readonly offset: number;
}

const DETAIL_MAX = 1000;

/** Names in an object may be any bytes; an explanation is one line. */
export const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, DETAIL_MAX);

export const placeText = ({ section, offset }: ObjectPlace): string => `${section} at offset 0x${offset.toString(16)}`;

/** Carries a fault out of nested reading. Never leaves this folder: {@link catchingObjectFault} turns it back into a result at each entry. */
export class ObjectFault extends Error {
  override readonly name = 'ObjectFault';
  readonly fault: Fault;
  constructor(fault: Fault) {
    super(fault.detail);
    this.fault = fault;
  }
}

export function refuseBy(rule: ObjectRule, errno: Errno, place: ObjectPlace, what: string): never {
  throw new ObjectFault({ errno, rule, detail: printable(`${placeText(place)}: ${what}`) });
}

/** The object breaks its format at this place. */
export const refuse = (section: string, offset: number, what: string): never =>
  refuseBy('bpf.object.malformed', 'EINVAL', { section, offset }, what);

export function catchingObjectFault<T>(read: () => T): Result<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (error instanceof ObjectFault) return { ok: false, fault: error.fault };
    throw error;
  }
}

/** Takes the value of a reader of another room, whose complaints about the file are complaints about this object. */
export function taken<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const rule = result.fault.rule === 'image.unsupported' ? 'bpf.object.unsupported' : 'bpf.object.malformed';
  throw new ObjectFault({ ...result.fault, rule, detail: printable(result.fault.detail) });
}
