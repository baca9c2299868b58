import { BusError } from '../../adapters/bus/bus.ts';
import type { Credentials } from '../../adapters/bus/credentials.ts';
import { connectNatsBus } from '../../adapters/bus/nats-bus.ts';
import { type ActorName, type ClusterName, CommandToken } from '../../adapters/bus/subjects.ts';
import { Exit, exitCodes } from '../program.ts';
import { type Client, type CommandBody, howToAskAgain } from './client.ts';
import { Reply } from './reply.ts';

export interface NatsClientOptions {
  readonly servers: readonly string[];
  readonly cluster: ClusterName;
  readonly user: ActorName;
  readonly credentials?: Credentials;
  readonly connectMs: number;
}

/** Any agent on the bus. Errors: `unreachable` where there is no bus in time. */
export async function connectNats(options: NatsClientOptions): Promise<Client> {
  const { servers, cluster, user, credentials, connectMs } = options;
  const bus = connectNatsBus({
    servers,
    cluster,
    user,
    ...(credentials === undefined ? {} : { credentials }),
  });
  if (!(await bus.ready(connectMs))) {
    const { problem } = bus.status();
    await bus.close();
    const why = problem === null ? '' : ` (${problem})`;
    throw new Exit(exitCodes.unreachable, `no NATS server answers at ${servers.join(', ')}${why}`);
  }
  return {
    request: async (command, body, timeoutMs) => {
      try {
        return Reply.parse(await bus.request(CommandToken.parse(command), body, timeoutMs));
      } catch (error) {
        throw exitOf(error, body, cluster);
      }
    },
    close: () => bus.close(),
  };
}

function exitOf(error: unknown, { id }: CommandBody, cluster: ClusterName): unknown {
  if (!(error instanceof BusError)) return error;
  if (error.mayHaveHappened) return new Exit(exitCodes.unknown, `${error.message}; ${howToAskAgain(id)}`);
  if (error.code === 'no-responders')
    return new Exit(exitCodes.unreachable, `no agent of the cluster ${cluster} is on this bus`);
  if (error.code === 'denied') return new Exit(exitCodes.refused, `not-authorized: ${error.message}`);
  return new Exit(exitCodes.unreachable, error.message);
}
