import { takeoverOrder, whyNotEligible } from '../../domain/eligibility.ts';
import { type ClusterState, type ResourceState, reigns, sourceOf } from '../../domain/state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';

/** The parts of a command's body that tell who decides it. */
export interface Addressed {
  readonly tag?: string | undefined;
  readonly node?: NodeName | undefined;
  readonly victim?: NodeName | undefined;
}

/** REQUIREMENTS 5, Bus: the node whose agent decides a command; it is forwarded there once. */
export function deciderOf(
  state: ClusterState,
  command: string,
  addressed: Addressed,
  self: NodeName,
): NodeName {
  // A node that is not in the cluster decides nothing: whoever took the command refuses it.
  const isKnown = addressed.node === undefined || state.nodes[addressed.node] !== undefined;
  const body = isKnown ? addressed : { ...addressed, node: self };
  const resource = body.tag === undefined ? undefined : state.resources[body.tag];
  switch (command) {
    case 'create':
    case 'force-online':
    case 'bitmap-mark-clean':
    case 'bitmap-mark-dirty':
      return body.node ?? self;
    case 'settings':
      return body.tag === undefined ? (body.node ?? self) : ownerOf(resource, self);
    case 'failover':
      return body.node ?? (resource ? bestEligible(state, resource, self) : self);
    case 'out-of-service':
      return resource?.phase === 'split-brain'
        ? nonVictim(resource, body.node, self)
        : (body.node ?? ownerOf(resource, self));
    case 'in-service':
      return resource?.phase === 'out-of-service' || isSourceLost(state, resource)
        ? (body.node ?? ownerOf(resource, self))
        : ownerOf(resource, self);
    case 'switchover':
      return isSourceLost(state, resource) ? self : ownerOf(resource, self);
    case 'confirm-failover':
      return resource?.confirmation?.candidate ?? self;
    case 'resolve-split-brain':
      return resource ? nonVictim(resource, body.victim, self) : self;
    case 'delete':
      return resource && resource.rivals.length > 0 ? self : ownerOf(resource, self);
    default:
      return ownerOf(resource, self);
  }
}

/** Then its agent cannot say what would be allowed instead: another one does. */
function isSourceLost(state: ClusterState, resource: ResourceState | undefined): boolean {
  const source = resource && sourceOf(resource);
  return source != null && state.nodes[source]?.alive === false;
}

/** The source's agent or, out of service, the last owner's. */
function ownerOf(resource: ResourceState | undefined, self: NodeName): NodeName {
  if (!resource) return self;
  if (reigns(resource, self)) return self;
  return sourceOf(resource) ?? resource.lastOwner?.node ?? self;
}

function bestEligible(state: ClusterState, resource: ResourceState, self: NodeName): NodeName {
  const order = takeoverOrder(resource).filter((node) => node === self || state.nodes[node]?.alive);
  return order.find((node) => whyNotEligible(resource, node) === undefined) ?? self;
}

function nonVictim(resource: ResourceState, victim: NodeName | undefined, self: NodeName): NodeName {
  const others = resource.reigns.map(({ node }) => node).filter((node) => node !== victim);
  return others.includes(self) ? self : (others[0] ?? self);
}
