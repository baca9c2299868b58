import { NodeName } from '../../domain/vocabulary.ts';
import {
  type ActorName,
  bucketName,
  bucketStreamName,
  type ClusterName,
  CommandToken,
  commandSubject,
  heartbeatSubject,
  inboxPrefix,
  inboxSubject,
  journalSubject,
  streamName,
} from './subjects.ts';

/**
 * The one table of roles: what the NATS server lets each user publish and subscribe. Every user has his own name,
 * stands in subjects only by it, and hears only replies that are his.
 *
 * | role      | sends commands | hears                     | reads in JetStream | writes in JetStream                   |
 * |-----------|----------------|---------------------------|--------------------|---------------------------------------|
 * | agent     | in its name    | commands, journal, agents | both               | own events, views; creates, no delete |
 * | operator  | in his name    | journal                   | both               | –                                     |
 * | auditor   | `status nodes` | journal                   | both               | –                                     |
 * | dashboard | `status nodes` | –                         | views              | –                                     |
 */
export const roles = ['agent', 'operator', 'auditor', 'dashboard'] as const;
export type Role = (typeof roles)[number];

export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** May answer each request once, wherever its sender listens, as long as a command may take. */
  readonly answers: boolean;
}

const readCommands = ['status', 'nodes'].map((command) => CommandToken.parse(command));

export function permissionsOf(role: Role, cluster: ClusterName, user: ActorName): Permissions {
  const inbox = `${inboxPrefix(user)}.>`;
  const commands = commandSubject(cluster, user, '*');
  const readOnly = readCommands.map((command) => commandSubject(cluster, user, command));
  const journal = journalSubject(cluster, '*');
  const views = readsStream(bucketStreamName(cluster));
  const history = readsStream(streamName(cluster));
  switch (role) {
    case 'agent':
      return agentPermissions(cluster, user);
    case 'operator':
      return {
        publish: [commands, '$SRV.>', ...views, ...history],
        subscribe: [inbox, journal],
        answers: false,
      };
    case 'auditor':
      return {
        publish: [...readOnly, '$SRV.>', ...views, ...history],
        subscribe: [inbox, journal],
        answers: false,
      };
    case 'dashboard':
      return { publish: [...readOnly, '$SRV.>', ...views], subscribe: [inbox], answers: false };
    default:
      return role satisfies never;
  }
}

function agentPermissions(cluster: ClusterName, user: ActorName): Permissions {
  const node = NodeName.parse(user);
  const kept = [streamName(cluster), bucketStreamName(cluster)];
  return {
    publish: [
      commandSubject(cluster, user, '*'),
      journalSubject(cluster, node),
      heartbeatSubject(cluster, node),
      inboxSubject(cluster, '*', '*', node),
      '$SRV.>',
      `$KV.${bucketName(cluster)}.>`,
      ...kept.flatMap((stream) => [
        ...readsStream(stream),
        `$JS.API.STREAM.CREATE.${stream}`,
        `$JS.API.STREAM.UPDATE.${stream}`,
      ]),
    ],
    subscribe: [
      `${inboxPrefix(user)}.>`,
      commandSubject(cluster, '*', '*'),
      journalSubject(cluster, '*'),
      heartbeatSubject(cluster, '*'),
      inboxSubject(cluster, node, '*', '*'),
      '$SRV.>',
    ],
    answers: true,
  };
}

/** Looking at a stream, single messages, and following it with an ordered or a pull consumer. */
const readsStream = (stream: string): readonly string[] => [
  '$JS.API.INFO',
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.ACK.${stream}.>`,
  `$JS.FC.${stream}.>`,
];
