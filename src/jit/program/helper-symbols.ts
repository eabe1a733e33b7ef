import { HELPER_PROTOTYPES } from '../helpers/index.ts';

/** Helpers by number, and the kernel function that each goes to (6.12), whatever the program's type. */
export const HELPER_FUNCTIONS: ReadonlyMap<number, { readonly name: string; readonly symbol: string }> = new Map(
  [...HELPER_PROTOTYPES].map(([id, { name, symbol }]) => [id, { name: name.replace(/^bpf_/, ''), symbol }]),
);

/** Helpers that read what the trampoline keeps next to the context, or the run context that it sets. */
export const TRAMPOLINE_HELPERS: ReadonlyMap<number, string> = new Map([
  [173, 'get_func_ip'],
  [174, 'get_attach_cookie'],
  [183, 'get_func_arg'],
  [184, 'get_func_ret'],
  [185, 'get_func_arg_cnt'],
]);

/** BPF_FUNC_get_func_ip: the trampoline of a program that calls it keeps the function's address. */
export const GET_FUNC_IP = 173;
