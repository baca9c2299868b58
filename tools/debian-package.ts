import { execFile } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const downloadMsMax = 120_000;

/**
 * Unpacks a package into a folder, without root and without installing it. With the system's package lists; with lists of
 * its own where the system has none. Errors: of apt-get and dpkg.
 */
export async function unpackDebianPackage(name: string, folder: string): Promise<void> {
  await mkdir(join(folder, 'apt/lists/partial'), { recursive: true });
  const download = (...options: string[]) =>
    run('apt-get', [...options, 'download', name], { cwd: folder, timeout: downloadMsMax });
  const ownLists = [
    '-o',
    `Dir::State::Lists=${join(folder, 'apt/lists')}`,
    '-o',
    `Dir::Cache=${join(folder, 'apt')}`,
  ];
  await download().catch(async () => {
    await run('apt-get', [...ownLists, 'update'], { cwd: folder, timeout: downloadMsMax });
    await download(...ownLists);
  });
  const archive = (await readdir(folder)).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Error('apt-get downloaded nothing');
  await run('dpkg', ['-x', join(folder, archive), folder], { timeout: downloadMsMax });
}
