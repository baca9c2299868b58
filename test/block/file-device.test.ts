import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Done } from '../../adapters/block/block-device.ts';
import { FileDevice } from '../../adapters/block/file-device.ts';
import { blockDeviceContract } from './block-device-contract.ts';
import { completed } from './completed.ts';
import { scratchDisk, scratchFile, scratchFolder } from './scratch.ts';

const mebibyte = 1024 * 1024;

const failNextSync = vi.hoisted(() => ({ value: false }));
vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs')>();
  return {
    ...real,
    fdatasync: (fd: number, done: (error: Error | null) => void) => {
      if (failNextSync.value) setImmediate(done, Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
      else real.fdatasync(fd, done);
      failNextSync.value = false;
    },
  };
});

blockDeviceContract('a file', () => FileDevice.open(scratchFile(8 * mebibyte)));
blockDeviceContract('a disk', () => FileDevice.open(scratchDisk(9 * mebibyte)));

const close = (device: FileDevice) => completed((done) => device.close(done));

describe('FileDevice', () => {
  it.each([
    ['file', scratchFile],
    ['disk', scratchDisk],
  ])('a %s that is open is in use for everybody else', async (_, scratch) => {
    const path = scratch(mebibyte);
    const device = await FileDevice.open(path);
    await expect(FileDevice.open(path)).rejects.toMatchObject({ code: 'path-in-use' });
    await close(device);
    await close(await FileDevice.open(path));
  });

  it('refuses a disk that is mounted (FAULTS 26)', async () => {
    const disk = scratchDisk(9 * mebibyte);
    execFileSync('mkfs.ext4', ['-q', disk]);
    const folder = scratchFolder();
    execFileSync('mount', [disk, folder]);
    onTestFinished(() => {
      execFileSync('umount', [folder]);
    });
    await expect(FileDevice.open(disk)).rejects.toMatchObject({
      code: 'path-in-use',
      message: expect.stringContaining('mounted'),
    });
  });

  it('takes the size of a disk from the kernel', async () => {
    const device = await FileDevice.open(scratchDisk(9 * mebibyte));
    expect(device.byteSize).toBe(9 * mebibyte);
    await close(device);
  });

  it('refuses a path that is missing, or no file and no device', async () => {
    const folder = scratchFolder();
    for (const path of [join(folder, 'nothing'), folder, '/dev/null']) {
      await expect(FileDevice.open(path)).rejects.toMatchObject({ code: 'path-missing' });
    }
  });

  it('trim gives the space of a file back, zero keeps it', async () => {
    const path = scratchFile(8 * mebibyte);
    const device = await FileDevice.open(path);
    const bytesUsed = () => statSync(path).blocks * 512;
    await completed((done) => device.write(Buffer.alloc(8 * mebibyte, 1), 0, done));
    await completed((done) => device.flush(done));
    await completed((done) => device.zero(0, 8 * mebibyte, done));
    expect(bytesUsed()).toBeGreaterThanOrEqual(8 * mebibyte);
    await completed((done) => device.trim(0, 8 * mebibyte, done));
    expect(bytesUsed()).toBeLessThan(mebibyte);
    await close(device);
  });

  it('zeros are written where no program can make them', async () => {
    const path = scratchFile(8 * mebibyte);
    writeFileSync(path, Buffer.alloc(8 * mebibyte, 7));
    const device = await FileDevice.open(path);
    const searchPath = process.env['PATH'];
    process.env['PATH'] = '/nonexistent';
    try {
      await completed((done) => device.trim(0, 6 * mebibyte, done));
    } finally {
      process.env['PATH'] = searchPath;
    }
    expect(readFileSync(path).equals(Buffer.alloc(8 * mebibyte, 7).fill(0, 0, 6 * mebibyte))).toBe(true);
    await close(device);
  });

  it('a file that was cut short gives an error, not old bytes', async () => {
    const path = scratchFile(mebibyte);
    const device = await FileDevice.open(path);
    truncateSync(path, 1000);
    for (const byteCount of [4096, mebibyte]) {
      await expect(completed((done) => device.read(Buffer.alloc(byteCount), 0, done))).rejects.toMatchObject({
        code: 'EIO',
      });
    }
    await close(device);
  });

  it('a full disk is an error of the write, with the code of the system', async () => {
    const folder = scratchFolder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'mirrorkeeper-test', folder]);
    onTestFinished(() => {
      execFileSync('umount', [folder]);
    });
    const path = join(folder, 'volume');
    writeFileSync(path, '');
    truncateSync(path, 8 * mebibyte);
    const device = await FileDevice.open(path);
    const write = (byteCount: number, offset: number) =>
      completed((done) => device.write(Buffer.alloc(byteCount, 1), offset, done));
    await expect(write(4 * mebibyte, 0)).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(write(4096, 7 * mebibyte)).rejects.toMatchObject({ code: 'ENOSPC' });
    await close(device);
  });

  it('after a failed fdatasync everything fails for good, whatever the disk says later (FAULTS 31)', async () => {
    const path = scratchFile(mebibyte);
    const device = await FileDevice.open(path);
    await completed((done) => device.write(Buffer.alloc(4096, 1), 0, done));
    // Only the first call fails, as the kernel does it: the dirty pages are dropped, the next one would succeed.
    failNextSync.value = true;
    await expect(completed((done) => device.flush(done))).rejects.toMatchObject({ code: 'EIO' });
    for (const start of [
      (done: Done) => device.flush(done),
      (done: Done) => device.write(Buffer.alloc(1), 0, done),
      (done: Done) => device.read(Buffer.alloc(1), 0, done),
      (done: Done) => device.zero(0, 1, done),
      (done: Done) => device.trim(0, 1, done),
    ]) {
      await expect(completed(start)).rejects.toThrow(/failed for good/);
    }
    await close(device);
  });

  it('close waits for what is under way, and nothing reaches the descriptor after it', async () => {
    const path = scratchFile(4 * mebibyte);
    const device = await FileDevice.open(path);
    const writing = completed((done) => device.write(Buffer.alloc(4 * mebibyte, 5), 0, done));
    await close(device);
    await writing;
    expect(readFileSync(path).equals(Buffer.alloc(4 * mebibyte, 5))).toBe(true);
    await expect(completed((done) => device.write(Buffer.alloc(1), 0, done))).rejects.toMatchObject({
      code: 'EBADF',
    });
  });
});
