import type { Intent } from '../../domain/react.ts';
import type { ResourceState } from '../../domain/state.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import type { AgentContext } from './context.ts';

/** Runs the engine of this node's replica and opens the replica in it; true when it is open. */
export async function openReplica(
  context: AgentContext,
  intent: Extract<Intent, { do: 'open' }>,
): Promise<boolean> {
  const { engines, options } = context;
  const { tag } = intent;
  await engines.ensure(tag);
  const status = await engines.status(tag);
  if (status?.open) return true;
  const bitmap = intent.bitmap === 'none' ? null : intent.bitmap;
  const { folder, wasOpened } = engines.home(tag, intent.volumes[0]?.path ?? '', bitmap);
  const resource = context.state().resources[tag];
  const isFirst =
    resource !== undefined && resource.id === intent.resource && resource.id.startsWith(`${options.node}/`);
  // Only before its very first reign: what is mounted directly later on was not written through the device.
  if (isFirst && !wasOpened && resource.content === 'existing-filesystem')
    for (const { path } of intent.volumes) await context.fileSystems.release(path);
  await engines.order(tag, {
    order: 'open',
    cluster: options.cluster,
    tag,
    resource: intent.resource,
    node: options.node,
    volumes: intent.volumes.map(({ name, path, byteSize }) => ({ name, path, byteSize })),
    folder,
    intentLogs: intent.bitmap === 'none' ? 'none' : (intent.bitmap ?? folder),
    keyFile: options.keyFile,
    listen: intent.replication,
    settings: { heartbeatMs: options.heartbeatMs, lostAfter: options.lostAfter },
    create: !wasOpened,
    isFirst,
    ...(intent.adopts === null ? {} : { baseline: intent.adopts }),
  });
  engines.noteOpened(tag);
  if (wasOpened) await beganAnew(context, tag, resource);
  return true;
}

/** A target whose engine began anew cannot know what it missed until it meets the source (rule 10). */
async function beganAnew(
  context: AgentContext,
  tag: Tag,
  resource: ResourceState | undefined,
): Promise<void> {
  const { node } = context.options;
  const source = resource?.reigns[0]?.node ?? resource?.lastOwner?.node;
  if (source === undefined || source === node || resource?.replicas[node]?.away) return;
  await context.submit(
    'peer-disconnected',
    { tag, source, target: node, why: 'restarted', away: true },
    'engine',
  );
}
