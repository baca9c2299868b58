import type { Command } from './commands.ts';
import { decide } from './decide.ts';
import type { Facts, ReplicaFact } from './facts.ts';
import { acceptanceToken } from './loss.ts';
import { type ClusterState, type ResourceState, replicaNodes, sourceOf } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/** What a decision is a function of (DESIGN 2). */
export interface Situation {
  readonly state: ClusterState;
  readonly command: Command;
  readonly facts: Facts;
}

/** One thing that could have been otherwise. */
interface Difference {
  /** `adam were in sync` */
  readonly text: string;
  change(situation: Situation): Situation;
}

/**
 * What would make a refused command allowed: it is decided again, as if one thing had been otherwise, or, where no
 * single one helps, two. Each answer is a smallest set of such things under which the rules let the command pass.
 */
export function whatWouldAllow(situation: Situation): readonly (readonly string[])[] {
  const differences = differencesOf(situation);
  const single = differences.filter((one) => isAllowed(one.change(situation)));
  if (single.length > 0) return single.map(({ text }) => [text]);
  return differences.flatMap((one, index) =>
    differences
      .slice(index + 1)
      .filter((other) => isAllowed(other.change(one.change(situation))))
      .map((other) => [one.text, other.text]),
  );
}

const isAllowed = ({ state, command, facts }: Situation) => decide(state, command, facts).kind === 'accepted';

function differencesOf({ state, command, facts }: Situation): Difference[] {
  const resource = 'tag' in command && command.tag !== undefined ? state.resources[command.tag] : undefined;
  return [
    ...ofCommand(command, state),
    ...ofPaths(facts),
    ...(facts.journalDamaged
      ? [withFacts(`the journal of ${facts.self} were whole`, () => ({ journalDamaged: false }))]
      : []),
    ...(facts.deviceInUse
      ? [withFacts(`the device on ${facts.self} were not in use`, () => ({ deviceInUse: null }))]
      : []),
    ...(resource === undefined ? [] : [...ofPhase(resource), ...ofNodes(resource, facts)]),
  ];
}

// What was asked

function ofCommand(command: Command, state: ClusterState): Difference[] {
  const { deadline, id } = command;
  const isAsync =
    command.command === 'extend' && [command.mode, ...Object.values(command.pair)].includes('async');
  return [
    ...(deadline === undefined
      ? []
      : [withCommand('it had no deadline', ({ deadline: _, ...rest }) => rest)]),
    ...(state.commands[id] === undefined
      ? []
      : [withCommand('it had an id of its own', (asked) => ({ ...asked, id: `${id}/again` }))]),
    {
      text: 'the loss were accepted (--accept-loss TOKEN)',
      change: (situation) => {
        const { command: asked } = situation;
        const resource = 'tag' in asked ? situation.state.resources[asked.tag ?? ''] : undefined;
        return {
          ...situation,
          command: { ...asked, acceptLoss: acceptanceToken(resource, asked) },
        };
      },
    },
    ...(isAsync
      ? [withResource('the resource allowed async mirrors', (resource) => (resource.allowAsync = true))]
      : []),
    ...(command.command === 'extend' && command.priority !== undefined
      ? [withCommand('no priority were named', ({ priority: _, ...rest }: typeof command) => rest)]
      : []),
    ...(command.command === 'extend' && !command.fullSync
      ? [withCommand('a full resync were allowed', (asked: typeof command) => ({ ...asked, fullSync: true }))]
      : []),
  ];
}

// What was found

const ofPaths = ({ paths = {} }: Facts): Difference[] =>
  Object.entries(paths).flatMap(([path, fact]) =>
    [
      { is: !fact.exists, text: 'were there', better: { exists: true } },
      { is: fact.usedBy !== null, text: 'were free', better: { usedBy: null } },
      { is: fact.exists, text: 'were large enough', better: { byteSize: Number.MAX_SAFE_INTEGER } },
    ]
      .filter(({ is }) => is)
      .map(({ text, better }) =>
        withFacts(`${path} ${text}`, (facts) => ({
          paths: { ...facts.paths, [path]: { ...fact, ...facts.paths?.[path], ...better } },
        })),
      ),
  );

// Where the resource stood

function ofPhase(resource: ResourceState): Difference[] {
  const { tag, lastOwner, phase, reigns } = resource;
  const owner = reigns[0] ?? lastOwner;
  const settled = (change: Partial<ResourceState>) => (draft: ResourceState) =>
    Object.assign(draft, { switchover: null, takeover: null, confirmation: null, blocked: null, ...change });
  return [
    ...(phase === 'in-service' || owner === null
      ? []
      : [
          withResource(
            `${tag} were in service on ${owner.node}`,
            settled({ phase: 'in-service', reigns: [owner], left: null, rivals: [] }),
          ),
        ]),
    ...(phase === 'out-of-service'
      ? []
      : [
          withResource(
            `${tag} were out of service`,
            settled({
              phase: 'out-of-service',
              reigns: [],
              left: { why: 'out-of-service', handedTo: null },
              rivals: [],
            }),
          ),
        ]),
  ];
}

