/** A line of a terminal that each text takes the place of the one before in. */
export interface StatusLine {
  show(text: string): void;
  /** Leaves nothing of it behind. */
  clear(): void;
}

const TO_THE_START = '\r\x1b[K';

export function statusLine(write: (text: string) => void): StatusLine {
  let isShown = false;
  return {
    show(text) {
      write(`${TO_THE_START}${text}`);
      isShown = true;
    },
    clear() {
      if (isShown) write(TO_THE_START);
      isShown = false;
    },
  };
}
