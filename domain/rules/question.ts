import type { Command } from '../commands.ts';
import type { Facts } from '../facts.ts';
import { type Refusal, refuse } from '../refusals.ts';
import { type ClusterState, type Phase, type ResourceState, replicaNodes, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';

/**
 * The rules of REQUIREMENTS 3, each one function: it returns the refusal, or undefined where it has nothing against
 * the command. The machines use them as guards, `decide` returns what they say.
 */
export interface Question<C extends Command = Command> {
  readonly state: ClusterState;
  /** Undefined where the tag is unknown or deleted. */
  readonly resource: ResourceState | undefined;
  readonly command: C;
  readonly facts: Facts;
}

/** A question about a resource that exists. */
export interface ResourceQuestion<C extends Command = Command> extends Question<C> {
  readonly resource: ResourceState;
}

export type Verdict = Refusal | undefined;
export type Rule<C extends Command = Command> = (question: ResourceQuestion<C>) => Verdict;

export function unknownNode(state: ClusterState, node: NodeName): Verdict {
  if (state.nodes[node]) return undefined;
  return refuse('unknown-node', `${node}; known are ${Object.keys(state.nodes).sort().join(', ') || 'none'}`);
}

export function noReplica(resource: ResourceState, node: NodeName): Verdict {
  if (resource.replicas[node]) return undefined;
  return refuse(
    'unknown-node',
    `${node} has no replica of ${resource.tag}; ${replicaNodes(resource).join(', ')} have`,
  );
}

/** What stands in the way where the phase does not allow the command at all. */
export function phaseRefusal(resource: ResourceState): Refusal {
  const { tag, because } = resource;
  switch (resource.phase) {
    case 'deleted':
      return refuse('unknown-tag', tag, { because: [because] });
    case 'out-of-service':
      return refuse('not-in-service', `${tag} is out of service`, {
        because: [because],
        allowed: [`in-service ${tag}`],
      });
    case 'in-service':
      return refuse('already-in-service', `${tag} is in service on ${sourceOf(resource)}`, {
        because: [because],
      });
    case 'switching-over':
      return refuse('stale-command', `${tag} is being switched over to ${resource.switchover?.to}`, {
        because: [because],
      });
    case 'awaiting-confirmation':
      return refuse(
        'failover-not-confirmed',
        `the failover of ${tag} to ${resource.confirmation?.candidate} waits`,
        {
          because: [because],
          allowed: [`confirm-failover ${tag}`, `confirm-failover ${tag} --block`],
        },
      );
    case 'failing-over':
      return refuse('not-in-service', `${tag} is failing over to ${resource.takeover?.candidate}`, {
        because: [because],
      });
    case 'blocked':
      return refuse(
        resource.blocked?.code === 'local-recovery-failed'
          ? 'local-recovery-failed'
          : 'failover-not-confirmed',
        resource.blocked?.text ?? tag,
        { because: [because], allowed: [`failover ${tag} NODE`, `force-online ${tag} NODE`] },
      );
    case 'conflicted':
    case 'split-brain':
      return refuse(
        'split-brain',
        `${tag} is in service on ${resource.reigns.map(({ node }) => node).join(' and ')}`,
        {
          because: [because],
          allowed: [`resolve-split-brain ${tag} --victim NODE`],
        },
      );
    default:
      return resource.phase satisfies never;
  }
}

export const inPhases =
  (...allowed: Phase[]): Rule =>
  ({ resource }) =>
    allowed.includes(resource.phase) ? undefined : phaseRefusal(resource);

/** Extending, pausing and the like are the source's business. */
export const inServiceHere: Rule = ({ resource }) =>
  resource.phase === 'in-service'
    ? undefined
    : resource.phase === 'out-of-service'
      ? refuse('not-in-service', `${resource.tag} is out of service`, {
          because: [resource.because],
          allowed: [`in-service ${resource.tag}`],
        })
      : phaseRefusal(resource);
