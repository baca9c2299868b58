#!/usr/bin/env node
import { bitmapCommand } from './bitmap-command.ts';

process.exitCode = await bitmapCommand(process.argv.slice(2), {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
});
