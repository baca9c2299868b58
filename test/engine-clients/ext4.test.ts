import { createHash, randomBytes } from 'node:crypto';
import { closeSync, copyFileSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mustRun, run } from '../nbd/run.ts';
import { MirroredPair } from './mirrored-pair.ts';
import { MountedExport } from './mounted-export.ts';

const MiB = 1024 * 1024;

const checksum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Files of all sizes, each on stable storage when this returns; what must be found in them. */
function writeFiles(folder: string): ReadonlyMap<string, string> {
  const checksums = new Map<string, string>();
  for (let number = 0; number < 40; number += 1) {
    const name = `file-${number}`;
    const content = randomBytes(1 + ((number * 7919 * 13) % (700 * 1024)));
    const file = openSync(join(folder, name), 'w');
    writeSync(file, content);
    fsyncSync(file);
    closeSync(file);
    checksums.set(name, checksum(content));
  }
  return checksums;
}

describe('ext4 on the source of a synchronous mirror', () => {
  let pair: MirroredPair;
  let mounted: MountedExport;
  beforeEach(async () => {
    pair = await MirroredPair.start(64 * MiB);
    mounted = new MountedExport(pair.folder);
  });
  afterEach(async () => {
    await mounted.close();
    await pair.stop();
  });

  it('what was written and flushed is on the target, whose file system is clean', async () => {
    await mounted.attach(pair.uri);
    await mounted.makeFileSystem();
    await mounted.mount();
    const checksums = writeFiles(mounted.folder);
    await mustRun('sync', '--file-system', mounted.folder);
    await mounted.unmount();
    await mounted.close();
    expect(pair.isEqual).toBe(true);

    const image = join(pair.folder, 'copy.img');
    copyFileSync(pair.target.volumePath, image);
    expect(await run('e2fsck', '-fn', image)).toMatchObject({ code: 0 });
    const found = await readFiles(image, checksums.keys());
    expect(found).toEqual(checksums);
  });

  /** Read on a copy of the target's image, mounted on its own. */
  async function readFiles(image: string, names: Iterable<string>): Promise<ReadonlyMap<string, string>> {
    const folder = join(pair.folder, 'target');
    mkdirSync(folder);
    await mustRun('mount', '-t', 'ext4', '-o', 'loop,ro', image, folder);
    try {
      return new Map([...names].map((name) => [name, checksum(readFileSync(join(folder, name)))]));
    } finally {
      await mustRun('umount', folder);
    }
  }
});
