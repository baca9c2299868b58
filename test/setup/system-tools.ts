import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs that the tests talk to, and the Debian package that holds each. */
const tools: ReadonlyArray<readonly [program: string, debianPackage: string]> = [
  ['nats-server', 'nats-server'],
  ['nbdinfo', 'libnbd-bin'],
  ['nbdcopy', 'libnbd-bin'],
  ['nbdfuse', 'nbdfuse'],
  ['nbdkit', 'nbdkit'],
  ['qemu-io', 'qemu-utils'],
  ['fio', 'fio'],
  ['mkfs.ext4', 'e2fsprogs'],
  ['mkfs.xfs', 'xfsprogs'],
  ['losetup', 'mount'],
  ['pg_ctlcluster', 'postgresql'],
  ['fusermount3', 'fuse3'],
  ['ip', 'iproute2'],
  ['systemd-analyze', 'systemd'],
  ['jq', 'jq'],
  ['openssl', 'openssl'],
  ['awk', 'mawk'],
  ['chromium', 'chromium'],
];

/** Installs what is missing (as root), or fails with the reason: a test that is skipped proves nothing. */
export default function installSystemTools(): void {
  const packages = [...new Set(tools.filter(([program]) => !onPath(program)).map(([, name]) => name))];
  if (packages.length === 0) return;
  if (process.getuid?.() !== 0) {
    throw new Error(
      `the tests need: apt-get install ${packages.join(' ')} (run this as root, or run npm test as root)`,
    );
  }
  const apt = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: 'inherit' as const };
  execFileSync('apt-get', ['update', '-qq'], apt);
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], apt);
}

function onPath(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
