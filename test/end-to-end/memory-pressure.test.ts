import { spawn } from 'node:child_process';
import { truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { megabyte } from './cluster.ts';
import { MemoryGroup } from './memory-group.ts';
import { mountingCluster, untilMounted, untilUnmounted } from './mounting-cluster.ts';
import { isRunning } from './processes.ts';

const tag = 'web';
const limitBytes = 192 * megabyte;
const writtenMegabytes = 384;

describe('memory pressure', { timeout: 240_000 }, () => {
  it('engine, nbdfuse and a writing application in one small group: it gets to its end, no engine is killed (FAULTS 33)', async () => {
    const site = await mountingCluster();
    const eve = site.node('eve');
    const group = new MemoryGroup(basename(site.folder), limitBytes);
    onTestFinished(async () => {
      await eve.killAll();
      await group.remove();
    });
    // Whatever an agent starts is in its group.
    group.add(eve.agentPid);
    const volumes = async (name: string) => {
      const path = site.node(name).image(tag);
      await writeFile(path, '');
      await truncate(path, 512 * megabyte);
      return [{ name: 'data', path }];
    };
    const mount = (name: string) => site.node(name).mountPoint(tag);
    const made = { tag, node: 'eve', volumes: await volumes('eve'), content: 'new-filesystem' };
    await site.order('eve', 'create', { ...made, mount: mount('eve') });
    const folder = await untilMounted(site, 'eve', tag);
    await site.order('eve', 'extend', {
      tag,
      node: 'adam',
      volumes: await volumes('adam'),
      mount: mount('adam'),
    });
    await site.untilInSync('eve', tag, 'eve', ['adam']);

    // Nothing is flushed before the end: the group is full of dirty pages all the time.
    const input = ['if=/dev/urandom', `of=${join(folder, 'file')}`, 'bs=1M', `count=${writtenMegabytes}`];
    const writer = spawn('dd', [...input, 'conv=fsync'], { stdio: 'ignore' });
    group.add(writer.pid ?? 0);
    const startedMs = performance.now();
    const { enginePids, attachingPids } = eve;
    expect(await new Promise((resolve) => writer.once('exit', resolve))).toBe(0);
    const seconds = (performance.now() - startedMs) / 1000;

    expect(group.reached).toBeGreaterThan(0);
    expect(group.killed).toBe(0);
    expect([...enginePids, ...attachingPids].every(isRunning)).toBe(true);
    process.stderr.write(
      `${writtenMegabytes} MiB of dirty pages in ${limitBytes / megabyte} MiB: ${seconds.toFixed(1)} s, full ${group.reached} times\n`,
    );
    await site.untilInSync('eve', tag, 'eve', ['adam']);
    await site.order('eve', 'out-of-service', { tag });
    await untilUnmounted(site, 'eve');
    await site.sameImages(tag);
  });
});
