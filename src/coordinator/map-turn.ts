/**
 * Whose turn it is with the contents of maps. A run or a call works on a copy in a thread of its own; what it wrote is taken over, as a command,
 * before anybody else runs or writes. So each run, call and write sees what all before it did, and none is lost.
 */
export class MapTurn {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `body` when everybody who came before is done. */
  run<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(body, body);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
