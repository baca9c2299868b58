import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from './engine-under-test.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

describe('a mirror over real sockets and files', () => {
  let lab: Lab;
  beforeEach(() => {
    lab = new Lab();
  });
  afterEach(() => lab.close());

  it('copies everything to a new target, then every write before it is acknowledged (sync)', async () => {
    const [source, target] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes: 8 * MiB });
    if (source === undefined || target === undefined) throw new Error('two nodes');
    expect(target.replica).toMatchObject({ inSync: true, consistent: true, resyncing: null });
    for (let round = 0; round < 50; round += 1) {
      await source.write((round * 37 * KiB) % (7 * MiB), Buffer.alloc(4 * KiB, round + 1));
      expect(target.image().equals(source.image())).toBe(true);
    }
    expect(target.replica.generation).toBe(source.replica.generation);
  });
});
