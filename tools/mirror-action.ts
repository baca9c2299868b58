#!/usr/bin/env node
import { mirrorActionCommand } from './cli/old-names.ts';
import { processTerminal } from './cli/terminal.ts';
import { main } from './main.ts';
import { runCommand } from './program.ts';

await main((args, output) =>
  runCommand(mirrorActionCommand(processTerminal(output, args, 'mirror_action')), args, output),
);
