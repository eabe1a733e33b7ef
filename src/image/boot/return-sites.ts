import { INT3_INSN_OPCODE, JMP32_INSN_OPCODE, jmpRel32, RET_INSN_OPCODE } from '../../insn/index.ts';
import type { BootContext } from './context.ts';
import { hasFeature } from './hidden-features.ts';
import { readSites } from './site-tables.ts';

/** `ret; int3 × 4`: a return where no thunk is wanted. */
export const RET_INSN: Uint8Array = Uint8Array.of(RET_INSN_OPCODE, 0xcc, 0xcc, 0xcc, 0xcc);

/** The bytes that mark a static call trampoline behind its jump: `ud1 %esp, %ecx`. */
export const TRAMP_UD: readonly number[] = [0x0f, 0xb9, 0xcc];

/** Where the return thunk lies when a return at `offset` is to go there (cpu_wants_rethunk_at): for ITS, only returns in the lower half of a cache line. */
export function rethunkAt(boot: BootContext, offset: number): number | undefined {
  if (!hasFeature(boot.kernel, boot.caps, 'RETHUNK')) return undefined;
  const thunk = boot.mitigations.returnThunk ?? '__x86_return_thunk';
  if (thunk === 'its_return_thunk' && (offset & 0x20) !== 0) return undefined;
  return boot.kernel.symbolOffset(thunk) ?? boot.kernel.symbolOffset('__x86_return_thunk');
}

/** The five bytes of a return at `offset`. */
export function returnAt(boot: BootContext, offset: number): Uint8Array {
  const thunk = rethunkAt(boot, offset);
  return thunk === undefined ? RET_INSN : jmpRel32(offset, thunk);
}

/** apply_returns: `jmp __x86_return_thunk` becomes a plain return or a jump to the thunk in use. */
export function applyReturns(boot: BootContext): void {
  const { text } = boot;
  const from = boot.kernel.symbolOffset('__x86_return_thunk');
  const thunk = rethunkAt(boot, 0);
  const isAlways = boot.mitigations.returnThunk !== 'its_return_thunk';
  for (const site of readSites(boot.kernel, '.return_sites')) {
    if (!text.has(site, 5)) continue;
    const bytes = text.view(site, 5);
    const isJump = bytes[0] === JMP32_INSN_OPCODE;
    if (isTrampoline(boot, site)) {
      // A trampoline whose call is NULL returns; one that jumps elsewhere is left alone (__static_call_fixup).
      if (bytes[0] === RET_INSN_OPCODE || (isJump && site + 5 + text.s32(site + 1) === from))
        bytes.set(returnAt(boot, site));
      continue;
    }
    if (!isJump || site + 5 + text.s32(site + 1) !== from) continue;
    if (thunk !== undefined && (isAlways || (site & 0x20) === 0)) {
      bytes.set(jmpRel32(site, thunk));
    } else {
      bytes[0] = RET_INSN_OPCODE;
      bytes.fill(INT3_INSN_OPCODE, 1);
    }
    boot.report.count('return');
  }
}

function isTrampoline(boot: BootContext, site: number): boolean {
  if (!boot.text.has(site, 8)) return false;
  const tail = boot.text.view(site + 5, 3);
  return tail[0] === TRAMP_UD[0] && tail[1] === TRAMP_UD[1] && tail[2] === TRAMP_UD[2];
}
