/** What the user typed cannot be understood: shown with a caret under the column at fault; exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly text: string | undefined;
  readonly column: number;

  /** `column` counts from 0 in `text`. */
  constructor(message: string, text?: string, column = 0) {
    super(message);
    this.text = text;
    this.column = column;
  }
}

/** `ktextd: MESSAGE`, and below it the text with a caret. */
export function renderUsage(error: UsageError): string {
  const head = `ktextd: ${error.message}\n`;
  if (error.text === undefined) return head;
  return `${head}  ${error.text}\n  ${' '.repeat(error.column)}^\n`;
}
