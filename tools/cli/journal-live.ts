import { mkdtempSync, rmSync } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { z } from 'zod';
import { journalCommand } from '../journal-command.ts';
import { Exit, exitCodes, type Output } from '../program.ts';
import { ask } from './query.ts';
import { type Terminal, withClient } from './terminal.ts';

/** `journal export` and `journal verify` of an agent that runs: over its socket, from a copy that it writes beside it. */
export const liveJournalCommands = (terminal: Terminal): Command[] => [
  exportCommand(terminal),
  verifyCommand(terminal),
];

/** A long journal takes its time to write. */
const exportMs = 600_000;
const readBytes = 1024 * 1024;
const quiet: Output = { out: async () => undefined, err: () => undefined };

interface Where {
  readonly data?: string;
  readonly socket?: string;
}

const socketHelp = 'of an agent that runs: its DIR/agent.sock (MIRRORKEEPER_SOCKET)';
const dataHelp = 'the data directory of an agent that does not run';

const exportCommand = (terminal: Terminal): Command =>
  new Command('export')
    .description('writes all logs as NDJSON')
    .option('--data <dir>', dataHelp)
    .option('--socket <path>', socketHelp)
    .option('--redact', 'without payloads: it still verifies')
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper journal export --socket /var/lib/mirrorkeeper/agent.sock > history.ndjson
  mirrorkeeper journal export --data /var/lib/mirrorkeeper --redact`,
    )
    .action(async (options: Where & { readonly redact?: true }) => {
      const redact = options.redact === true;
      if (options.data !== undefined)
        return offline(terminal.output, ['export', '--data', options.data, ...(redact ? ['--redact'] : [])]);
      const file = await exportOf(terminal, options, redact);
      await print(file, terminal.output);
    });

interface VerifyOptions extends Where {
  readonly keys?: string;
  readonly decisions?: true;
  readonly json?: true;
}

const verifyCommand = (terminal: Terminal): Command =>
  new Command('verify')
    .description('verifies checksums, hashes, chains, signatures and what nodes have seen of each other')
    .argument('[file]', 'an export, redacted or not, instead of a journal')
    .option('--data <dir>', dataHelp)
    .option('--socket <path>', socketHelp)
    .option(
      '--keys <file>',
      'lines "NODE PUBLICKEY" that heads must be signed with, as the operators told them',
    )
    .option('--decisions', 'also that every recorded decision follows from its recorded facts')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper journal verify --socket /var/lib/mirrorkeeper/agent.sock --decisions
  mirrorkeeper journal verify history.ndjson --keys keys.txt`,
    )
    .action(async (file: string | undefined, options: VerifyOptions) => {
      const { data, keys, decisions, json } = options;
      const more = [...(keys === undefined ? [] : ['--keys', keys]), ...(json ? ['--json'] : [])];
      const alsoDecisions = decisions ? ['--decisions'] : [];
      if (file !== undefined || data !== undefined) {
        if (options.socket !== undefined)
          throw new Exit(exitCodes.usage, 'either a file is verified, or --data DIR, or --socket PATH');
        const what = [...(file === undefined ? [] : [file]), ...(data === undefined ? [] : ['--data', data])];
        return offline(terminal.output, ['verify', ...what, ...alsoDecisions, ...more]);
      }
      const copy = await exportOf(terminal, options, false);
      const folder = mkdtempSync(join(tmpdir(), 'mk-verify-'));
      try {
        if (!decisions) return await offline(terminal.output, ['verify', copy, ...more]);
        // Decisions are decided again upon the state of their moment: the copy becomes a journal.
        await offline(quiet, ['import', copy, '--data', folder]);
        await offline(terminal.output, ['verify', '--data', folder, ...alsoDecisions, ...more]);
      } finally {
        await unlink(copy);
        rmSync(folder, { recursive: true });
      }
    });

const offline = async (output: Output, words: readonly string[]): Promise<void> => {
  await journalCommand(output).parseAsync([...words], { from: 'user' });
};

const Exported = z.object({ file: z.string() });

/** The path of the copy: whoever asked for it takes it away. */
async function exportOf(terminal: Terminal, { socket }: Where, redact: boolean): Promise<string> {
  const path = socket ?? process.env['MIRRORKEEPER_SOCKET'];
  if (path === undefined)
    throw new Exit(
      exitCodes.usage,
      '--data DIR of an agent that does not run, or --socket PATH of one that does',
    );
  return withClient(terminal, { socket: path }, async (client) => {
    const { file } = await ask(client, 'journal-export', { redact }, exportMs, Exported);
    return file;
  });
}

/** Gone from its folder before the first byte is printed: whatever ends this leaves nothing behind. */
async function print(path: string, output: Output): Promise<void> {
  const file = await open(path, 'r');
  try {
    await unlink(path);
    const buffer = Buffer.alloc(readBytes);
    const decoder = new TextDecoder();
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, readBytes);
      if (bytesRead === 0) return;
      await output.out(decoder.decode(buffer.subarray(0, bytesRead), { stream: true }));
    }
  } finally {
    await file.close();
  }
}
