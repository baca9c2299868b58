import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { Exit, exitCodes } from '../program.ts';
import type { Terminal } from './terminal.ts';

const keyBytes = 32;

/** `keygen FILE`: never over a key that is there, since its links would all break. */
export const keygenCommand = ({ output }: Terminal): Command =>
  new Command('keygen')
    .description("make the cluster's link key: copy the file to every node")
    .argument('<file>')
    .addHelpText('after', '\nExample:\n  mirrorkeeper keygen /etc/mirrorkeeper/link.key')
    .action(async (file: string) => {
      await writeKey(file);
      await output.out(`${file}: a new link key; every node of the cluster needs the same file\n`);
    });

/** 64 hex digits, for its owner's eyes only. */
export async function writeKey(file: string): Promise<void> {
  const options = { mode: 0o600, flag: 'wx' } as const;
  await writeFile(file, `${randomBytes(keyBytes).toString('hex')}\n`, options).catch(
    (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EEXIST' ? 'is there already and stays as it is' : `cannot be made: ${error.code}`;
      throw new Exit(exitCodes.refused, `${file} ${why}`);
    },
  );
}
