import fc from 'fast-check';
import { produce } from 'immer';
import { describe, expect, it } from 'vitest';
import type { AnyEvent } from '../../domain/events.ts';
import { apply, evolve, replay } from '../../domain/evolve.ts';
import type { PromiseAnswer } from '../../domain/facts.ts';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { resourceMachine } from '../../domain/resource-machine.ts';
import { type ClusterState, emptyState } from '../../domain/state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import { exchange, ModelNode } from './cluster-model.ts';
import { adam, command, eve, facts, lost, mirrored, nodes, past, sophocles, tag } from './given.ts';
import { askable } from './universe.ts';

const numRuns = 1000;
const now = { now: 1_700_000_000_000 };
const connected = [adam, sophocles].map((target) =>
  past('mirror.connected', { source: eve, target, inSync: true }),
);

/** Three nodes that know one history: eve serves, adam and sophocles are in sync. */
function cluster(...more: readonly AnyEvent[]): Map<NodeName, ModelNode> {
  const all = new Map(nodes.map((name) => [name, new ModelNode(name)]));
  for (const event of [...mirrored(), ...connected, ...more]) {
    const { id: _id, node, time: _time, ...body } = event;
    all.get(node)?.append([body], {}, now);
    everybodyTalks(all);
  }
  return all;
}

function everybodyTalks(all: Map<NodeName, ModelNode>): void {
  const [first, ...others] = [...all.values()];
  for (const round of [1, 2]) for (const other of others) if (first && round) exchange(first, other);
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('ask' as const), node: fc.nat(2), pick: fc.nat(10_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('talk' as const), node: fc.nat(2), pick: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), node: fc.nat(2), pick: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('heal' as const), node: fc.nat(2), pick: fc.nat(2) }) },
);
type Step = { do: 'ask' | 'talk' | 'cut' | 'heal'; node: number; pick: number };

/** Plays commands and observations on nodes that come and go to each other. */
function play(steps: readonly Step[], watch: ModelNode['onFold'] = () => {}): Map<NodeName, ModelNode> {
  const all = cluster();
  for (const node of all.values()) node.onFold = watch;
  const cut = new Set<string>();
  const reaches = (a: NodeName, b: NodeName) => a === b || !cut.has([a, b].sort().join());
  for (const { do: what, node, pick } of steps) {
    const self = nodes[node] ?? eve;
    const other = nodes[pick % 3] ?? eve;
    const model = all.get(self);
    const peer = all.get(other);
    if (!model || !peer) continue;
    if (what === 'cut' && self !== other) cut.add([self, other].sort().join());
    if (what === 'heal') cut.clear();
    if (what === 'talk' && self !== other && reaches(self, other)) exchange(model, peer);
    if (what !== 'ask') continue;
    const reachable = nodes.filter((one) => reaches(self, one));
    const possible = askable(model.state, nodes, self, reachable);
    const asked = possible[pick % possible.length];
    if (asked) model.decide(asked.command, asked.facts);
  }
  return all;
}

const phaseOf = (state: ClusterState) => state.resources[tag]?.phase ?? 'absent';

const edges = new Set(
  Object.values(resourceMachine.states).flatMap((node) =>
    [...node.transitions.values()].flatMap((transitions) =>
      transitions.map(({ target }) => `${node.key} → ${target?.[0]?.key}`),
    ),
  ),
);

