import type { AnyEvent, DomainEvent, EventType } from '../domain/events.ts';

/** What happened, in one plain sentence. Nothing depends on its text. */
type Sentences = { readonly [T in EventType]: (event: Extract<DomainEvent, { type: T }>) => string };

const listed = (names: readonly string[]) => (names.length === 0 ? 'nobody' : names.join(', '));
const amount = (bytes: number) => `${bytes.toLocaleString('en-US')} bytes`;
const pair = ({ source, target }: { source: string; target: string }) => `${source} -> ${target}`;

const sentences: Sentences = {
  'resource.created': ({ resource, data }) =>
    `${resource} was created on ${data.node} (${data.volumes.map(({ name }) => name).join(', ')}; ${data.content})`,
  'resource.extended': ({ resource, data }) =>
    `${resource} was extended to ${data.node} (${data.mode}, priority ${data.priority})`,
  'resource.unextended': ({ resource, data }) => `${data.node} gave up its replica of ${resource}`,
  'resource.deleted': ({ resource }) => `${resource} was deleted everywhere`,
  'resource.entered-service': ({ resource, data }) =>
    `${data.node} put ${resource} in service with epoch ${data.epoch} (${data.why})`,
  'resource.left-service': ({ resource, data }) =>
    data.why === 'never-served'
      ? `${data.node} could not serve ${resource} and gave it back`
      : `${data.node} took ${resource} out of service (${data.why})${data.handedTo === null ? '' : ` and handed it to ${data.handedTo.node}`}`,
  'resource.forced-online': ({ resource, data }) =>
    `${resource} was forced online on ${data.node}; lost: ${data.lost.text}`,
  'resource.settings-changed': ({ resource, data }) =>
    `${resource}: ${data.key} was set to ${JSON.stringify(data.value)}${ofScope(data.node, data.peer)}`,
  'mirror.paused': ({ resource, data }) =>
    `${resource}: the mirror ${pair(data)} was paused (${data.reason})`,
  'mirror.resumed': ({ resource, data }) => `${resource}: the mirror ${pair(data)} was resumed`,
  'mirror.connected': ({ resource, data }) =>
    `${resource}: ${pair(data)} connected${data.inSync ? ' and is in sync' : ''}`,
  'mirror.disconnected': ({ resource, data }) => `${resource}: ${pair(data)} disconnected (${data.why})`,
  'mirror.lost-sync': ({ resource, data }) => `${resource}: ${data.target} is out of sync (${data.why})`,
  'mirror.congested': ({ resource, data }) =>
    data.congested
      ? `${resource}: the queue of ${pair(data)} is full; writes wait`
      : `${resource}: the queue of ${pair(data)} has room again`,
  'generation.started': ({ resource, data }) =>
    `${resource}: ${data.node} began to write without ${listed(data.absent)}`,
  'resync.started': ({ resource, data }) =>
    `${resource}: a ${data.kind} resync of ${data.target} from ${data.source} began (${amount(data.bytes)})`,
  'resync.progressed': ({ resource, data }) => `${resource}: ${data.target} is resynced to ${data.percent}%`,
  'resync.interrupted': ({ resource, data }) =>
    `${resource}: the resync of ${data.target} was interrupted (${data.why})`,
  'resync.completed': ({ resource, data }) =>
    `${resource}: ${data.target} is in sync after a ${data.kind} resync of ${amount(data.bytes)}`,
  'verify.started': ({ resource, data }) => `${resource}: ${data.target} is compared with ${data.source}`,
  'verify.progressed': ({ resource, data }) => `${resource}: ${data.target} is compared to ${data.percent}%`,
  'verify.interrupted': ({ resource, data }) =>
    `${resource}: the comparison of ${data.target} was interrupted (${data.why})`,
  'verify.completed': ({ resource, data }) =>
    data.differing === 0
      ? `${resource}: ${data.target} is equal to ${data.source} (${amount(data.bytes)} compared)`
      : `${resource}: ${data.target} differs from ${data.source} in ${data.differing} regions of 64 KiB (${data.ranges.map(({ volume, first, last }) => `${volume} ${first}–${last}`).join(', ')}), marked for the next resync`,
  'switchover.started': ({ resource, data }) =>
    `${resource}: the switchover from ${data.from} to ${data.to} began`,
  'switchover.completed': ({ resource, data }) =>
    `${resource}: the switchover from ${data.from} to ${data.to} is complete`,
  'switchover.failed': ({ resource, data }) =>
    `${resource}: the switchover to ${data.to} stopped at step ${data.step} (${data.why})`,
  'failover.started': ({ resource, data }) =>
    `${resource}: ${data.lost} is lost; ${data.candidate} begins to take over`,
  'failover.confirmation-requested': ({ resource, data }) =>
    `${resource}: the failover from ${data.lost} to ${data.candidate} waits ${data.seconds} s for confirmation, then ${data.default === 'proceed' ? 'proceeds' : 'is blocked'}`,
  'failover.confirmed': ({ resource, data }) =>
    `${resource}: the failover from ${data.lost} to ${data.candidate} ${data.answer === 'proceed' ? 'may proceed' : 'must not proceed'}`,
  'failover.completed': ({ resource, data }) =>
    `${resource}: ${data.node} took over from ${data.lost}${data.loss === null ? '' : `; lost: ${data.loss.text}`}`,
  'failover.blocked': ({ resource, data }) =>
    `${resource}: the failover is blocked (${data.code}): ${data.text}`,
  'takeover.promised': ({ resource, data }) =>
    `${resource}: ${data.by} promised epoch ${data.epoch} to ${data.candidate}`,
  'takeover.conflicted': ({ resource, data }) =>
    `${resource}: ${data.reigns.map(({ node }) => node).join(' and ')} took over without knowing of each other`,
  'split-brain.detected': ({ resource, data }) =>
    `${resource}: split brain: ${data.reigns.map(({ node }) => node).join(' and ')} both wrote`,
  'split-brain.resolved': ({ resource, data }) =>
    `${resource}: the split brain ended; ${data.survivor} keeps its data, ${data.victim} gives up its writes (${data.lost.text})`,
  'data-corrupt.flagged': ({ resource, data }) =>
    `${resource}: ${data.node} cannot tell whether another node took over; it waits for ${listed(data.missing)}`,
  'data-corrupt.cleared': ({ resource, data }) =>
    `${resource}: the data-corrupt flag of ${data.node} was cleared (${data.by})`,
  'bitmap.marked-clean': ({ resource, data }) =>
    `${resource}: the intent log of ${data.node}${ofPeer(data.peer)} was marked clean`,
  'bitmap.marked-dirty': ({ resource, data }) =>
    `${resource}: the intent log of ${data.node}${ofPeer(data.peer)} was marked dirty`,
  'bitmap.invalidated': ({ resource, data }) =>
    `${resource}: the intent log of ${data.node}${ofPeer(data.peer)} is invalid (${data.why}); the next resync is full`,
  'alarm.acknowledged': ({ actor, data }) => `${actor.id} has seen the alarm ${data.alarm}`,
  'link.corruption-detected': ({ resource, data }) =>
    `${resource}: ${data.count} corrupt messages between ${data.node} and ${data.peer}; none was applied`,
  'disk.failed': ({ resource, data }) =>
    `${resource}: the disk of ${data.node} failed${data.volume === null ? '' : ` (${data.volume})`}: ${data.error}`,
  'file-system.made': ({ resource, data }) =>
    `${resource}: ${data.node} made a file system (${data.fstype}) on ${listed(data.volumes)}`,
  'file-system.mounted': ({ resource, data }) =>
    `${resource}: ${data.node} mounted ${data.mounts.map(({ volume, at }) => `${volume} at ${at}`).join(', ')}`,
  'file-system.unmounted': ({ resource, data }) =>
    `${resource}: ${data.node} unmounted it${data.forced ? '; whatever still used it has lost it' : ''}`,
  'file-system.failed': ({ resource, data }) =>
    `${resource}: ${data.node} could not ${data.what} the file system: ${data.why}`,
  'local-recovery.started': ({ resource, data }) => `${resource}: ${data.node} repairs ${data.what} in place`,
  'local-recovery.succeeded': ({ resource, data }) => `${resource}: ${data.node} repaired ${data.what}`,
  'local-recovery.failed': ({ data }) => data.text,
  'node.joined': ({ data }) => `${data.node} joined the cluster`,
  'node.lost': ({ data }) => `${data.node} is lost: silent for ${Math.round(data.silentMs / 100) / 10} s`,
  'node.returned': ({ data }) => `${data.node} is back${data.restarted ? ' after a restart' : ''}`,
  'node.settings-changed': ({ data }) =>
    `${data.key} was set to ${JSON.stringify(data.value)}${ofScope(data.node, data.peer)}`,
  'node.clock-skewed': ({ data }) =>
    `the clock of ${data.node} is ${Math.round(data.aheadMs / 1000)} s ahead`,
  'node.key-added': ({ data }) => `a key of ${data.node} was added`,
  'node.key-revoked': ({ data }) => `a key of ${data.node} was revoked`,
  'journal.damaged': ({ data }) => `the journal of ${data.node} is damaged (${data.code}): ${data.text}`,
  'journal.repaired': ({ data }) => `the journal of ${data.node} was repaired: ${data.text}`,
  'command.completed': ({ data }) => `command ${data.commandId} completed`,
  'command.failed': ({ data }) => `command ${data.commandId} failed: ${data.why}`,
  'command.refused': ({ data }) =>
    `${data.command} was refused (${data.code})${data.count > 1 ? ` ${data.count} times` : ''}: ${data.message}`,
};

const ofPeer = (peer: string | null) => (peer === null ? '' : ` for ${peer}`);
const ofScope = (node: string | null, peer: string | null) =>
  node === null ? '' : peer === null ? ` on ${node}` : ` between ${node} and ${peer}`;

export function sentenceOf(event: AnyEvent): string {
  if (event.type === 'unknown')
    return `${event.originalType} happened, which this version does not know${event.resource === null ? '' : ` (${event.resource})`}`;
  const sentence = sentences[event.type] as (event: DomainEvent) => string;
  return sentence(event);
}
