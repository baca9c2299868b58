import { Command, CommanderError } from 'commander';

/** What every command prints to: `out` resolves when the reader has taken it. */
export interface Output {
  out(text: string): Promise<void>;
  err(line: string): void;
}

/** Exit codes of REQUIREMENTS 5. */
export const exitCodes = {
  done: 0,
  refused: 1,
  usage: 2,
  unreachable: 3,
  unknown: 4,
  damaged: 5,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends a command: its sentence goes to standard error, its code to the shell. */
export class Exit extends Error {
  override readonly name = 'Exit';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Runs `mirrorkeeper` with these subcommands. Resolves to the exit code. */
export function runProgram(
  subcommands: readonly Command[],
  args: readonly string[],
  output: Output,
): Promise<number> {
  const program = new Command('mirrorkeeper')
    .description('Block volumes mirrored between servers, decided and remembered by one event history')
    .addHelpText('after', exitCodesHelp);
  for (const subcommand of subcommands) program.addCommand(subcommand);
  return runCommand(program, args, output);
}

const exitCodesHelp = `
Exit codes: 0 done, 1 refused, 2 usage, 3 unreachable, 4 outcome unknown, 5 damaged.
Try it on this machine: mirrorkeeper lab`;

/** Runs a command that is a program of its own. Resolves to the exit code. */
export async function runCommand(program: Command, args: readonly string[], output: Output): Promise<number> {
  catchExits(program, output);
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCodes.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    if (!(error instanceof Exit)) throw error;
    if (error.message !== '') output.err(`${program.name()}: ${error.message}`);
    return error.exitCode;
  }
}

function catchExits(command: Command, output: Output): void {
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => void output.out(text),
    writeErr: (text) => output.err(text.trimEnd()),
  });
  for (const subcommand of command.commands) catchExits(subcommand, output);
}

/** What somebody typed, cut to what fits a sentence. */
export const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
