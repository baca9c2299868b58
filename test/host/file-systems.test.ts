import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeviceInUse } from '../../adapters/agent/ports.ts';
import { LinuxFileSystems } from '../../adapters/host/file-systems.ts';
import { Tag, VolumeName } from '../../domain/vocabulary.ts';
import { SimulatedMachine } from './simulated-machine.ts';

const tag = Tag.parse('web');
const reign = { tag, epoch: 3, enginePid: 41 };
const volume = (name: string) => VolumeName.parse(name);
const devices = ['data', 'wal'].map((name) => ({
  volume: volume(name),
  uri: `nbd+unix:///${name}@3?socket=/s`,
}));
const points = ['data', 'wal'].map((name) => ({ volume: volume(name), at: `/srv/my web/${name}` }));
const [data = '', wal = ''] = points.map(({ at }) => at);

let dir = '';
let machine = new SimulatedMachine();
/** Another agent of the same node: it knows nothing but what the machine shows. */
const restarted = () => new LinuxFileSystems(dir, machine);
let fileSystems = restarted();

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mk-fs-'));
  machine = new SimulatedMachine();
  fileSystems = restarted();
});
afterEach(() => rmSync(dir, { recursive: true }));

const mount = (of = reign, by = fileSystems) => by.mount(of, 'ext4', devices, points);
const shortly = (line: string) => line.replaceAll(dir, 'DIR').replaceAll(/m\/[0-9a-f]{8}/g, 'm/TAG');
const isBare = () => {
  expect(machine.mounts).toEqual([]);
  expect([...machine.loops]).toEqual([]);
  expect([...machine.processes]).toEqual([]);
  for (const folder of readdirSync(join(dir, 'm')).filter((name) => !name.endsWith('.log')))
    expect(readdirSync(join(dir, 'm', folder))).toEqual([]);
};

describe('file systems of a reign', () => {
  it('each volume is attached, then mounted, in their order', async () => {
    expect(await mount()).toEqual([
      { volume: 'data', device: '/dev/loop0', at: data },
      { volume: 'wal', device: '/dev/loop1', at: wal },
    ]);
    expect(machine.ran.map(shortly)).toEqual([
      'nbdfuse DIR/m/TAG/3.41/data/device nbd+unix:///data@3?socket=/s',
      'losetup --find --show --direct-io=on DIR/m/TAG/3.41/data/device',
      `mkdir --parents -- ${data}`,
      `mount -t ext4 /dev/loop0 ${data}`,
      'nbdfuse DIR/m/TAG/3.41/wal/device nbd+unix:///wal@3?socket=/s',
      'losetup --find --show --direct-io=on DIR/m/TAG/3.41/wal/device',
      `mkdir --parents -- ${wal}`,
      `mount -t ext4 /dev/loop1 ${wal}`,
    ]);
  });

  it('are found again by another agent, and nothing is mounted twice', async () => {
    const mounted = await mount();
    machine.ran.length = 0;
    const again = restarted();
    expect(await again.stands(tag)).toBe(false);
    expect(await mount(reign, again)).toEqual(mounted);
    expect(await again.stands(tag)).toBe(true);
    expect(machine.ran).toEqual([]);
  });

  it('an XFS is mounted beside another copy of itself', async () => {
    await fileSystems.mount(reign, 'xfs', devices, points);
    expect(machine.ran).toContain(`mount -t xfs -o nouuid /dev/loop0 ${data}`);
  });

  it.each([
    ['ext4', 'mkfs.ext4 -q -F'],
    ['xfs', 'mkfs.xfs -q -f'],
  ])('%s is made on the attached devices, which stay attached', async (fstype, command) => {
    await fileSystems.make(reign, fstype, devices);
    expect(machine.ran.filter((line) => line.startsWith('mkfs'))).toEqual([
      `${command} /dev/loop0`,
      `${command} /dev/loop1`,
    ]);
    await mount();
    expect(machine.ran.filter((line) => line.startsWith('nbdfuse'))).toHaveLength(2);
  });

  it('are unmounted all, then detached all, in reverse, and nothing is left behind', async () => {
    await mount();
    machine.ran.length = 0;
    expect(await restarted().unmount(tag, true)).toBe(true);
    expect(machine.ran.map(shortly)).toEqual([
      `umount --no-canonicalize ${wal}`,
      `umount --no-canonicalize ${data}`,
      'losetup --detach /dev/loop1',
      'umount --no-canonicalize --lazy DIR/m/TAG/3.41/wal',
      'losetup --detach /dev/loop0',
      'umount --no-canonicalize --lazy DIR/m/TAG/3.41/data',
    ]);
    isBare();
    expect(await fileSystems.unmount(tag, true)).toBe(false);
  });

  it('what is in use stops it before anything is detached, and says who uses it', async () => {
    await mount();
    machine.busy.add(data);
    machine.open = [{ pid: 7, program: 'postgres', path: `${data}/base/1` }];
    await expect(fileSystems.unmount(tag, true)).rejects.toThrow(DeviceInUse);
    await expect(fileSystems.unmount(tag, true)).rejects.toThrow(`${data} is used by postgres (process 7)`);
    expect(machine.loops.size).toBe(2);
    expect(machine.processes.size).toBe(2);
    // What went before it comes back.
    await mount();
    expect(await fileSystems.stands(tag)).toBe(true);
  });

  it('what is forced is cut off before it is unmounted, whoever uses it', async () => {
    await mount();
    machine.busy.add(data).add(wal);
    machine.ran.length = 0;
    expect(await restarted().unmount(tag, false)).toBe(true);
    expect(machine.ran.map(shortly).slice(0, 3)).toEqual([
      'kill nbdfuse',
      `umount --no-canonicalize --lazy ${wal}`,
      'losetup --detach /dev/loop1',
    ]);
    isBare();
  });

  it.each([
    ['a later epoch', { ...reign, epoch: 4 }],
    ['another engine of the same epoch', { ...reign, enginePid: 42 }],
  ])('what is attached for %s is not taken over: it goes, and is attached anew', async (_, next) => {
    await mount();
    machine.busy.add(data).add(wal);
    await mount(next, restarted());
    expect(
      [...machine.loops.values()].every((file) => file.includes(`/${next.epoch}.${next.enginePid}/`)),
    ).toBe(true);
    expect(machine.loops.size).toBe(2);
    expect(machine.mounts.filter(({ fstype }) => fstype === 'ext4')).toHaveLength(2);
  });

  it('one whose process has died no longer stands, and is attached anew', async () => {
    await mount();
    machine.processes.delete(101);
    expect(await fileSystems.stands(tag)).toBe(false);
    await mount();
    expect(await fileSystems.stands(tag)).toBe(true);
    expect(machine.loops.size).toBe(2);
  });

  it('one that was unmounted by hand no longer stands, and is mounted again', async () => {
    await mount();
    machine.mounts.splice(
      machine.mounts.findIndex(({ at }) => at === data),
      1,
    );
    expect(await fileSystems.stands(tag)).toBe(false);
    await mount();
    expect(await fileSystems.stands(tag)).toBe(true);
  });

  it('a process of the same number that is another program is left alone', async () => {
    await mount();
    for (const pid of [...machine.processes.keys()]) machine.processes.set(pid, ['postgres']);
    await fileSystems.unmount(tag, false);
    expect(machine.ran).not.toContain('kill postgres');
    expect(machine.processes.size).toBe(2);
  });

  it('is not mounted where something else is', async () => {
    machine.mounts.push({ at: data, fstype: 'tmpfs', source: 'tmpfs' });
    await expect(mount()).rejects.toThrow(`tmpfs is mounted at ${data} already`);
    expect(await fileSystems.usedMountPoint([`${data}/`])).toBe('tmpfs (tmpfs)');
    expect(await fileSystems.usedMountPoint([wal])).toBeNull();
  });

  it.each(['nbdfuse', 'losetup', 'mkdir', 'mount'])('says what %s said when it fails', async (program) => {
    machine.failing.set(program, 'out of luck');
    await expect(mount()).rejects.toThrow(program === 'nbdfuse' ? 'nbdfuse ended' : 'out of luck');
  });
});

