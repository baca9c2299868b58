import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NbdServer } from '../../adapters/nbd/nbd-server.ts';
import { MemoryExport } from './memory-export.ts';
import { mustRun, run } from './run.ts';

const size = 32 * 1024 * 1024;
let folder: string;
let socket: string;
let server: NbdServer;
let disk: MemoryExport;
let uri: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nbd-'));
  socket = join(folder, 'nbd.sock');
  server = new NbdServer();
  disk = new MemoryExport('disk', size, { epoch: 7 });
  server.offer(disk);
  await new Promise<void>((resolve, reject) => {
    server.listenUnix(socket, (error) => (error ? reject(error) : resolve()));
  });
  uri = `nbd+unix:///disk@7?socket=${socket}`;
});

afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const countOf = (call: string) => disk.calls.filter((made) => made.startsWith(call)).length;

describe('standard NBD clients', () => {
  it('only the owner may connect to the socket', () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
  });

  it('nbdinfo lists the exports and what they can do', async () => {
    server.offer(new MemoryExport('frozen', 4096, { epoch: 7, readOnly: true }));
    const listed = JSON.parse(await mustRun('nbdinfo', '--list', '--json', `nbd+unix:///?socket=${socket}`));
    expect(listed).toMatchObject({ protocol: 'newstyle-fixed', structured: true });
    expect(listed.exports).toMatchObject([
      {
        'export-name': 'disk@7',
        'export-size': size,
        contexts: ['base:allocation'],
        is_read_only: false,
        can_cache: true,
        can_df: true,
        can_fast_zero: false,
        can_flush: true,
        can_fua: true,
        can_multi_conn: true,
        can_trim: true,
        can_zero: true,
        block_size_minimum: 1,
        block_size_preferred: 4096,
        block_size_maximum: 33_554_432,
      },
      { 'export-name': 'frozen@7', 'export-size': 4096, is_read_only: true },
    ]);
  });

  it('nbdinfo maps data and holes', async () => {
    disk.bytes.fill(1, 8192, 16_384);
    const map = JSON.parse(await mustRun('nbdinfo', '--map', '--json', uri));
    expect(map).toMatchObject([
      { offset: 0, length: 8192, type: 3 },
      { offset: 8192, length: 8192, type: 0 },
      { offset: 16_384, length: size - 16_384, type: 3 },
    ]);
  });

  it('an export of an earlier reign is refused', async () => {
    expect((await run('nbdinfo', `nbd+unix:///disk@6?socket=${socket}`)).code).not.toBe(0);
    expect((await run('nbdinfo', '--size', `nbd+unix:///disk?socket=${socket}`)).stdout.trim()).toBe(
      String(size),
    );
  });

  it('nbdcopy copies in and out, over several connections', async () => {
    const image = join(folder, 'image');
    const content = randomBytes(size);
    content.fill(0, 4 * 1024 * 1024, 9 * 1024 * 1024);
    writeFileSync(image, content);
    await mustRun('nbdcopy', '--flush', '--connections=4', '--requests=64', image, uri);
    expect(disk.bytes.equals(content)).toBe(true);
    expect(countOf('flush')).toBeGreaterThan(0);
    const back = join(folder, 'back');
    await mustRun('nbdcopy', '--connections=4', uri, back);
    expect(readFileSync(back).equals(content)).toBe(true);
  });

  it('qemu-io writes, reads, discards, writes zeroes and flushes', async () => {
    const commands = [
      'write -P 0xa5 1000 70000',
      'read -P 0xa5 1000 70000',
      'write -f -P 0x5a 1M 2M',
      'discard 1M 64k',
      'read -P 0 1M 64k',
      'write -z 2M 64k',
      'write -z -u 2200k 4k',
      'read -P 0 2M 64k',
      'read -P 0x5a 1200k 512k',
      'flush',
    ];
    const out = await mustRun(
      'qemu-io',
      '-f',
      'raw',
      '-t',
      'writeback',
      ...commands.flatMap((one) => ['-c', one]),
      uri,
    );
    expect(out).not.toMatch(/fail|error/i);
    expect(disk.calls).toEqual(
      expect.arrayContaining(['flush', 'zero+allocated 2097152 65536', 'trim 1048576 65536']),
    );
    expect(countOf('write+fua')).toBeGreaterThan(0);
    expect(disk.bytes.subarray(1000, 71_000).every((byte) => byte === 0xa5)).toBe(true);
  });

  it('qemu-img compares, and finds one byte that differs', async () => {
    const image = join(folder, 'image');
    randomBytes(size).copy(disk.bytes);
    writeFileSync(image, disk.bytes);
    const compare = () => run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', image, uri);
    expect((await compare()).stdout).toContain('identical');
    disk.bytes[12_345_678] = (disk.bytes[12_345_678] ?? 0) ^ 1;
    expect((await compare()).code).toBe(1);
  });

  it('a write to a read-only export fails with "Operation not permitted"', async () => {
    server.offer(new MemoryExport('frozen', 65_536, { epoch: 7, readOnly: true }));
    const target = `nbd+unix:///frozen?socket=${socket}`;
    expect((await run('qemu-io', '-f', 'raw', '-c', 'write 0 4k', target)).code).not.toBe(0);
    expect(await mustRun('qemu-io', '-r', '-f', 'raw', '-c', 'read -P 0 0 4k', target)).toContain(
      'read 4096/4096',
    );
  });

  it.each([
    ['4k', '4k'],
    ['mixed sizes', '512-192k'],
  ])('fio verifies what it wrote at depth 32, %s', async (_, range) => {
    const out = await mustRun(
      'fio',
      '--name=verify',
      '--ioengine=nbd',
      `--uri=${uri}`,
      '--rw=randwrite',
      `--bsrange=${range.includes('-') ? range : `${range}-${range}`}`,
      '--bs_unaligned',
      '--iodepth=32',
      '--size=12M',
      '--fsync=64',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--verify_state_save=0',
    );
    expect(out).toMatch(/err= 0/);
    expect(countOf('read')).toBeGreaterThan(100);
    expect(countOf('flush')).toBeGreaterThan(0);
  });

  it('answers over TCP too', async () => {
    const port = await new Promise<number>((resolve, reject) => {
      server.listenTcp('127.0.0.1', 0, (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    const tcp = `nbd://127.0.0.1:${port}/disk@7`;
    await mustRun(
      'qemu-io',
      '-f',
      'raw',
      '-c',
      'write -P 7 0 1M',
      '-c',
      'read -P 7 0 1M',
      '-c',
      'flush',
      tcp,
    );
    expect(disk.bytes[1_048_575]).toBe(7);
  });
});
