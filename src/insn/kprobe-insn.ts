import type { Errno, Fault } from '../base/index.ts';
import { canBoost, type KprobeRules } from './can-boost.ts';
import { decodeInsn } from './decode.ts';
import { fitsS32, jmpRel32 } from './encode.ts';
import { type Insn, modrmReg } from './insn.ts';
import { type KprobeEmulation, prepareEmulation } from './kprobe-emulation.ts';
import { INT3_INSN_OPCODE, JMP32_INSN_SIZE, MAX_INSN_SIZE } from './opcodes.ts';

/** Bytes of a kprobe's out-of-line slot: as many as an instruction can have (kprobe_insn_slots.insn_size, kernel/kprobes.c). */
export const KPROBE_SLOT_SIZE: number = MAX_INSN_SIZE;

const MOV_SREG_OPCODE = 0x8e;
const POP_SS_OPCODE = 0x17;
const SEGMENT_SS = 2;
const COPY = '__copy_instruction, arch/x86/kernel/kprobes/core.c';

export interface KprobeInsnOptions {
  readonly rules?: KprobeRules;
  /** CONFIG_PREEMPTION (on in Debian's kernels): boosting is off. Default true. */
  readonly preemption?: boolean;
  readonly hasPostHandler?: boolean;
  readonly hasExceptionEntry?: boolean;
}

/**
 * What becomes of a probed instruction. `slot` is the text written to the slot: the relocated copy, then int3 or, boosted, a jump back.
 * Emulated instructions get one, too, as in Linux, though nothing runs it.
 */
export type PreparedKprobeInsn =
  | {
      readonly kind: 'emulate';
      readonly insn: Insn;
      readonly how: KprobeEmulation;
      readonly slot: Uint8Array;
      readonly boost: boolean;
    }
  | { readonly kind: 'single-step'; readonly insn: Insn; readonly slot: Uint8Array; readonly boost: boolean }
  | { readonly kind: 'refused'; readonly fault: Fault };

const refused = (errno: Errno, rule: string, detail: string, linux: string): PreparedKprobeInsn => ({
  kind: 'refused',
  fault: { errno, rule, detail, linux },
});

/**
 * arch_copy_kprobe (6.1 and 6.12): copies the instruction for its slot, decides between emulating and single-stepping, and closes the slot.
 *
 * @param bytes the instruction as recovered from other probes, at least its length @param from where it stands @param slotAt where the
 *   slot lies; both count from `_text`
 * @returns refused with EINVAL (undecodable, forced-emulation prefix, foreign int3, MOV SS or POP SS, displacement out of reach), EOPNOTSUPP
 *   (cannot be emulated), ENOSPC (no room for the int3)
 */
export function prepareKprobeInsn(
  bytes: Uint8Array,
  from: number,
  slotAt: number,
  options: KprobeInsnOptions = {},
): PreparedKprobeInsn {
  const insn = decodeInsn(bytes, from);
  if (insn === undefined) return refused('EINVAL', 'kprobe.copy.undecodable', 'the bytes are no instruction', COPY);
  const copied = copyInstruction(bytes, insn, slotAt);
  if ('kind' in copied) return copied;
  const decision = prepareEmulation(insn);
  if ('fault' in decision) return { kind: 'refused', fault: decision.fault };
  const closed = closeSlot(copied, insn, slotAt, options);
  if ('kind' in closed) return closed;
  return decision.emulation === undefined
    ? { kind: 'single-step', insn, ...closed }
    : { kind: 'emulate', insn, how: decision.emulation, ...closed };
}

/**
 * __copy_instruction: an instruction as it has to be elsewhere, its %rip-relative displacement moved along; undefined when it may not be copied.
 * Parameters as {@link prepareKprobeInsn}'s.
 */
export function copyKprobeInsn(
  bytes: Uint8Array,
  from: number,
  slotAt: number,
): { readonly insn: Insn; readonly copy: Uint8Array } | undefined {
  const insn = decodeInsn(bytes, from);
  const copy = insn === undefined ? undefined : copyInstruction(bytes, insn, slotAt);
  return insn === undefined || copy === undefined || 'kind' in copy ? undefined : { insn, copy };
}

/** The copy with its %rip-relative displacement moved along, or why there is none. */
function copyInstruction(bytes: Uint8Array, insn: Insn, slotAt: number): Uint8Array | PreparedKprobeInsn {
  if (insn.isForcedEmulation)
    return refused('EINVAL', 'kprobe.copy.forced-emulation', 'the instruction has a Xen or KVM emulation prefix', COPY);
  if (insn.opcode === INT3_INSN_OPCODE)
    return refused(
      'EINVAL',
      'kprobe.copy.int3',
      'somebody else has a breakpoint there, the instruction is unknown',
      COPY,
    );
  const masksExceptions =
    insn.opcode === POP_SS_OPCODE || (insn.opcode === MOV_SREG_OPCODE && modrmReg(insn.modrm) === SEGMENT_SS);
  if (masksExceptions) {
    const detail = 'loading %ss holds back the debug exception of the instruction behind it';
    return refused('EINVAL', 'kprobe.copy.masks-exceptions', detail, COPY);
  }
  const copy = bytes.slice(0, insn.length);
  if (insn.ripRelative === undefined) return copy;
  const displacement = insn.displacement.value + insn.offset - slotAt;
  if (!fitsS32(displacement)) {
    const detail = 'the memory operand addressed from %rip is more than 2 GiB away from the slot';
    return refused('EINVAL', 'kprobe.copy.reach', detail, COPY);
  }
  new DataView(copy.buffer).setInt32(insn.ripRelative.dispOffset, displacement, true);
  return copy;
}

/** prepare_singlestep: an int3 behind the copy, or a jump back where the kernel is not preemptible and the instruction allows it. */
function closeSlot(
  copy: Uint8Array,
  insn: Insn,
  slotAt: number,
  options: KprobeInsnOptions,
): { readonly slot: Uint8Array; readonly boost: boolean } | PreparedKprobeInsn {
  const { rules = '6.12', preemption = true, hasPostHandler = false, hasExceptionEntry = false } = options;
  const room = KPROBE_SLOT_SIZE - copy.length;
  const boost = !preemption && !hasPostHandler && canBoost(insn, hasExceptionEntry, rules) && room >= JMP32_INSN_SIZE;
  if (boost) {
    const back = jmpRel32(slotAt + copy.length, insn.offset + insn.length);
    return { slot: Uint8Array.of(...copy, ...back), boost };
  }
  if (room < 1) {
    const linux = 'prepare_singlestep, arch/x86/kernel/kprobes/core.c';
    return refused('ENOSPC', 'kprobe.slot.space', 'an instruction of 15 bytes leaves no room for the int3', linux);
  }
  return { slot: Uint8Array.of(...copy, INT3_INSN_OPCODE), boost };
}