describe('who uses what is mounted', () => {
  it('nobody', async () => {
    expect(await fileSystems.heldBy(tag)).toBeNull();
    expect(await fileSystems.mountedAt(tag)).toBeNull();
    await mount();
    expect(await fileSystems.heldBy(tag)).toBeNull();
    expect(await fileSystems.mountedAt(tag)).toBe(`mounted at ${data}`);
  });

  it('programs with files or folders in it, and what is mounted in it', async () => {
    await mount();
    machine.open = [
      { pid: 1, program: 'sh', path: `${data}` },
      { pid: 2, program: 'cat', path: `${data}-not` },
      ...[3, 3, 4, 5, 6].map((pid) => ({ pid, program: 'pg', path: `${data}/x` })),
    ];
    expect(await fileSystems.heldBy(tag)).toBe(
      `${data} is used by sh (process 1), pg (process 3), pg (process 4) and 2 more`,
    );
    machine.mounts.push({ at: `${data}/sub`, fstype: 'tmpfs', source: 'tmpfs' });
    expect(await fileSystems.heldBy(tag)).toBe(`tmpfs is mounted at ${data}/sub`);
  });
});

describe('an existing file system', () => {
  let image = '';
  beforeEach(() => {
    image = join(dir, 'image');
    writeFileSync(image, '');
  });

  it('is unmounted from its path, and from a loop device of it', async () => {
    machine.mounts.push({ at: '/home', fstype: 'ext4', source: image });
    machine.loops.set('/dev/loop3', image);
    machine.mounts.push({ at: '/mnt', fstype: 'ext4', source: '/dev/loop3' });
    await fileSystems.release(image);
    expect(machine.mounts).toEqual([]);
    expect(machine.loops.size).toBe(0);
    expect(existsSync(join(dir, 'm'))).toBe(false);
  });

  it('stays while somebody uses it', async () => {
    machine.mounts.push({ at: '/home', fstype: 'ext4', source: image });
    machine.busy.add('/home');
    await expect(fileSystems.release(image)).rejects.toThrow(DeviceInUse);
  });
});
