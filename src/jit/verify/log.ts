/** Characters that are kept; of a longer log the end is. */
const LOG_MAX = 1 << 20;
/** Column at which the state behind an instruction begins (BPF_LOG_ALIGNMENT, BPF_LOG_MIN_ALIGNMENT, include/linux/bpf_verifier.h). */
const ALIGNMENT = 40;
const MIN_ALIGNMENT = 8;

/** What the verifier tells of its way through a program (kernel/bpf/log.c, 6.12). Positions count from its beginning, also of what is cut off. */
export class VerifierLog {
  readonly level: 0 | 1 | 2;
  /** Pieces, so that writing and forgetting cost what they add and take, and not what is there. */
  readonly #pieces: string[] = [];
  #first = 0;
  #cut = 0;
  #length = 0;
  /** End of the last instruction's line, when nothing has followed it. */
  #lineEnd = -1;
  #lineLength = 0;

  constructor(level: 0 | 1 | 2) {
    this.level = level;
  }

  get position(): number {
    return this.#cut + this.#length;
  }

  get text(): string {
    return this.#pieces.slice(this.#first).join('');
  }

  /** Written whatever the level: why a program is refused. */
  say(text: string): void {
    this.#pieces.push(text);
    this.#length += text.length;
    while (this.#length > LOG_MAX && this.#first < this.#pieces.length - 1) {
      const length = (this.#pieces[this.#first] as string).length;
      this.#pieces[this.#first] = '';
      this.#first += 1;
      this.#cut += length;
      this.#length -= length;
    }
  }

  /** Forgets what was written behind a position. */
  reset(position: number): void {
    while (this.position > position && this.#pieces.length > this.#first) {
      const last = this.#pieces.pop() as string;
      this.#length -= last.length;
      const rest = last.slice(0, Math.max(0, position - this.position));
      if (rest === '') continue;
      this.#pieces.push(rest);
      this.#length += rest.length;
      return;
    }
  }

  instruction(slot: number, text: string): void {
    const line = `${slot}: ${text}\n`;
    this.say(line);
    this.#lineEnd = this.position;
    this.#lineLength = line.length;
  }

  /** Puts the state behind the instruction's line, or on a line of its own when something was written in between. */
  state(slot: number, text: string): void {
    if (this.#lineEnd !== this.position) {
      this.say(`${slot}:${text}`);
      return;
    }
    this.reset(this.position - 1);
    const length = this.#lineLength;
    const column = Math.max(length + MIN_ALIGNMENT / 2, ALIGNMENT);
    const width = Math.ceil(column / MIN_ALIGNMENT) * MIN_ALIGNMENT - length - 1;
    this.say(`${' '.padStart(width)};${text}`);
  }
}
