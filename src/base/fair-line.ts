/**
 * Who is next: first come first served within a client, and one turn each around the clients, so that a client with a thousand requests keeps
 * another one waiting for one of them.
 */
export class FairLine<T extends { readonly client: string }> {
  /** Clients in the order of their turns; a client without anyone waiting is not in it. */
  readonly #lines = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    const line = this.#lines.get(item.client);
    if (line === undefined) this.#lines.set(item.client, [item]);
    else line.push(item);
    this.#size += 1;
  }

  /** Takes the next one out; its client goes to the end of the round. */
  shift(): T | undefined {
    const [first] = this.#lines;
    if (first === undefined) return undefined;
    const [client, line] = first;
    const item = line.shift();
    this.#lines.delete(client);
    if (line.length > 0) this.#lines.set(client, line);
    this.#size -= 1;
    return item;
  }

  /** Takes one out that gave up. */
  remove(item: T): void {
    const line = this.#lines.get(item.client);
    const index = line?.indexOf(item) ?? -1;
    if (line === undefined || index < 0) return;
    line.splice(index, 1);
    if (line.length === 0) this.#lines.delete(item.client);
    this.#size -= 1;
  }

  /** In the order in which they would be served. */
  *[Symbol.iterator](): Iterator<T> {
    const lines = [...this.#lines.values()];
    const longest = Math.max(0, ...lines.map(({ length }) => length));
    for (let round = 0; round < longest; round++)
      for (const line of lines) {
        const item = line[round];
        if (item !== undefined) yield item;
      }
  }
}
