import { type ResourceState, reigns, sourceOf } from './state.ts';
import type { NodeName, VolumeName } from './vocabulary.ts';

/** A volume, and the folder at which its file system is mounted while its node is the source. */
export interface MountPoint {
  readonly volume: VolumeName;
  readonly at: string;
}

/** One volume is mounted at DIR itself, of several each at DIR/NAME; none where no DIR was named. */
export function mountPoints({
  volumes,
  mount,
}: {
  readonly volumes: ReadonlyArray<{ readonly name: VolumeName }>;
  readonly mount: string | null;
}): MountPoint[] {
  if (mount === null) return [];
  const [only, ...others] = volumes;
  if (only && others.length === 0) return [{ volume: only.name, at: mount }];
  const folder = mount.replace(/\/+$/, '');
  return volumes.map(({ name }) => ({ volume: name, at: `${folder}/${name}` }));
}

/** Where the file systems of its present reign are mounted; empty where they are not. */
export function mountedBy(resource: ResourceState, node: NodeName): MountPoint[] {
  const mounted = resource.replicas[node]?.mounted;
  const reign = resource.reigns.find((one) => one.node === node);
  if (!mounted || !reigns(resource, node) || mounted.epoch !== reign?.epoch) return [];
  return mounted.mounts.map(({ volume, at }) => ({ volume, at }));
}

/** A file system is mounted on every node at the same folder, unless another is named. */
export function mountOfSource(resource: ResourceState): string | undefined {
  const source = sourceOf(resource) ?? resource.lastOwner?.node;
  return (source === undefined ? undefined : resource.replicas[source]?.mount) ?? undefined;
}
