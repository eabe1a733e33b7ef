import { importsOf, resolveImport, type SourceFile } from './source-tree.ts';

/** Rooms from the edge down; a room may import those behind it in the list. */
export const ROOMS = [
  'cli',
  'client',
  'server',
  'coordinator',
  'explore',
  'machine',
  'registry',
  'jit',
  'textpoke',
  'cpu',
  'image',
  'insn',
  'journal',
  'base',
] as const;

/** Where the list does not say it all. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  cli: ['client'],
  client: [],
};

/** The one place where the command line starts a server in its own process. */
const SERVE = 'src/cli/serve.ts';

/** Works on a journal that no service uses, so there is nobody to ask over HTTP. */
const JOURNAL_COMMANDS = 'src/cli/commands/journal.ts';

/** Explores in its own process: minutes of work for one person's answer, and Ctrl-C is theirs. */
const EXPLORE_COMMAND = 'src/cli/commands/explore.ts';

const roomOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1];

function mayImport(from: string, to: string, path: string): boolean {
  if (path.endsWith('.test.ts') || path.endsWith('.fake.ts'))
    return ROOMS.indexOf(to as never) > ROOMS.indexOf(from as never);
  if (path === SERVE && to === 'server') return true;
  if (path === JOURNAL_COMMANDS && to === 'journal') return true;
  if (path === EXPLORE_COMMAND && (to === 'explore' || to === 'base')) return true;
  const only = ONLY[from];
  if (only !== undefined) return only.includes(to);
  if (to === 'client') return false;
  return ROOMS.indexOf(to as never) > ROOMS.indexOf(from as never);
}

function importProblems(file: SourceFile): readonly string[] {
  const from = roomOf(file.path);
  if (from === undefined) return [];
  return importsOf(file.text).flatMap((specifier) => {
    const target = resolveImport(file.path, specifier);
    const to = target === undefined ? undefined : roomOf(target);
    if (target === undefined) return packageProblems(file.path, specifier);
    if (to === undefined) return target.startsWith('src/') ? [] : outsideProblems(file.path, target);
    if (to === from) return [];
    if (!ROOMS.includes(to as never)) return [`${file.path}: ${to} is not a room`];
    const problems = mayImport(from, to, file.path) ? [] : [`${file.path}: ${from} must not import ${to}`];
    return target === `src/${to}/index.ts`
      ? problems
      : [...problems, `${file.path}: imports ${target} past its index.ts`];
  });
}

const outsideProblems = (path: string, target: string): readonly string[] =>
  path.endsWith('.test.ts') ? [] : [`${path}: imports ${target}, which is not source`];

/** Packages fenced to one file. */
const FENCED: Readonly<Record<string, string>> = {
  lmdb: 'src/journal/lmdb-store.ts',
  'async-mutex': 'src/textpoke/text-mutex.ts',
  'iced-x86': 'src/insn/iced.ts',
};

function packageProblems(path: string, specifier: string): readonly string[] {
  const home = FENCED[specifier];
  if (home === undefined || path === home) return [];
  return [`${path}: ${specifier} belongs to ${home} alone`];
}

const CLOCK_AND_CHANCE: readonly [RegExp, string][] = [
  [/\bDate\.now\(/, 'Date.now'],
  [/\bnew Date\(\)/, 'new Date()'],
  [/\bMath\.random\(/, 'Math.random'],
  [/\bperformance\.now\(/, 'performance.now'],
  [/\bprocess\.hrtime\b/, 'process.hrtime'],
  [/\b(?:setTimeout|setInterval)\(/, 'a timer'],
  [/\brandom(?:Bytes|UUID|Int)\(/, 'crypto randomness'],
];

function clockProblems(file: SourceFile): readonly string[] {
  if (!file.path.startsWith('src/') || file.path.startsWith('src/base/') || file.path.endsWith('.test.ts')) return [];
  const code = file.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  return CLOCK_AND_CHANCE.filter(([pattern]) => pattern.test(code)).map(
    ([, name]) => `${file.path}: ${name} outside base`,
  );
}

export const LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;

/** Generated tables and types are as long as what they list. */
const GENERATED = /^(?:src\/client\/types\.ts|src\/image\/profiles\/.*)$/;

/** Longer because cutting them would hide what they do, each with the reason. */
const LONG_ON_PURPOSE: ReadonlyMap<string, string> = new Map([
  ['src/image/codec/lzma.ts', 'a decoder whose state lives in locals for speed'],
  ['src/jit/x86/x86-emitter.ts', 'an object of small closures over one buffer'],
]);

function sizeProblems(file: SourceFile): readonly string[] {
  if (GENERATED.test(file.path)) return [];
  const lines = file.text.split('\n');
  const problems = lines.length > LINES_MAX + 1 ? [`${file.path}: ${lines.length} lines, at most ${LINES_MAX}`] : [];
  if (!file.path.startsWith('src/') || file.path.endsWith('.test.ts')) return problems;
  let start = -1;
  for (const [index, line] of lines.entries()) {
    if (/^(?:export )?(?:async )?function\b|^(?:export )?const \w+ = (?:async )?\(.*=> \{$/.test(line)) start = index;
    if (line === '}' || line === '};') {
      if (start >= 0 && index - start + 1 > FUNCTION_LINES_MAX && !LONG_ON_PURPOSE.has(file.path))
        problems.push(
          `${file.path}:${start + 1}: a function of ${index - start + 1} lines, at most ${FUNCTION_LINES_MAX}`,
        );
      start = -1;
    }
  }
  return problems;
}

const LEFTOVERS: readonly [RegExp, string][] = [
  [/\b(?:TODO|FIXME|XXX)\b/, 'an unfinished note'],
  [/(?:^|[\s'"`(])\/(?:work|home|root)\//m, 'a path of one machine'],
  [/\.only\(/, 'a test that silences the others'],
];

function leftoverProblems(file: SourceFile): readonly string[] {
  if (file.path.startsWith('test/architecture/')) return [];
  return LEFTOVERS.filter(([pattern]) => pattern.test(file.text)).map(([, name]) => `${file.path}: ${name}`);
}

/** What is wrong with a file, one line each. */
export function problemsOf(file: SourceFile): readonly string[] {
  return [...importProblems(file), ...clockProblems(file), ...sizeProblems(file), ...leftoverProblems(file)];
}
