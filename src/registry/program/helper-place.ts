import { err, type Fault, ok, type Result } from '../../base/index.ts';
import {
  BPF_FUNC_TAIL_CALL,
  type BpfText,
  HELPER_BODIES,
  HELPER_PROTOTYPES,
  type HelperProgramType,
  type HelperPrototype,
  helperName,
  helperStub,
  helperSymbol,
  STUB_CODE,
} from '../../jit/index.ts';
import { RAW_TRACEPOINT_COOKIES } from '../kernels/bpf-facts.ts';
import type { World } from '../world.ts';

const mayCall = (type: string, { programTypes }: HelperPrototype): boolean =>
  programTypes.some((each) => each === type) || type === 'freplace';

/** BPF_FUNC_get_attach_cookie. */
const GET_ATTACH_COOKIE = 174;
const isCookieOfRaw = (type: string, id: number): boolean =>
  id === GET_ATTACH_COOKIE && (type === 'raw_tracepoint' || type === 'tp_btf');

/** Where a program's calls of a helper lead, counted from `_text`; undefined when its type may not call it, or this kernel has no such function. */
export function helperPlace(world: World, type: string, id: number): number | undefined {
  const prototype = HELPER_PROTOTYPES.get(id);
  if (prototype === undefined || !mayCall(type, prototype)) return undefined;
  if (isCookieOfRaw(type, id) && !world.fact(RAW_TRACEPOINT_COOKIES)) return undefined;
  const { image } = world;
  const at = image.symbols.offsetOf(helperSymbol(prototype, type as HelperProgramType));
  const isPlayed = HELPER_BODIES.has(id) || STUB_CODE.has(id);
  return at ?? (image.source === 'builtin' && isPlayed ? Number(helperStub(id) - image.base) : undefined);
}

const problem = (type: string, id: number, index: number): Fault => {
  const name = helperName(id);
  const what =
    name === undefined ? `there is no helper ${id}` : `programs of type ${type} do not have ${name} (${id}) here`;
  return {
    errno: 'EINVAL',
    rule: 'bpf.helper.unknown',
    detail: `instruction ${index}: ${what}`,
    linux: 'check_helper_call, kernel/bpf/verifier.c (6.12)',
    index,
  };
};

/** Refuses a call of what is not there by its name. bpf_tail_call is an instruction by the time that code is made. */
export function checkHelpers(world: World, type: string, { source }: { readonly source: BpfText }): Result<void> {
  const { code } = source;
  for (let slot = 0; slot < code.length; slot++) {
    if (code.code[slot] !== 0x85 || code.src[slot] !== 0) continue;
    const id = code.imm[slot] as number;
    if (id !== BPF_FUNC_TAIL_CALL && helperPlace(world, type, id) === undefined) return err(problem(type, id, slot));
  }
  return ok(undefined);
}
