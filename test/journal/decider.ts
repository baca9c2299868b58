import type { Command } from '../../domain/commands.ts';
import { apply } from '../../domain/evolve.ts';
import type { Facts } from '../../domain/facts.ts';
import { type ClusterState, emptyState } from '../../domain/state.ts';
import { CommandLoop, commandDigest } from '../../journal/execute.ts';
import type { LevelJournal } from '../../journal/level-journal.ts';
import { readEvent } from '../../journal/read-event.ts';
import { command, facts } from '../domain/given.ts';
import { openJournal } from './support.ts';

/** A decider on a real journal, its state folded as the agent does it. */
export async function decider(directory: string, known: Facts = facts()) {
  const journal = await openJournal(directory);
  let state: ClusterState = emptyState();
  const fold = (events: Parameters<Parameters<LevelJournal['onStored']>[0]>[0]) => {
    state = structuredClone(state);
    for (const event of events) apply(state, readEvent(event));
  };
  for await (const batch of journal.replay()) fold(batch);
  journal.onStored(fold);
  const loop = new CommandLoop({
    journal,
    state: () => state,
    settled: () => undefined,
    factsFor: async () => known,
  });
  return { journal, loop, state: () => state };
}

const path = { exists: true, usedBy: null, byteSize: 1 << 20, blank: true };
export const createFacts = facts({ paths: { '/srv/a': path, '/srv/b': path } });

export function create(id: string, where = '/srv/a', tag = 'web'): Command {
  const body = {
    tag,
    node: 'eve',
    volumes: [{ name: 'data', path: where }],
    content: 'raw',
    allowAsync: false,
    priority: 1,
  };
  return command('create', { ...body, id, digest: commandDigest(body) } as never);
}

const { tag: _, ...joining } = command('node-joined', { id: 'join', host: null }) as Command & {
  tag: unknown;
};
export const join = joining as Command;
