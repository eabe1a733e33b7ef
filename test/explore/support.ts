import { readdirSync, readFileSync } from 'node:fs';
import { systemClock } from '../../src/base/index.ts';
import {
  type Exploration,
  type ExploreRequest,
  explore,
  readScenario,
  type Scenario,
} from '../../src/explore/index.ts';

const FOLDER = new URL('../../examples/explorations/', import.meta.url);

export const scenarioNames = (): readonly string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();

export const loadScenario = (name: string): Scenario =>
  readScenario(JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')));

export const run = (request: Partial<ExploreRequest> & Pick<ExploreRequest, 'scenario'>): Promise<Exploration> =>
  explore(
    { strategy: { kind: 'exhaustive' }, maxMs: 120_000, maxStates: 5_000_000, ...request },
    { clock: systemClock },
  );

/** What somebody types to see a failure again. */
export const replayLine = (scenario: string, schedule: string | undefined, mutant?: string): string =>
  `replay: npm run explore -- ${scenario}${mutant === undefined ? '' : ` --mutant ${mutant}`} --replay ${schedule}`;
