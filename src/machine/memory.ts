import { AddressSpace, PAGE_SIZE, type Permissions } from '../cpu/index.ts';
import type { DataSection } from '../image/index.ts';
import {
  COMMAND_LINE_START,
  DATA_OBJECTS_MIN,
  DATA_OBJECTS_START,
  HEAP_SIZE,
  HEAP_START,
  percpuStart,
  STACK_SIZE,
  STUBS_START,
  stackStart,
  TASK_ROOM,
  taskStart,
} from './layout.ts';
import type { MachineImage } from './machine-image.ts';

const PAGE = BigInt(PAGE_SIZE);
const pageDown = (address: bigint): bigint => address - (address % PAGE);
const pageUp = (address: bigint): bigint => pageDown(address + PAGE - 1n);
const PERCPU = '.data..percpu';

interface Run {
  readonly permissions: Permissions;
  readonly start: bigint;
  end: bigint;
  readonly sections: DataSection[];
}

/** Sections share pages: neighbours with the same permissions become one region, and a shared page has those of the first. */
function runsOf(image: MachineImage): readonly Run[] {
  const rodataEnd = image.symbols['__end_rodata'] ?? 0n;
  const placed = image.data.filter(({ name }) => name !== PERCPU).sort((a, b) => (a.address < b.address ? -1 : 1));
  const runs: Run[] = [];
  for (const section of placed) {
    // mark_rodata_ro: everything up to __end_rodata, what was writable until the kernel had booted included.
    const permissions = section.address < rodataEnd ? 'r--' : 'rw-';
    const start = pageDown(section.address);
    const end = pageUp(section.address + BigInt(section.size));
    const last = runs.at(-1);
    if (last !== undefined && last.permissions === permissions && start <= last.end) {
      last.end = end > last.end ? end : last.end;
      last.sections.push(section);
    } else if (last !== undefined && start < last.end) {
      runs.push({ permissions, start: last.end, end, sections: [section] });
      last.sections.push(section);
    } else runs.push({ permissions, start, end, sections: [section] });
  }
  return runs;
}

function contents(run: Run): Uint8Array {
  const bytes = new Uint8Array(Number(run.end - run.start));
  for (const section of run.sections) {
    const from = Number(section.address - run.start);
    const skipped = Math.max(0, -from);
    const room = bytes.length - Math.max(0, from);
    if (room > 0) bytes.set(section.bytes.subarray(skipped, skipped + room), Math.max(0, from));
  }
  return bytes;
}

/** struct and per-CPU members that boot fills in; see docs/machine.md for each. */
function bootPercpu(image: MachineImage, cpu: number, unit: Uint8Array): void {
  const view = new DataView(unit.buffer, unit.byteOffset, unit.length);
  const start = image.symbols['__per_cpu_start'] ?? 0n;
  const put = (at: bigint | undefined, value: bigint, size: 4 | 8): void => {
    if (at === undefined || at - start < 0n || at - start > BigInt(unit.length - size)) return;
    const offset = Number(at - start);
    if (size === 8) view.setBigUint64(offset, value, true);
    else view.setUint32(offset, Number(value), true);
  };
  const { symbols, members } = image;
  const hot = symbols['pcpu_hot'];
  const inHot = (member: string): bigint | undefined => {
    const offset = members[`pcpu_hot.${member}`];
    return hot === undefined || offset === undefined ? undefined : hot + BigInt(offset);
  };
  const stackEnd = stackStart(cpu) + BigInt(STACK_SIZE);
  put(inHot('current_task') ?? symbols['current_task'], taskStart(cpu), 8);
  put(inHot('preempt_count') ?? symbols['__preempt_count'], 0n, 4);
  put(inHot('cpu_number') ?? symbols['cpu_number'], BigInt(cpu), 4);
  put(inHot('top_of_stack') ?? symbols['cpu_current_top_of_stack'], stackEnd, 8);
  put(symbols['this_cpu_off'], percpuStart(cpu) - start, 8);
  // The canary lies where the compiler looks for it, %gs:40; its lowest byte is 0 so that strings cannot carry it (CANARY_MASK).
  if (symbols['fixed_percpu_data'] !== undefined) put(symbols['fixed_percpu_data'] + 40n, STACK_CANARY, 8);
}

/** Linux takes a random number. */
const STACK_CANARY = 0x7c1a_9b3e_55d0_4200n;

/** Room for the variables of modules behind the kernel's (include/linux/percpu.h, 6.12). Zero, whatever a module begins with. */
const PERCPU_MODULE_RESERVE = 8 << 10;

