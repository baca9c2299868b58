import type { Reply } from './reply.ts';

/** Somebody who takes commands: an agent behind its socket, or any agent on the bus. */
export interface Client {
  /**
   * @param body with its `id`
   * Errors: `Exit` with `unreachable` where it was not sent, with `unknown` where it may have had its effect.
   */
  request(command: string, body: CommandBody, timeoutMs: number): Promise<Reply>;
  close(): Promise<void>;
}

export type CommandBody = Readonly<Record<string, unknown>> & { readonly id: string };

/** For a command whose reply did not come. */
export const howToAskAgain = (id: string): string => `ask what became of it with: mirrorkeeper command ${id}`;
