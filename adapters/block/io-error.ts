/** An error of a device as the operating system would name it (`EIO`, `ENOSPC`, …). */
export class IoError extends Error {
  readonly code: string;

  constructor(code: string, sentence: string) {
    super(sentence);
    this.name = 'IoError';
    this.code = code;
  }
}