function mapPercpu(space: AddressSpace, image: MachineImage): void {
  const template = image.data.find(({ name }) => name === PERCPU);
  if (template === undefined) return;
  const length = Number(pageUp(BigInt(template.size + PERCPU_MODULE_RESERVE)));
  for (let cpu = 0; cpu < image.cpus; cpu++) {
    const unit = new Uint8Array(length);
    unit.set(template.bytes);
    bootPercpu(image, cpu, unit);
    space.map({
      name: `per-CPU area of CPU ${cpu}`,
      start: percpuStart(cpu),
      length,
      permissions: 'rw-',
      initial: unit,
    });
  }
}

function mapTasks(space: AddressSpace, image: MachineImage): void {
  const init = image.symbols['init_task'];
  for (let cpu = 0; cpu < image.cpus; cpu++) {
    const task = new Uint8Array(TASK_ROOM);
    const copied = init === undefined ? undefined : space.peek(init, Math.min(image.taskSize, TASK_ROOM));
    if (copied !== undefined) task.set(copied);
    const view = new DataView(task.buffer);
    const { 'task_struct.stack': stack, 'task_struct.cpu': number } = image.members;
    if (stack !== undefined && stack + 8 <= TASK_ROOM) view.setBigUint64(stack, stackStart(cpu), true);
    if (number !== undefined && number + 4 <= TASK_ROOM) view.setUint32(number, cpu, true);
    space.map({
      name: `task of CPU ${cpu}`,
      start: taskStart(cpu),
      length: TASK_ROOM,
      permissions: 'rw-',
      initial: task,
    });
  }
}

const SYSTEM_RUNNING = 3n;

/** Variables outside of per-CPU areas that boot sets and that small functions look at. */
function bootVariables(image: MachineImage, write: (at: bigint, bytes: Uint8Array) => void): void {
  const word = (value: bigint, size: 1 | 4 | 8): Uint8Array => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    return bytes.subarray(0, size);
  };
  const { symbols } = image;
  const put = (name: string, value: bigint, size: 1 | 4 | 8): void => {
    const at = symbols[name];
    if (at !== undefined) write(at, word(value, size));
  };
  const offsets = symbols['__per_cpu_offset'];
  for (let cpu = 0; cpu < image.cpus && offsets !== undefined; cpu++)
    write(offsets + BigInt(cpu * 8), word(percpuStart(cpu) - (symbols['__per_cpu_start'] ?? 0n), 8));
  for (const set of ['online', 'possible', 'present', 'active'])
    put(`__cpu_${set}_mask`, (1n << BigInt(image.cpus)) - 1n, 8);
  put('__num_online_cpus', BigInt(image.cpus), 4);
  put('nr_cpu_ids', BigInt(image.cpus), 4);
  put('system_state', SYSTEM_RUNNING, 4);
  put('saved_command_line', COMMAND_LINE_START, 8);
  // set_percpu_data_ready: from then on printk leaves memory that boot frees alone.
  put('__printk_percpu_data_ready', 1n, 1);
}

/**
 * The memory of a kernel that has booted, but for its text: data sections, one per-CPU area, task and stack for each CPU, heap, data objects.
 * What a region holds at first is what `restore` goes back to.
 */
export function makeMemory(image: MachineImage, hypercalls: Uint8Array): AddressSpace {
  const space = new AddressSpace();
  const runs = runsOf(image).map((run) => ({ ...run, bytes: contents(run) }));
  bootVariables(image, (at, bytes) => {
    const run = runs.find(({ start, end }) => at >= start && at + BigInt(bytes.length) <= end);
    run?.bytes.set(bytes, Number(at - run.start));
  });
  for (const { sections, start, permissions, bytes } of runs)
    space.map({
      name: sections.map(({ name }) => name).join(' '),
      start,
      length: bytes.length,
      permissions,
      initial: bytes,
    });
  mapPercpu(space, image);
  mapTasks(space, image);
  for (let cpu = 0; cpu < image.cpus; cpu++)
    space.map({ name: `stack of CPU ${cpu}`, start: stackStart(cpu), length: STACK_SIZE, permissions: 'rw-' });
  space.map({ name: 'heap', start: HEAP_START, length: HEAP_SIZE, permissions: 'rw-' });
  space.map({
    name: 'command line',
    start: COMMAND_LINE_START,
    length: PAGE_SIZE,
    permissions: 'rw-',
    initial: Uint8Array.from(Buffer.from(image.cmdline, 'latin1').subarray(0, PAGE_SIZE - 1)),
  });
  space.map({
    name: 'data objects',
    start: DATA_OBJECTS_START,
    length: DATA_OBJECTS_MIN,
    permissions: 'rw-',
  });
  space.map({
    name: 'stubs of the machine',
    start: STUBS_START,
    length: PAGE_SIZE,
    permissions: 'r-x',
    initial: hypercalls,
  });
  return space;
}