// How its nodes and copies were

function ofNodes(resource: ResourceState, facts: Facts): Difference[] {
  const source = sourceOf(resource) ?? resource.lastOwner?.node;
  return replicaNodes(resource).flatMap((node) => [
    ...(facts.reachable.includes(node) ? [] : [withFacts(`${node} could be reached`, reachable(node))]),
    ...(node === source && node !== facts.self
      ? [withFacts(`${node} were lost (silent to every reachable node)`, lost(node))]
      : []),
    ...ofCopy(resource, node, facts.replicas?.[node]),
    ...ofPromise(facts, node),
  ]);
}

const reachable = (node: NodeName) => (facts: Facts) => ({
  reachable: [...facts.reachable, node],
  heardBy: { ...facts.heardBy, [node]: [facts.self] },
});

const lost = (node: NodeName) => (facts: Facts) => ({
  reachable: facts.reachable.filter((other) => other !== node),
  heardBy: { ...facts.heardBy, [node]: [] },
});

/** Mirror, journal and the replica's own record together: the record can veto alone (rule 13). */
function ofCopy(resource: ResourceState, node: NodeName, record: ReplicaFact | undefined): Difference[] {
  const mirror = resource.mirrors[node];
  const replica = resource.replicas[node];
  if (mirror === undefined || replica === undefined) return [];
  const isFit = mirror.status === 'fully-operational' && mirror.connected && replica.data === 'up-to-date';
  const vetoes =
    record !== undefined &&
    (!record.inSync || !record.consistent || record.paused || record.rewound || !record.related);
  return [
    ...(isFit && !replica.away && replica.failed === null && !vetoes ? [] : [connectedAndInSync(node)]),
    withResource(
      mirror.paused === null ? `the mirror to ${node} were paused` : `the mirror to ${node} were not paused`,
      (draft) => {
        const paused = mirror.paused === null ? { by: 'operator', reason: 'as if' } : null;
        Object.assign(draft.mirrors[node] ?? {}, { paused });
      },
    ),
  ];
}

function connectedAndInSync(node: NodeName): Difference {
  const text = `${node} were connected and in sync`;
  const journal = withResource(text, (draft) => {
    const mirror = {
      status: 'fully-operational',
      connected: true,
      paused: null,
      resync: null,
      unrelated: false,
    };
    Object.assign(draft.mirrors[node] ?? {}, mirror);
    const replica = { data: 'up-to-date', away: false, failed: null, knowsOutOfSync: false };
    Object.assign(draft.replicas[node] ?? {}, replica);
  });
  const own = withFacts(text, ({ replicas }) => {
    const record = replicas?.[node];
    const agrees = { inSync: true, consistent: true, paused: false, rewound: false, related: true };
    return record === undefined ? {} : { replicas: { ...replicas, [node]: { ...record, ...agrees } } };
  });
  return { text, change: (situation) => own.change(journal.change(situation)) };
}

function ofPromise({ promises }: Facts, node: NodeName): Difference[] {
  const answer = promises?.answers.find((one) => one.node === node);
  if (promises === undefined || answer === undefined || answer.answer === 'promised') return [];
  return [
    withFacts(`${node} promised epoch ${promises.epoch}`, (facts) => ({
      promises: {
        ...promises,
        answers: (facts.promises?.answers ?? []).map((one) =>
          one.node === node ? { ...one, answer: 'promised', highestEpoch: promises.epoch } : one,
        ),
      },
    })),
  ];
}

// Making them

const withFacts = (text: string, change: (facts: Facts) => Partial<Facts>): Difference => ({
  text,
  change: (situation) => ({ ...situation, facts: { ...situation.facts, ...change(situation.facts) } }),
});

const withCommand = <C extends Command>(text: string, change: (command: C) => object): Difference => ({
  text,
  change: (situation) => ({ ...situation, command: change(situation.command as C) as Command }),
});

const withResource = (text: string, change: (draft: ResourceState) => unknown): Difference => ({
  text,
  change: (situation) => {
    const { state, command } = situation;
    const known = 'tag' in command ? state.resources[command.tag ?? ''] : undefined;
    if (known === undefined) return situation;
    const resource = structuredClone(known);
    change(resource);
    return { ...situation, state: { ...state, resources: { ...state.resources, [resource.tag]: resource } } };
  },
});
