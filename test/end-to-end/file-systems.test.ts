import { execFileSync, spawn } from 'node:child_process';
import { copyFile, mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Cluster, megabyte } from './cluster.ts';
import { FsyncingWriter } from './fsyncing-writer.ts';
import { mountingCluster, untilMounted, untilUnmounted } from './mounting-cluster.ts';
import { checkFileSystem, mountsBelow } from './mounts.ts';
import { killAll } from './processes.ts';

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

describe('what is mounted', { timeout: 120_000 }, () => {
  it('an existing file system is unmounted, mirrored and mounted again at its folder, with everything that is in it', async () => {
    const site = await mountingCluster();
    const [image, folder] = [site.node('eve').image(tag), site.node('eve').mountPoint(tag)];
    for (const name of ['eve', 'adam']) {
      await writeFile(site.node(name).image(tag), '');
      await truncate(site.node(name).image(tag), imageBytes.ext4);
    }
    execFileSync('mkfs.ext4', ['-q', image]);
    await mkdir(folder);
    execFileSync('mount', ['-o', 'loop', image, folder]);
    const writer = new FsyncingWriter();
    await writer.write(folder, 10);

    const create = {
      tag,
      node: 'eve',
      volumes: [{ name: 'data', path: image }],
      content: 'existing-filesystem',
    };
    const user = spawn('tail', ['-f', join(folder, 'file-1')], { stdio: 'ignore' });
    await site.eventually('somebody uses it', async () =>
      expect(await site.refusalOf('eve', 'create', create)).toBe('device-in-use'),
    );
    await killAll([user.pid ?? 0]);
    await site.order('eve', 'create', create);
    expect(await untilMounted(site, 'eve', tag)).toBe(folder);
    expect(writer.missing(folder)).toEqual([]);
    await writer.write(folder, 10);

    const volumes = [{ name: 'data', path: site.node('adam').image(tag) }];
    const [mount, same] = [site.node('adam').mountPoint(tag), { tag, node: 'adam', volumes }];
    // Both nodes are on this machine: where it is mounted already is taken.
    expect(await site.refusalOf('eve', 'extend', same)).toBe('path-in-use');
    await site.order('eve', 'extend', { ...same, mount });
    await site.untilInSync('eve', tag, 'eve', ['adam']);
    await site.order('eve', 'switchover', { tag, node: 'adam' });
    expect(writer.missing(await untilMounted(site, 'adam', tag))).toEqual([]);
    await untilUnmounted(site, 'eve');
    await site.order('adam', 'out-of-service', { tag });
    await untilUnmounted(site, 'adam');
    await expectSound(site, 'ext4', 'adam');
    await site.verifyJournals();
  });

  it('goes on through a restart of the agent, and is mounted anew when its engine or its nbdfuse dies', async () => {
    const site = await mirrored('ext4');
    const folder = site.node('eve').mountPoint(tag);
    const writer = new FsyncingWriter();
    const writing = writer.writeUntil(folder, () => writer.acknowledged.size >= 20);
    await site.node('eve').killAgent();
    await site.node('eve').start();
    await writing;
    expect(writer.acknowledged.size).toBe(20);

    const node = site.node('eve');
    for (const part of ['enginePids', 'attachingPids'] as const) {
      const [attachedBefore] = node.attachingPids;
      await killAll(node[part]);
      await site.eventually('it is attached and mounted anew', async () => {
        expect(node.attachingPids).toHaveLength(1);
        expect(node.attachingPids).not.toContain(attachedBefore);
        // What nbdfuse shows, and the file system.
        expect(mountsBelow(node.dir)).toHaveLength(2);
      });
      await writer.write(folder, 1);
    }
    expect(writer.missing(folder)).toEqual([]);
    await site.order('eve', 'out-of-service', { tag });
    await untilUnmounted(site, 'eve');
    await expectSound(site, 'ext4', 'eve');
  });
});
