import type { Output } from '../program.ts';
import type { Client } from './client.ts';
import { type ConnectionOptions, connectClient } from './connection.ts';

/** What a command has around it. */
export interface Terminal {
  readonly output: Output;
  /** The program's name and what was typed behind it: for the exact command that accepts a loss. */
  readonly program: string;
  readonly args: readonly string[];
  /** Columns of a screen that can be drawn over; null for a pipe or a file. */
  readonly columns: () => number | null;
  connect(options: ConnectionOptions): Promise<Client>;
}

export const processTerminal = (
  output: Output,
  args: readonly string[],
  program = 'mirrorkeeper',
): Terminal => ({
  output,
  program,
  args,
  columns: () => (process.stdout.isTTY ? (process.stdout.columns ?? 80) : null),
  connect: connectClient,
});

/** Connects, works, disconnects. */
export async function withClient<T>(
  terminal: Terminal,
  options: ConnectionOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await terminal.connect(options);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
