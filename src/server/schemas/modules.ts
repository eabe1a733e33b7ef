/** Modules: loading, what is told of them, steps of their life. */
import { CostAnswer, Holder } from './answers.ts';
import { Address, nullable, pageOf, Timestamp, words } from './common.ts';
import { Type } from './type.ts';

const moduleFields = {
  name: Type.String(),
  state: words(['coming', 'live', 'going']),
  client: Type.String(),
  since: Timestamp,
  size: Type.Integer({ description: 'Bytes of memory' }),
  sha256: Type.String(),
  vermagic: nullable(Type.String()),
  license: nullable(Type.String()),
  counts: Type.Object(
    {
      symbols: Type.Integer(),
      exports: Type.Integer(),
      ftraceSites: Type.Integer(),
      jumpLabels: Type.Integer(),
      staticCalls: Type.Integer(),
      btfFunctions: Type.Integer(),
    },
    { title: 'ModuleCounts' },
  ),
  uses: Type.Array(Type.String(), { description: 'Modules whose symbols it uses' }),
  usedBy: Type.Array(Type.String()),
  holders: Type.Array(Holder, { description: 'Attachments that keep it from being unloaded' }),
} as const;

export const ModuleView = Type.Object(moduleFields, { title: 'ModuleView' });

const moduleDetails = {
  ...moduleFields,
  sections: Type.Array(
    Type.Object(
      { name: Type.String(), area: Type.String(), address: Address, size: Type.Integer() },
      { title: 'ModuleSection' },
    ),
  ),
  patched: Type.Unsafe<Readonly<Record<string, number>>>({
    type: 'object',
    additionalProperties: { type: 'integer' },
    description: 'Sites that loading patched, by category',
  }),
} as const;

export const ModuleDetails = Type.Object(moduleDetails, { title: 'ModuleDetails' });

export const ModuleAnswer = Type.Object(
  { ...moduleDetails, cost: CostAnswer, sequence: Type.Integer(), warnings: Type.Array(Type.String()) },
  { title: 'ModuleAnswer' },
);

export const UnloadAnswer = Type.Object(
  {
    name: Type.String(),
    verdict: words(['unloaded']),
    cost: CostAnswer,
    sequence: Type.Integer(),
    warnings: Type.Array(Type.String()),
  },
  { title: 'UnloadAnswer' },
);

export const ModulePage = pageOf('ModulePage', ModuleView);
