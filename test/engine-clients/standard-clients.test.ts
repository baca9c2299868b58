import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mustRun, run } from '../nbd/run.ts';
import { MirroredPair } from './mirrored-pair.ts';

const MiB = 1024 * 1024;
const volumeBytes = 32 * MiB;

describe('standard NBD clients on the source of a synchronous mirror', () => {
  let pair: MirroredPair;
  beforeAll(async () => {
    pair = await MirroredPair.start(volumeBytes);
  });
  afterAll(() => pair.stop());

  it('nbdinfo says what the export can do', async () => {
    const { exports } = JSON.parse(await mustRun('nbdinfo', '--json', pair.uri));
    expect(exports).toMatchObject([
      {
        'export-name': 'v0@1',
        'export-size': volumeBytes,
        is_read_only: false,
        can_flush: true,
        can_fua: true,
        can_multi_conn: true,
        can_trim: true,
        can_zero: true,
      },
    ]);
  });

  it('nbdcopy copies in and out; the target has all of it', async () => {
    const image = join(pair.folder, 'image');
    const content = randomBytes(volumeBytes);
    content.fill(0, 4 * MiB, 9 * MiB);
    writeFileSync(image, content);
    await mustRun('nbdcopy', '--flush', '--connections=4', '--requests=64', image, pair.uri);
    expect(pair.target.image().equals(content)).toBe(true);
    const back = join(pair.folder, 'back');
    await mustRun('nbdcopy', '--connections=4', pair.uri, back);
    expect(readFileSync(back).equals(content)).toBe(true);
  });

  it('qemu-io writes, reads, discards, writes zeroes and flushes; the target follows', async () => {
    const commands = [
      'write -P 0xa5 1000 70000',
      'read -P 0xa5 1000 70000',
      'write -f -P 0x5a 1M 2M',
      'discard 1M 64k',
      'read -P 0 1M 64k',
      'write -z 2M 64k',
      'write -z -u 2200k 4k',
      'read -P 0 2M 64k',
      'read -P 0 2200k 4k',
      'read -P 0x5a 1200k 512k',
      'flush',
    ];
    const options = ['-f', 'raw', '-t', 'writeback', ...commands.flatMap((one) => ['-c', one])];
    expect(await mustRun('qemu-io', ...options, pair.uri)).not.toMatch(/fail|error/i);
    const image = pair.target.image();
    expect(image.subarray(1000, 71_000).every((byte) => byte === 0xa5)).toBe(true);
    expect(image.subarray(MiB, MiB + 65_536).every((byte) => byte === 0)).toBe(true);
    expect(image.subarray(2 * MiB, 2 * MiB + 65_536).every((byte) => byte === 0)).toBe(true);
    expect(pair.isEqual).toBe(true);
  });

  it('qemu-img finds the export identical to the target’s image, and one byte that differs', async () => {
    const compare = (image: string) => run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', image, pair.uri);
    const copy = join(pair.folder, 'copy');
    const image = pair.target.image();
    writeFileSync(copy, image);
    expect((await compare(copy)).stdout).toContain('identical');
    image.writeUInt8(image.readUInt8(12_345_678) ^ 1, 12_345_678);
    writeFileSync(copy, image);
    expect((await compare(copy)).code).toBe(1);
  });

  it.each(['4k-4k', '512-192k'])('fio verifies what it wrote at depth 32, %s', async (range) => {
    const out = await mustRun(
      'fio',
      '--name=verify',
      '--ioengine=nbd',
      `--uri=${pair.uri}`,
      '--rw=randwrite',
      `--bsrange=${range}`,
      '--bs_unaligned',
      '--iodepth=32',
      '--size=24M',
      '--fsync=64',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--verify_state_save=0',
    );
    expect(out).toMatch(/err= 0/);
    expect(pair.isEqual).toBe(true);
    expect((await pair.source.peer('eve')).status).toBe('fully-operational');
  });
});
