import { type ObjectSymbol, STB } from './elf-file.ts';
import type { DataVariable } from './object-btf.ts';
import { refuseBy } from './object-fault.ts';

/** What an instruction that names an extern is given. */
export type Extern =
  | { readonly kind: 'config'; readonly offset: number }
  | { readonly kind: 'address'; readonly address: bigint }
  /** A variable with a type, or a function: the VAR or FUNC of the kernel's BTF (BPF_PSEUDO_BTF_ID). */
  | { readonly kind: 'btf-id'; readonly id: number; readonly isFunction: boolean }
  | { readonly kind: 'missing-function'; readonly poison: number };

/** A name that the object does not give itself, and what it says of it. */
export interface FoundExtern {
  readonly symbol: ObjectSymbol;
  readonly variable: DataVariable;
  readonly section: string;
}

export const isWeak = ({ binding }: ObjectSymbol): boolean => binding === STB.WEAK;

export const refuseExtern = (
  { section, symbol }: FoundExtern,
  errno: 'ESRCH' | 'EOPNOTSUPP' | 'EINVAL',
  what: string,
): never => refuseBy('bpf.object.extern', errno, { section, offset: 0 }, `extern ${symbol.name} ${what}`);
