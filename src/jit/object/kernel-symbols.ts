/** What an object's names in `.ksyms` are in a kernel (bpf_object__resolve_ksyms_btf_id, bpf_object__read_kallsyms_file, libbpf.c, 6.12). */
import { BTF_KIND, stripBtf, typeNamed } from '../../image/index.ts';
import { type CoreBudget, CoreProblem, essentialName, typesAreCompatible } from './core/index.ts';
import { type Extern, type FoundExtern, isWeak, refuseExtern } from './extern.ts';
import type { ObjectBtf } from './object-btf.ts';
import type { ObjectKernel } from './object-kernel.ts';

/** POISON_CALL_KFUNC_BASE: what a call of a function becomes that the kernel does not have. */
const POISON_CALL_KFUNC_BASE = 2_002_000_000;

export interface SymbolContext {
  readonly btf: ObjectBtf;
  readonly kernel: ObjectKernel;
  /** Among all externs, as libbpf counts them. */
  readonly index: number;
  readonly budget: CoreBudget;
}

/** Whether the kernel's type is the one that the object has declared. */
function areCompatible({ btf, kernel, budget }: SymbolContext, local: number, target: number): boolean {
  if (kernel.btf === undefined) return false;
  const [localId, targetId] = [stripBtf(btf.types, local), stripBtf(kernel.btf.types, target)];
  try {
    return typesAreCompatible({ local: btf.types, localId, target: kernel.btf.types, targetId }, budget);
  } catch (error) {
    if (error instanceof CoreProblem) return false;
    throw error;
  }
}

function functionSymbol(found: FoundExtern, context: SymbolContext): Extern {
  const { symbol, variable } = found;
  const { kernel, btf, index } = context;
  const name = essentialName(symbol.name);
  const id = kernel.btf === undefined ? undefined : typeNamed(kernel.btf.types, BTF_KIND.FUNC, name);
  if (id === undefined) {
    if (!isWeak(symbol)) return refuseExtern(found, 'ESRCH', 'is not in this kernel');
    return { kind: 'missing-function', poison: POISON_CALL_KFUNC_BASE + index };
  }
  // A declaration that says something else is, where it is weak, one of another function.
  if (!areCompatible(context, btf.types.sizeOrType(variable.id), kernel.btf?.types.sizeOrType(id) ?? 0)) {
    if (isWeak(symbol)) return { kind: 'missing-function', poison: POISON_CALL_KFUNC_BASE + index };
    return refuseExtern(found, 'EINVAL', 'takes or returns something else in this kernel');
  }
  return { kind: 'btf-id', id, isFunction: true };
}

function typedVariable(found: FoundExtern, context: SymbolContext): Extern {
  const { symbol, variable } = found;
  const { kernel } = context;
  const id = kernel.btf === undefined ? undefined : typeNamed(kernel.btf.types, BTF_KIND.VAR, symbol.name);
  if (id === undefined) {
    if (isWeak(symbol)) return { kind: 'address', address: 0n };
    return refuseExtern(found, 'ESRCH', 'has a type, and is no variable of this kernel that has one');
  }
  if (!areCompatible(context, variable.type, kernel.btf?.types.sizeOrType(id) ?? 0))
    return refuseExtern(found, 'EINVAL', 'is of another type in this kernel');
  return { kind: 'btf-id', id, isFunction: false };
}

/** What an instruction is given that names it: of an `extern const void` the address, of what has a type its place in the kernel's BTF. */
export function kernelSymbol(found: FoundExtern, context: SymbolContext): Extern {
  const { symbol, variable } = found;
  const { btf, kernel } = context;
  if (btf.types.kind(variable.id) === BTF_KIND.FUNC) return functionSymbol(found, context);
  if (stripBtf(btf.types, variable.type) !== 0) return typedVariable(found, context);
  const [address, ...others] = kernel.addressesOf(symbol.name);
  if (address === undefined) {
    if (isWeak(symbol)) return { kind: 'address', address: 0n };
    return refuseExtern(found, 'ESRCH', 'is not in this kernel');
  }
  if (others.length > 0) return refuseExtern(found, 'EINVAL', `is ${others.length + 1} symbols of this kernel`);
  return { kind: 'address', address };
}
