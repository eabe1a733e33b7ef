import type { Fault } from '../base/index.ts';
import { type Insn, modrmMod, modrmReg, modrmRm } from './insn.ts';

/**
 * How the int3 handler plays an instruction instead of stepping over a copy (struct arch_specific_insn, 6.12). `rel32` counts from the
 * next instruction.
 */
export type KprobeEmulation =
  /** cli, sti, pushf, popf. */
  | { readonly op: 'ifmodifier'; readonly opcode: 0xfa | 0xfb | 0x9c | 0x9d }
  /** Pops %rip; an immediate and a code segment are ignored, as Linux does. */
  | { readonly op: 'ret' }
  | { readonly op: 'call'; readonly rel32: number }
  | { readonly op: 'jmp'; readonly rel32: number }
  | { readonly op: 'jcc'; readonly condition: number; readonly rel32: number }
  /** loopne, loope, loop, jrcxz (%ecx with 32 bits). Linux decrements after the comparison. */
  | { readonly op: 'loop'; readonly loop: 0 | 1 | 2 | 3; readonly addressBits: 32 | 64; readonly rel32: number }
  /** `register` as numbered in an encoding. */
  | { readonly op: 'call-indirect'; readonly register: number }
  | { readonly op: 'jmp-indirect'; readonly register: number };

/** `undefined`: not emulated, stepped over. */
export type EmulationDecision = { readonly emulation: KprobeEmulation | undefined } | { readonly fault: Fault };

const unsupported = (what: string): EmulationDecision => ({
  fault: {
    errno: 'EOPNOTSUPP',
    rule: 'kprobe.emulate.unsupported',
    detail: `${what} can neither be single-stepped nor emulated`,
    linux: 'prepare_emulation, arch/x86/kernel/kprobes/core.c',
  },
});

const emulate = (emulation: KprobeEmulation | undefined): EmulationDecision => ({ emulation });

/** What prepare_emulation decides by the first opcode byte (6.1 and 6.12). Like Linux it does not look at VEX prefixes. */
export function prepareEmulation(insn: Insn): EmulationDecision {
  const { opcode, immediate } = insn;
  const rel32 = immediate.value;
  switch (opcode) {
    case 0xfa:
    case 0xfb:
    case 0x9c:
    case 0x9d:
      return emulate({ op: 'ifmodifier', opcode });
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
      return emulate({ op: 'ret' });
    case 0x9a:
    case 0xea:
      return unsupported('a far call or jump');
    case 0xcc:
      return unsupported('int3');
    case 0xcf:
      return unsupported('iret');
    case 0xe8:
      return emulate({ op: 'call', rel32 });
    case 0xe9:
    case 0xeb:
      return emulate({ op: 'jmp', rel32 });
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
      return emulate({
        op: 'loop',
        loop: (opcode & 3) as 0 | 1 | 2 | 3,
        addressBits: insn.addressBytes === 8 ? 64 : 32,
        rel32,
      });
    case 0x0f:
      return twoByte(insn);
    case 0xff:
      return group5(insn);
    default:
      if (opcode >= 0x70 && opcode <= 0x7f) return emulate({ op: 'jcc', condition: opcode & 0xf, rel32 });
      return emulate(undefined);
  }
}

function twoByte(insn: Insn): EmulationDecision {
  if (insn.opcode2 >= 0x80 && insn.opcode2 <= 0x8f)
    return emulate({ op: 'jcc', condition: insn.opcode2 & 0xf, rel32: insn.immediate.value });
  const isVm = insn.opcode2 === 0x01 && modrmReg(insn.modrm) === 0 && modrmMod(insn.modrm) === 3;
  return isVm ? unsupported('a virtual-machine instruction (vmcall and its like)') : emulate(undefined);
}

function group5(insn: Insn): EmulationDecision {
  const reg = modrmReg(insn.modrm);
  if (reg === 3 || reg === 5) return unsupported('a far call or jump');
  if (reg !== 2 && reg !== 4) return emulate(undefined);
  if (insn.addressBytes !== 8) return unsupported('an indirect branch with an address-size prefix');
  if (modrmMod(insn.modrm) !== 3) return unsupported('an indirect branch through memory');
  const register = modrmRm(insn.modrm) + (insn.rex & 1 ? 8 : 0);
  return emulate({ op: reg === 2 ? 'call-indirect' : 'jmp-indirect', register });
}
