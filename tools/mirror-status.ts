#!/usr/bin/env node
import { mirrorStatusCommand } from './cli/old-names.ts';
import { processTerminal } from './cli/terminal.ts';
import { main } from './main.ts';
import { runCommand } from './program.ts';

await main((args, output) =>
  runCommand(mirrorStatusCommand(processTerminal(output, args, 'mirror_status')), args, output),
);
