import { copyFile, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { type Cluster, megabyte } from './cluster.ts';
import { FsyncingWriter } from './fsyncing-writer.ts';
import { mountingCluster, untilMounted, untilUnmounted } from './mounting-cluster.ts';
import { checkFileSystem } from './mounts.ts';

const tag = 'web';
const rounds = Number(process.env['MIRRORKEEPER_ROUNDS'] ?? 2);
const imageBytes = { ext4: 48 * megabyte, xfs: 320 * megabyte } as const;
type FsType = keyof typeof imageBytes;

/** eve makes it, adam is in sync; each has a folder of its own, as all nodes are on this machine. */
async function mirrored(fstype: FsType): Promise<Cluster> {
  const started = await mountingCluster();
  const volumes = async (name: string) => {
    const path = started.node(name).image(tag);
    await writeFile(path, '');
    await truncate(path, imageBytes[fstype]);
    return [{ name: 'data', path }];
  };
  const mount = (name: string) => started.node(name).mountPoint(tag);
  const made = { tag, node: 'eve', volumes: await volumes('eve'), content: 'new-filesystem', fstype };
  await started.order('eve', 'create', { ...made, mount: mount('eve') });
  await untilMounted(started, 'eve', tag);
  await started.order('eve', 'extend', {
    tag,
    node: 'adam',
    volumes: await volumes('adam'),
    mount: mount('adam'),
  });
  await started.untilInSync('eve', tag, 'eve', ['adam']);
  return started;
}

/** As another machine would find the image. */
async function expectSound(site: Cluster, fstype: FsType, node: string): Promise<void> {
  const copy = `${site.node(node).image(tag)}.copy`;
  await copyFile(site.node(node).image(tag), copy);
  expect(checkFileSystem(fstype, copy)).toBeNull();
}

describe.each(['ext4', 'xfs'] as const)(
  '%s on a mirror',
  { timeout: 120_000 + rounds * 60_000 },
  (fstype) => {
    it('is made, mounted, moved with the service there and back, and clean', async () => {
      const site = await mirrored(fstype);
      const writer = new FsyncingWriter();
      await writer.write(site.node('eve').mountPoint(tag), 20);
      for (const [from, to] of [
        ['eve', 'adam'],
        ['adam', 'eve'],
      ] as const) {
        await site.order(from, 'switchover', { tag, node: to });
        const folder = await untilMounted(site, to, tag);
        await untilUnmounted(site, from);
        expect(writer.missing(folder)).toEqual([]);
        await writer.write(folder, 20);
        await site.untilInSync(to, tag, to, [from]);
      }
      await site.order('eve', 'out-of-service', { tag });
      await untilUnmounted(site, 'eve');
      await site.sameImages(tag);
      await expectSound(site, fstype, 'eve');
      await site.verifyJournals();
    });

    it(`is mounted on the target by itself when everything on the source is killed, ${rounds} times`, async () => {
      const site = await mirrored(fstype);
      const writer = new FsyncingWriter();
      let [source, target] = ['eve', 'adam'];
      const times: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const writing = writer.writeUntil(site.node(source).mountPoint(tag), () => false);
        const enough = writer.acknowledged.size + 20;
        await site.eventually('the writer gets on', async () =>
          expect(writer.acknowledged.size).toBeGreaterThan(enough),
        );
        const killedMs = performance.now();
        await site.node(source).killAll();
        const folder = await untilMounted(site, target, tag);
        times.push(Math.round(performance.now() - killedMs));
        await writing;
        expect(writer.missing(folder)).toEqual([]);
        await site.node(source).start();
        await untilUnmounted(site, source);
        await site.untilInSync(target, tag, target, [source]);
        [source, target] = [target, source];
      }
      await site.order(source, 'out-of-service', { tag });
      await untilUnmounted(site, source);
      await site.sameImages(tag);
      for (const node of [source, target]) await expectSound(site, fstype, node);
      process.stderr.write(
        `${fstype}: from kill to mounted ${times.join(', ')} ms; ${writer.acknowledged.size} files, none missing\n`,
      );
      await site.verifyJournals();
    });
  },
);
