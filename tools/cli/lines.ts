import type { Readable } from 'node:stream';

/** Each whole line of a stream; what ends without one is dropped. Its errors stay with the stream. */
export function eachLine(stream: Readable, received: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) received(line);
  });
}
