/** Variables and functions of the kernel that instructions name by their BTF (BPF_PSEUDO_BTF_ID). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../image/index.ts';
import { type BpfCode, insnNamed } from '../bpf/index.ts';
import { copyOfCode, putNumber } from '../rewrite/resolve-maps.ts';
import { isRecord, resolvedSize } from './btf-walk.ts';
import type { Env } from './env.ts';
import { MEM_PERCPU, MEM_RDONLY, newReg, type RegDraft } from './reg.ts';
import type { VerifyRequest } from './request.ts';

const BTF_ID = insnNamed('lddw btf_id');

/** check_pseudo_btf_id (kernel/bpf/verifier.c, 6.12), also where no path leads to. Modules have no types here. */
export function checkKernelName(env: Env, slot: number): void {
  const { btf, code, request } = env;
  const id = code.imm[slot] as number;
  if (code.imm[slot + 1] !== 0) env.reject('EINVAL', 'invalid module BTF object FD specified.');
  if (btf === undefined)
    env.reject('EINVAL', 'kernel is missing BTF, make sure CONFIG_DEBUG_INFO_BTF=y is specified in Kconfig.');
  const kind = btf.kind(id);
  if (kind === BTF_KIND.UNKN) env.reject('ENOENT', `ldimm64 insn specifies invalid btf_id ${id}.`);
  if (kind !== BTF_KIND.VAR && kind !== BTF_KIND.FUNC)
    env.reject('EINVAL', `pseudo btf_id ${id} in ldimm64 isn't KIND_VAR or KIND_FUNC`);
  const found = request.kernelName?.(id);
  if (found?.address === undefined || found.address === 0n)
    env.reject('ENOENT', `ldimm64 failed to find the address for kernel symbol '${btf.name(id)}'.`);
  if (kind === BTF_KIND.FUNC || found.isPerCpu) return;
  const type = stripBtf(btf, btf.sizeOrType(id));
  if (!isRecord(btf, type) && resolvedSize(btf, type) === undefined)
    env.reject('EINVAL', `ldimm64 unable to resolve the size of type '${btf.name(type)}': -22`);
}

/** A type's memory, as it is read: of a struct by its members, of anything else byte by byte. */
export function memoryOfType(btf: BtfTypes, type: number, flags: number): RegDraft {
  const bare = stripBtf(btf, type);
  const reg = newReg(isRecord(btf, bare) ? 'ptr_' : 'mem');
  if (reg.type === 'ptr_') {
    reg.btfId = type;
    reg.flags = flags;
  } else {
    reg.memSize = resolvedSize(btf, bare) ?? 0;
    reg.flags = flags | MEM_RDONLY;
  }
  return reg;
}

/** What is in a register that one was loaded into, once {@link checkKernelName} has let it pass. */
export function kernelNameReg({ btf, request }: Env, id: number): RegDraft {
  if (btf === undefined || btf.kind(id) === BTF_KIND.FUNC) {
    const reg = newReg('mem');
    reg.flags = MEM_RDONLY;
    return reg;
  }
  const type = btf.sizeOrType(id);
  if (request.kernelName?.(id)?.isPerCpu !== true) return memoryOfType(btf, type, 0);
  const reg = newReg('ptr_');
  reg.btfId = type;
  reg.flags = MEM_PERCPU;
  return reg;
}

/** The code with addresses in place of what it names. */
export function withKernelAddresses(code: BpfCode, kernelName: VerifyRequest['kernelName']): BpfCode {
  if (!code.insn.includes(BTF_ID.index)) return code;
  const out = copyOfCode(code);
  for (let slot = 0; slot < code.length; slot++) {
    if (code.insn[slot] !== BTF_ID.index) continue;
    putNumber(out, slot, kernelName?.(code.imm[slot] as number)?.address ?? 0n);
  }
  return out;
}
