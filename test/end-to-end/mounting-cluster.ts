import { expect, onTestFinished } from 'vitest';
import { Cluster, Loopback } from './cluster.ts';
import { loopsBelow, mountsBelow, unmountBelow } from './mounts.ts';

/** eve and adam; whatever they leave mounted is gone when the test is. */
export async function mountingCluster(): Promise<Cluster> {
  const site = await Cluster.start(['eve', 'adam'], new Loopback());
  onTestFinished(async () => {
    for (const node of site.nodes) await node.killAll();
    unmountBelow(site.folder);
  });
  return site;
}

/** The node says where its volumes are mounted, and there they are. Resolves with the folder that was asked for. */
export async function untilMounted(site: Cluster, node: string, tag: string): Promise<string> {
  const folder = site.node(node).mountPoint(tag);
  const { device } = await site.until(
    node,
    tag,
    `${node} has mounted it`,
    ({ source, device: its }) =>
      source === node && its.length > 0 && its.every(({ mount }) => mount !== undefined),
  );
  const folders = mountsBelow(site.folder).map(({ at }) => at);
  for (const { mount } of device) expect(folders).toContain(mount);
  return folder;
}

/** What is dirty is written first, to the target too: that takes as long as the machine is busy. */
export const untilUnmounted = (site: Cluster, node: string): Promise<void> =>
  site.eventually(
    `${node} has nothing mounted or attached`,
    async () => {
      const { dir, attachingPids } = site.node(node);
      expect([...mountsBelow(dir), ...loopsBelow(dir), ...attachingPids]).toEqual([]);
    },
    60_000,
  );
