import type { Command } from 'commander';
import type { Client, CommandBody } from '../../tools/cli/client.ts';
import { operatorCommands } from '../../tools/cli/commands.ts';
import { Reply } from '../../tools/cli/reply.ts';
import type { Terminal } from '../../tools/cli/terminal.ts';
import { runCommand, runProgram } from '../../tools/program.ts';

export interface Sent {
  readonly command: string;
  readonly body: CommandBody;
}

/** What an agent says to a command; an error is thrown as the client would. */
export type Answers = (sent: Sent) => object;

export const everythingDone: Answers = () => ({ ok: true, decider: 'eve', events: [] });

/** A terminal whose agent is a function: what is typed, what is sent, what is printed. */
export class FakeTerminal implements Terminal {
  readonly sent: Sent[] = [];
  readonly program: string;
  readonly args: readonly string[];
  out = '';
  err = '';
  readonly #answers: Answers;

  constructor(args: readonly string[], answers: Answers = everythingDone, program = 'mirrorkeeper') {
    this.args = args;
    this.#answers = answers;
    this.program = program;
  }

  readonly output = {
    out: async (text: string) => {
      this.out += text;
    },
    err: (line: string) => {
      this.err += `${line}\n`;
    },
  };

  readonly columns = () => null;

  readonly connect = async (): Promise<Client> => ({
    request: async (command, body) => {
      this.sent.push({ command, body });
      return Reply.parse(this.#answers({ command, body }));
    },
    close: async () => undefined,
  });
}

export async function mirrorkeeper(args: readonly string[], answers?: Answers) {
  const terminal = new FakeTerminal(args, answers);
  const code = await runProgram(operatorCommands(terminal), args, terminal.output);
  return { code, out: terminal.out, err: terminal.err, sent: terminal.sent };
}

/** A program of an old name. */
export async function oldName(
  make: (terminal: Terminal) => Command,
  args: readonly string[],
  answers?: Answers,
) {
  const name = make(new FakeTerminal([])).name();
  const terminal = new FakeTerminal(args, answers, name);
  const code = await runCommand(make(terminal), args, terminal.output);
  return { code, out: terminal.out, err: terminal.err, sent: terminal.sent };
}
