import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseLoops, parseMountInfo } from '../../adapters/host/mount-table.ts';

/** Mounts whose folder, or whose device's file, lies below the folder. */
export function mountsBelow(folder: string): { readonly at: string; readonly source: string }[] {
  const devices = loopsBelow(folder).map(({ device }) => device);
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(
    ({ at, source }) => at.startsWith(`${folder}/`) || devices.includes(source),
  );
}

export function loopsBelow(folder: string): { readonly device: string; readonly file: string }[] {
  const { stdout } = spawnSync('losetup', ['--list', '--json', '--output', 'NAME,BACK-FILE'], {
    encoding: 'utf8',
  });
  return parseLoops(stdout).filter(({ file }) => file.startsWith(`${folder}/`));
}

/** What a test that failed half-way leaves mounted, once its processes are dead. */
export function unmountBelow(folder: string): void {
  for (const { at } of mountsBelow(folder).reverse()) spawnSync('umount', ['--lazy', at]);
  for (const { device } of loopsBelow(folder)) spawnSync('losetup', ['--detach', device]);
}

/** Finds fault with an unmounted image as the file system's own checker does; null where it has none. */
export function checkFileSystem(fstype: string, image: string): string | null {
  const [program = '', ...options] = fstype === 'xfs' ? ['xfs_repair', '-n'] : ['e2fsck', '-fn'];
  const { status, stdout, stderr } = spawnSync(program, [...options, image], { encoding: 'utf8' });
  return status === 0 ? null : `${program} of ${basename(image)}: ${status} ${stdout} ${stderr}`;
}
