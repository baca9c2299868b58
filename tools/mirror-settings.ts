#!/usr/bin/env node
import { mirrorSettingsCommand } from './cli/old-names.ts';
import { processTerminal } from './cli/terminal.ts';
import { main } from './main.ts';
import { runCommand } from './program.ts';

await main((args, output) =>
  runCommand(mirrorSettingsCommand(processTerminal(output, args, 'mirror_settings')), args, output),
);
