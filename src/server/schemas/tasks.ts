/** Simulated tasks, and what a livepatch's transition asks of them. */
import { nullable, optionalPageQuery, Place, pageOf, strict, Timestamp, words } from './common.ts';
import { Type } from './type.ts';

const FRAMES_MAX = 100;

const Stack = Type.Array(Place, {
  maxItems: FRAMES_MAX,
  description:
    'The calls that the task is in, innermost first. A function without an offset is called, so a livepatch may send the task elsewhere',
});
const RunState = words(['running', 'interruptible', 'uninterruptible'], 'On a CPU, or asleep');
const Reliable = Type.Boolean({ description: 'Whether the stack can be unwound reliably' });

export const TaskBody = Type.Object(
  {
    name: Type.String({ pattern: '^[\\x20-\\x7e]{1,15}$', description: '1 to 15 printable ASCII characters, as comm' }),
    kind: words(['user', 'kthread', 'idle']),
    state: Type.Optional(RunState),
    stack: Type.Optional(Stack),
    reliable: Type.Optional(Reliable),
  },
  { ...strict, title: 'TaskRequest' },
);

export const TaskMoveBody = Type.Object(
  { state: Type.Optional(RunState), stack: Type.Optional(Stack), reliable: Type.Optional(Reliable) },
  { ...strict, title: 'TaskMoveRequest', minProperties: 1 },
);

export const TasksQuery = Type.Object({ ...optionalPageQuery }, strict);

const PatchState = words(['unpatched', 'patched']);

export const TaskView = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    kind: words(['user', 'kthread', 'idle']),
    client: Type.String(),
    since: Timestamp,
    state: RunState,
    stack: Type.Array(
      Type.Object({
        address: Type.String(),
        place: Type.String(),
        asked: Type.String(),
      }),
      { description: 'Innermost first: where each call arrived, and the place that was asked for' },
    ),
    reliable: Reliable,
    patchState: nullable(PatchState),
    patchPending: Type.Boolean({ description: 'TIF_PATCH_PENDING' }),
  },
  { title: 'TaskView' },
);

export const TaskPage = pageOf('TaskPage', TaskView);

const Transition = Type.Object(
  {
    target: PatchState,
    attempts: Type.Integer({ description: 'Attempts so far that left a task behind; there is one a second' }),
    signals: Type.Integer({ description: 'How often the tasks that were left were sent a signal or woken' }),
    tasks: Type.Integer(),
    switched: Type.Integer(),
    waitsFor: Type.Array(
      Type.Object({ task: Type.String(), name: Type.String(), errno: Type.String(), why: Type.String() }),
    ),
  },
  { title: 'LivepatchTransition' },
);

export const LivepatchView = Type.Object(
  {
    patch: Type.String(),
    replace: Type.Boolean(),
    forced: Type.Boolean({ description: 'Its code can never be unloaded' }),
    transition: nullable(Transition),
    functions: Type.Array(
      Type.Object({
        function: Type.String(),
        replacement: nullable(Type.String()),
        onTop: Type.Boolean(),
      }),
      { description: 'Functions that have it on their stack; replacement null: back to the original' },
    ),
  },
  { title: 'LivepatchView' },
);
