#!/usr/bin/env node
import { agentCommand } from './agent-command.ts';
import { operatorCommands } from './cli/commands.ts';
import { historyCommand } from './cli/journal-list.ts';
import { processTerminal } from './cli/terminal.ts';
import { labCommand } from './lab/lab-command.ts';
import { main } from './main.ts';
import { natsConfigCommand } from './nats-config.ts';
import { runProgram } from './program.ts';
import { rocCommand } from './roc.ts';

await main((args, output) =>
  runProgram(
    [
      ...operatorCommands(processTerminal(output, args)),
      labCommand(processTerminal(output, args)),
      historyCommand(processTerminal(output, args)),
      agentCommand(output),
      rocCommand(output),
      natsConfigCommand((text) => void output.out(text)),
    ],
    args,
    output,
  ),
);
