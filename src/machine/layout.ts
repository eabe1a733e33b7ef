/**
 * Where things lie in the simulated kernel's memory, besides its image and the arena. The areas are those of x86-64 Linux with four levels
 * of page tables and without KASLR (Documentation/arch/x86/x86_64/mm.rst); docs/machine.md draws them.
 */

/** CPUs of a machine whose caller does not say. */
export const CPU_COUNT = 4;
export const CPU_COUNT_MAX = 64;

/** Direct map: what kmalloc would answer. Arguments of calls lie here. */
export const HEAP_START = 0xffff_8881_0000_0000n;
export const HEAP_SIZE = 4 << 20;
/** What saved_command_line points to. */
export const COMMAND_LINE_START = 0xffff_8881_1000_0000n;

/** Direct map, too: one unit for each CPU, the first chunk of the per-CPU allocator. */
const PERCPU_START = 0xffff_8881_2000_0000n;
const PERCPU_STRIDE = 0x10_0000n;
export const percpuStart = (cpu: number): bigint => PERCPU_START + BigInt(cpu) * PERCPU_STRIDE;

/** A struct task_struct for each CPU, a copy of init_task. */
const TASKS_START = 0xffff_8881_3000_0000n;
export const TASK_ROOM = 0x4000;
export const taskStart = (cpu: number): bigint => TASKS_START + BigInt(cpu * TASK_ROOM);

/** vmalloc space, as with CONFIG_VMAP_STACK: THREAD_SIZE, a guard page on either side. */
const STACKS_START = 0xffff_c9ff_0000_0000n;
const STACK_STRIDE = 0x1_0000n;
export const STACK_SIZE = 0x4000;
export const stackStart = (cpu: number): bigint => STACKS_START + BigInt(cpu) * STACK_STRIDE + 0x1000n;

/** Data objects that the registry gave addresses to (struct ftrace_ops, struct bpf_prog, counters): vmalloc space. */
export const DATA_OBJECTS_START = 0xffff_c900_0000_0000n;
export const DATA_OBJECTS_MIN = 1 << 20;

/** Behind the arena, within reach of its branches: the machine's own code, where handlers go on and displaced instructions run. */
export const STUBS_START = 0xffff_ffff_ff10_0000n;
/** A function that a handler called returns here: a hypercall. */
export const RESUME_STUB = STUBS_START;
export const SLOTS_START = STUBS_START + 0x1000n;
/** Room for the displaced instructions of one state; while CPUs run through a change there are those of two. */
export const SLOTS_ROOM = 0x20_0000n;
/** The called function returns here; nothing is mapped there (Cpu.sentinel). */
export const RETURN_ADDRESS = 0xffff_ffff_fff0_0000n;

/** `vmcall`: the one instruction by which simulated code asks the machine for something. What it wants follows from where it stands. */
export const HYPERCALL = Uint8Array.of(0x0f, 0x01, 0xc1);

/** struct pt_regs, x86-64. */
export const PT_REGS = {
  r15: 0,
  r14: 8,
  r13: 16,
  r12: 24,
  rbp: 32,
  rbx: 40,
  r11: 48,
  r10: 56,
  r9: 64,
  r8: 72,
  rax: 80,
  rcx: 88,
  rdx: 96,
  rsi: 104,
  rdi: 112,
  origRax: 120,
  rip: 128,
  cs: 136,
  flags: 144,
  rsp: 152,
  ss: 160,
} as const;
export const PT_REGS_SIZE = 168n;

/** Argument registers as pt_regs has them, in the order of the calling convention. */
export const PT_REGS_ARGUMENTS = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;
