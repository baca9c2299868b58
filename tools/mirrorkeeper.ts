#!/usr/bin/env node
import { once } from 'node:events';
import { agentCommand } from './agent-command.ts';
import { journalCommand } from './journal-command.ts';
import { type Output, runProgram } from './program.ts';

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

process.exitCode = await runProgram(
  [agentCommand(output), journalCommand(output)],
  process.argv.slice(2),
  output,
);
