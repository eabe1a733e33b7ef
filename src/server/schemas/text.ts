/** Answers about text: symbols, bytes, sites, pokes. */

import { Address, Budget, HexBytes, Kind, nullable, pageOf, Timestamp } from './common.ts';
import { Type } from './type.ts';

export const SymbolView = Type.Object(
  {
    name: Type.String(),
    address: Address,
    size: Type.Integer(),
    type: Type.String(),
    module: nullable(Type.String()),
    prototype: nullable(Type.String()),
    attachable: Type.Object(
      {
        kprobe: Type.Boolean(),
        ftrace: Type.Boolean(),
        fentry: Type.Boolean(),
        fmodRet: Type.Boolean(),
        livepatch: Type.Boolean(),
      },
      { title: 'Attachable' },
    ),
    why: Type.Record(Type.String(), Type.String()),
  },
  { title: 'SymbolView' },
);

const SiteOwner = Type.Object(
  { attachment: Type.String(), kind: Kind, client: Type.String(), order: Type.Integer() },
  { title: 'SiteOwner' },
);

export const TextView = Type.Object(
  {
    address: Address,
    symbol: Type.String(),
    bytes: HexBytes,
    original: HexBytes,
    instructions: Type.Array(
      Type.Object(
        { address: Address, bytes: HexBytes, text: Type.String(), target: nullable(Type.String()) },
        { title: 'InstructionView' },
      ),
    ),
    owners: Type.Array(SiteOwner),
  },
  { title: 'TextView' },
);

export const SiteView = Type.Object(
  {
    address: Address,
    symbol: Type.String(),
    kind: Type.String(),
    original: HexBytes,
    current: HexBytes,
    revision: Type.Integer(),
    owners: Type.Array(SiteOwner),
    quarantined: Type.Boolean(),
    budget: Budget,
  },
  { title: 'SiteView' },
);

export const PokeView = Type.Object(
  {
    sequence: Type.Integer(),
    time: Timestamp,
    address: Address,
    attachment: nullable(Type.String()),
    client: Type.String(),
    reason: Type.String(),
    before: HexBytes,
    after: HexBytes,
  },
  { title: 'PokeView' },
);

export const BlameView = Type.Object(
  {
    address: Address,
    length: Type.Integer(),
    runs: Type.Array(
      Type.Object(
        {
          address: Address,
          place: Type.String(),
          current: HexBytes,
          original: HexBytes,
          poke: nullable(PokeView),
        },
        { title: 'BlameRun' },
      ),
      { description: 'Neighbouring bytes that one poke left as they are' },
    ),
    forgotten: Type.Integer({ description: 'Pokes here that are no longer remembered' }),
  },
  { title: 'BlameView' },
);

export const SymbolPage = pageOf('SymbolPage', SymbolView);
export const SitePage = pageOf('SitePage', SiteView);
export const PokePage = pageOf('PokePage', PokeView);
