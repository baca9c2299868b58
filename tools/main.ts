import { once } from 'node:events';
import { exitCodes, type Output } from './program.ts';

/** What every program of this package has around it: output that waits for its reader, and no stack traces. */
export async function main(run: (args: readonly string[], output: Output) => Promise<number>): Promise<void> {
  // A reader that goes away (`| head`) ends the program quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  const output: Output = {
    out: async (text) => {
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    },
    err: (line) => void process.stderr.write(`${line}\n`),
  };
  const exitCode = await run(process.argv.slice(2), output).catch((error: unknown) => {
    output.err(`mirrorkeeper: ${error instanceof Error ? error.message : error}`);
    return exitCodes.refused;
  });
  // What a failure left open (a journal, a connection) must not keep the process; what was written must leave it.
  process.stdout.write('', () => process.exit(exitCode));
}
