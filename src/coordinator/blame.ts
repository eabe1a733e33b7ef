import { ok, type Result, toHex } from '../base/index.ts';
import type { PokeRecord } from '../textpoke/index.ts';
import { pokeView, wireAddress } from './answers.ts';
import type { Kernel } from './kernel.ts';
import { textOffsetOf } from './places.ts';
import type { BlameRun, BlameView } from './service-reads.ts';

/** A poke that changed this byte and whose bytes are remembered that far; the newest one. */
function authorOf(records: readonly PokeRecord[], at: number): PokeRecord | undefined {
  return records.findLast((record) => at >= record.at && at < record.at + record.length);
}

/** Bytes [start, start + length) by who left them so, neighbours of one poke together. */
export function blame(kernel: Kernel, place: string, length: number): Result<BlameView> {
  const view = kernel.view();
  const offset = textOffsetOf(view, place);
  if (!offset.ok) return offset;
  const start = offset.value;
  const { text, world } = kernel;
  let size = 0;
  while (size < length && text.contains(start + size, 1)) size += 1;
  const { records, dropped } = text.history.at(start, size);
  const [current, original] = [text.bytes(start, size), text.pristine.bytes(start, size)];
  const runs: BlameRun[] = [];
  for (let from = 0; from < size; ) {
    const author = authorOf(records, start + from);
    let to = from + 1;
    while (to < size && authorOf(records, start + to) === author) to += 1;
    runs.push({
      address: wireAddress(world, start + from),
      place: view.place(start + from),
      current: toHex(current.subarray(from, to)),
      original: toHex(original.subarray(from, to)),
      poke: author === undefined ? null : pokeView(world, author),
    });
    from = to;
  }
  return ok({ address: wireAddress(world, start), length: size, runs, forgotten: dropped });
}