describe('whatever three nodes ask, see, and do not hear of each other', { timeout: 120_000 }, () => {
  it('the fold never throws, the invariants hold after every event, every change of phase is an edge', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        play(steps, (before, event, after) => {
          expect(violations(after), event.type).toEqual([]);
          const [from, to] = [phaseOf(before), phaseOf(after)];
          // A contradiction is reachable from everywhere; a creation enters service with its next event.
          if (from === to || to === 'conflicted' || event.type === 'resource.created') return;
          expect(edges, `${event.type}: ${from} → ${to}`).toContain(`${from} → ${to}`);
        });
      }),
      { numRuns },
    );
  });

  it('merged in whatever order, the logs give one state on every node; plain, drafted and live fold are one', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (steps, chance) => {
        const all = play(steps);
        everybodyTalks(all);
        const [state, ...others] = [...all.values()].map((node) => node.state);
        for (const other of others) expect(other).toEqual(state);
        const reader = new ModelNode('plato' as NodeName);
        const entries = [...(all.get(eve)?.entries ?? [])];
        while (entries.length > 0) reader.add(entries.splice((chance.next().value ?? 0) % entries.length, 1));
        expect(reader.state).toEqual(state);
        const events = reader.entries.map(({ event }) => event);
        expect(replay(emptyState(), events)).toEqual(state);
        expect(events.reduce(evolve, emptyState())).toEqual(state);
        const drafted = produce(emptyState(), (draft) => {
          for (const event of events) apply(draft, event);
        });
        expect(drafted).toEqual(state);
      }),
      { numRuns },
    );
  });
});

describe('two candidates that can talk (FAULTS 36)', { timeout: 120_000 }, () => {
  const candidates = [adam, sophocles] as const;
  const act = fc.record({
    who: fc.integer({ min: 0, max: 1 }),
    does: fc.constantFrom('start' as const, 'ask' as const, 'collect' as const, 'talk' as const),
  });

  it('come to one source, however their steps interleave', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 24 }), (acts) => {
        const all = cluster(lost(eve, adam), lost(eve, sophocles));
        const answers = new Map<NodeName, { epoch: number; answer: PromiseAnswer }>();
        for (const { who, does } of acts) perform(all, candidates[who] ?? adam, does, answers);
        // From here on each does what its state asks of it.
        for (let round = 0; round < 6; round += 1) {
          for (const self of candidates) {
            const node = all.get(self);
            if (!node) continue;
            for (const does of owed(node)) perform(all, self, does, answers);
            perform(all, self, 'talk', answers);
          }
        }
        const reigns = candidates.map((self) => all.get(self)?.state.resources[tag]?.reigns);
        expect(reigns[0]).toEqual(reigns[1]);
        expect(reigns[0]).toHaveLength(1);
        expect(phaseOf(all.get(adam)?.state ?? emptyState())).toBe('in-service');
        expect(candidates).toContain(reigns[0]?.[0]?.node);
      }),
      { numRuns },
    );
  });

  function owed(node: ModelNode): ('start' | 'ask' | 'collect')[] {
    return standing(node.state, node.state.resources[tag], node.name).flatMap((intent) => {
      if (intent.do === 'collect-promises') return ['ask', 'collect'] as const;
      return intent.do === 'propose' && intent.command === 'failover' ? (['start'] as const) : [];
    });
  }

  function perform(
    all: Map<NodeName, ModelNode>,
    self: NodeName,
    does: 'start' | 'ask' | 'collect' | 'talk',
    answers: Map<NodeName, { epoch: number; answer: PromiseAnswer }>,
  ): void {
    const node = all.get(self);
    const other = all.get(self === adam ? sophocles : adam);
    if (!node || !other) return;
    const known = facts({ self, reachable: candidates });
    const takeover = node.state.resources[tag]?.takeover;
    if (does === 'talk') exchange(node, other);
    if (does === 'start') node.decide(command('failover', { node: self, id: `f-${self}` } as never), known);
    if (takeover?.candidate !== self) return;
    const { epoch } = takeover;
    if (does === 'ask') {
      const asked = command('promise', { candidate: self, epoch });
      const promised = other.decide(asked, facts({ self: other.name, reachable: candidates }));
      const answer = promised ? ('promised' as const) : ('promised-other' as const);
      answers.set(self, {
        epoch,
        answer: { node: other.name, answer, outOfSync: false, highestEpoch: promised ? epoch : 0 },
      });
    }
    const had = answers.get(self);
    if (does === 'collect' && had?.epoch === epoch)
      node.decide(command('promises-collected', { epoch, answers: [had.answer] }), known);
  }
});
