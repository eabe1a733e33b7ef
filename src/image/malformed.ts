import type { Fault, Result } from '../base/index.ts';

/** A file that breaks its own format: `structure` names what was being read, `offset` where in it (bytes). */
export function malformed(structure: string, offset: number, what: string): Fault {
  return {
    errno: 'EINVAL',
    rule: 'image.malformed',
    detail: `${structure} at offset 0x${offset.toString(16)}: ${what}`,
  };
}

/** A well-formed file of a kind that this service does not read. */
export function unsupported(detail: string): Fault {
  return { errno: 'EINVAL', rule: 'image.unsupported', detail };
}

/**
 * Carries a fault out of nested table reading. Never leaves this room: {@link catchingMalformed} turns it back into a result at each entry.
 */
export class ImageFault extends Error {
  override readonly name = 'ImageFault';
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.detail);
    this.fault = fault;
  }
}

export function refuse(structure: string, offset: number, what: string): never {
  throw new ImageFault(malformed(structure, offset, what));
}

export function catchingMalformed<T>(read: () => T): Result<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (error instanceof ImageFault) return { ok: false, fault: error.fault };
    throw error;
  }
}
