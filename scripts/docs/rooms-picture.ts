import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where each room stands in the picture: column, row, and what it is for. */
const ROOMS = {
  cli: { x: 0, y: 0, does: 'the ktextd command' },
  client: { x: 0, y: 1, does: 'typed HTTP client' },
  server: { x: 1, y: 0, does: 'HTTP, schemas, events' },
  coordinator: { x: 1, y: 1, does: 'one command at a time' },
  registry: { x: 0, y: 2, does: 'who owns what; decides' },
  textpoke: { x: 2, y: 2, does: 'the only writer of text' },
  jit: { x: 1, y: 3, does: 'trampolines, programs' },
  image: { x: 2, y: 3, does: 'reads a kernel' },
  insn: { x: 1, y: 4, does: 'x86 instructions' },
  base: { x: 1, y: 5, does: 'errno, fault, clock' },
} as const;

type Room = keyof typeof ROOMS;

const WIDTH = 210;
const HEIGHT = 56;
const GAP_X = 60;
const GAP_Y = 44;
const MARGIN = 24;

const left = (room: Room): number => MARGIN + ROOMS[room].x * (WIDTH + GAP_X);
const top = (room: Room): number => MARGIN + ROOMS[room].y * (HEIGHT + GAP_Y);

/** Which rooms a room's source imports, tests left out. */
function importsOf(root: string, room: Room): readonly Room[] {
  const files = readdirSync(join(root, 'src', room), { recursive: true }).map(String);
  const found = new Set<Room>();
  for (const file of files) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file.endsWith('.fake.ts')) continue;
    const text = readFileSync(join(root, 'src', room, file), 'utf8');
    for (const match of text.matchAll(/(?:from|import\()\s*'(?:\.\.\/)+(\w+)\/index\.ts'/g)) {
      const to = match[1] as Room;
      if (to in ROOMS && to !== room) found.add(to);
    }
  }
  return [...found].sort();
}

function arrow(from: Room, to: Room): string {
  const x1 = left(from) + WIDTH / 2;
  const x2 = left(to) + WIDTH / 2;
  const isSideways = ROOMS[from].y === ROOMS[to].y;
  if (isSideways) {
    const y = top(from) + HEIGHT / 2;
    const isRight = x2 > x1;
    return `<path d="M${isRight ? left(from) + WIDTH : left(from)} ${y} L${isRight ? left(to) : left(to) + WIDTH} ${y}"/>`;
  }
  // A fan of starting and ending points keeps arrows of one room apart.
  const lean = Math.max(-1, Math.min(1, (x2 - x1) / (WIDTH + GAP_X))) * (WIDTH / 4);
  const span = ROOMS[to].y - ROOMS[from].y;
  const spread = span > 1 ? (span - 1) * 14 : 0;
  const y1 = top(from) + HEIGHT;
  const y2 = top(to);
  const sx = x1 + lean + spread;
  const ex = x2 - lean + spread;
  const bend = span > 1 && x1 === x2 ? WIDTH / 2 + 30 : 0;
  return `<path d="M${sx} ${y1} C${sx + bend} ${y1 + 40}, ${ex + bend} ${y2 - 40}, ${ex} ${y2}"/>`;
}

/** The rooms and who imports whom, measured from the source. base is imported by all but cli and client and drawn without arrows. */
export function drawRooms(root: string): string {
  const rooms = Object.keys(ROOMS) as Room[];
  const arrows = rooms.flatMap((from) =>
    importsOf(root, from)
      .filter((to) => to !== 'base')
      .map((to) => arrow(from, to)),
  );
  const boxes = rooms.map((room) => {
    const isGuard = room === 'textpoke';
    return `<g transform="translate(${left(room)} ${top(room)})">
<rect width="${WIDTH}" height="${HEIGHT}" rx="8" class="${isGuard ? 'guard' : 'room'}"/>
<text x="14" y="24" class="name">${room}/</text><text x="14" y="43" class="does">${ROOMS[room].does}</text></g>`;
  });
  const width = MARGIN * 2 + 3 * WIDTH + 2 * GAP_X;
  const height = MARGIN * 2 + 6 * HEIGHT + 5 * GAP_Y;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif">
<style>
.room { fill: #f4f6fb; stroke: #5b6b8c; } .guard { fill: #fdf0e3; stroke: #c2701c; stroke-width: 2; }
.name { font-size: 16px; font-weight: 600; fill: #1d2433; } .does { font-size: 13px; fill: #4a5568; }
path { fill: none; stroke: #8a97b1; stroke-width: 1.4; marker-end: url(#tip); }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill:#8a97b1;stroke:none"/></marker></defs>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${arrows.join('\n')}
${boxes.join('\n')}
<text x="${left('base') + WIDTH + 16}" y="${top('base') + 33}" class="does">imported by every room but cli and client</text>
</svg>
`;
}
