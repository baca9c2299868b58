import { type ClusterState, deviceOf, type ResourceState, replicaNodes } from './state.ts';
import { targetsMax } from './vocabulary.ts';

/**
 * What holds of every state that a fold can reach, whatever the logs say (FAULTS 2, as far as the control plane
 * knows). Returns one sentence per violation.
 */
export function violations(state: ClusterState): string[] {
  return Object.values(state.resources).flatMap((resource) =>
    [...ofPhase(resource), ...ofMirrors(resource)].map((text) => `${resource.tag}: ${text}`),
  );
}

function ofPhase(resource: ResourceState): string[] {
  const { phase, reigns, switchover, takeover, confirmation, blocked } = resource;
  const serving = reigns.length;
  const wrong: string[] = [];
  const must = (holds: boolean, text: string) => {
    if (!holds) wrong.push(text);
  };
  if (phase === 'in-service') must(serving === 1, `in service with ${serving} sources`);
  if (phase === 'out-of-service' || phase === 'deleted')
    must(serving === 0, `${phase} with ${serving} sources`);
  if (phase === 'split-brain') must(serving >= 2, `split brain with ${serving} sources`);
  if (phase === 'conflicted')
    must(serving >= 2 || resource.rivals.length > 0, 'conflicted with fewer than two sources');
  must(
    (phase === 'switching-over') === (switchover !== null),
    `${phase}, switchover ${switchover ? 'under way' : 'none'}`,
  );
  must(
    (phase === 'failing-over') === (takeover !== null),
    `${phase}, takeover ${takeover ? 'under way' : 'none'}`,
  );
  must(
    (phase === 'awaiting-confirmation') === (confirmation !== null),
    `${phase}, confirmation ${confirmation ? 'awaited' : 'none'}`,
  );
  must((phase === 'blocked') === (blocked !== null), `${phase}, blocked ${blocked ? 'set' : 'none'}`);
  const device = deviceOf(resource);
  must(device.length === 0 || serving === 1, `a device with ${serving} sources`);
  must(new Set(reigns.map(({ node }) => node)).size === serving, 'a node reigns twice');
  must(
    resource.lastOwner === null || resource.lastOwner.epoch <= resource.epoch,
    'a last owner beyond the epoch',
  );
  return wrong;
}

function ofMirrors(resource: ResourceState): string[] {
  const nodes = replicaNodes(resource);
  const priorities = nodes.map((node) => resource.replicas[node]?.priority);
  const wrong: string[] = [];
  if (nodes.length > targetsMax + 1) wrong.push(`${nodes.length} replicas`);
  if (new Set(priorities).size !== priorities.length) wrong.push('two replicas of one priority');
  for (const mirror of Object.values(resource.mirrors)) {
    if (!resource.replicas[mirror.target]) wrong.push(`a mirror to ${mirror.target}, which has no replica`);
    if (mirror.source === mirror.target) wrong.push(`${mirror.target} mirrors itself`);
    if ((mirror.status === 'paused') !== (mirror.paused !== null))
      wrong.push(`${mirror.target} ${mirror.status}, paused ${mirror.paused !== null}`);
    if (mirror.resync !== null && mirror.status !== 'resyncing')
      wrong.push(`${mirror.target} ${mirror.status} with a resync under way`);
    if (
      mirror.status === 'fully-operational' &&
      resource.phase === 'in-service' &&
      resource.replicas[mirror.target]?.data !== 'up-to-date'
    ) {
      wrong.push(`${mirror.target} fully operational with ${resource.replicas[mirror.target]?.data} data`);
    }
  }
  return wrong;
}
