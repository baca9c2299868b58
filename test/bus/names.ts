import { ViewKey } from '../../adapters/bus/messages.ts';
import { ActorName, ClusterName, CommandToken } from '../../adapters/bus/subjects.ts';
import { NodeName } from '../../domain/vocabulary.ts';

export const cluster = ClusterName.parse('demo');
export const node = (name: string) => NodeName.parse(name);
export const actor = (name: string) => ActorName.parse(name);
export const command = (name: string) => CommandToken.parse(name);
export const viewKey = (key: string) => ViewKey.parse(key);

/** The n-th event of a node's log. */
export const record = (name: string, sequence: number, more: Record<string, unknown> = {}) => ({
  node: node(name),
  incarnation: 1,
  sequence,
  hash: `${name}-${sequence}`,
  ...more,
});

/** `heads({eve: 3})`: made from eve's first three events. */
export const heads = (sequences: Record<string, number>) =>
  Object.fromEntries(
    Object.entries(sequences).map(([name, sequence]) => [
      name,
      { incarnation: 1, sequence, hash: `${name}-${sequence}` },
    ]),
  );
