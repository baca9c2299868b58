import { Socket } from 'node:net';

/**
 * Sends what the lab's processes dial through the lab's proxies. A replica is reached at the address that the
 * history records, which is where its engine listens: so this file, loaded into agents and engines before they
 * start, gives the dialer the proxy's port in its place. It does nothing in any other process.
 */
const variable = 'MIRRORKEEPER_LAB_ROUTES';

/** By HOST:PORT as it is dialed: the port on loopback to dial instead. */
export type Routes = Readonly<Record<string, number>>;

/** What a process inherits, and its children from it. */
export const routed = (routes: Routes): Record<string, string> => ({
  [variable]: JSON.stringify(routes),
  NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import ${import.meta.url}`.trim(),
});

interface Dialed {
  host?: unknown;
  port?: unknown;
}

const text = process.env[variable];
if (text !== undefined) install(JSON.parse(text) as Routes);

function install(routes: Routes): void {
  const dial = Socket.prototype.connect as (this: Socket, ...args: unknown[]) => Socket;
  const detour = function (this: Socket, ...args: unknown[]): Socket {
    // `net.connect` hands over its arguments in an array, in a form of its own.
    const options = (Array.isArray(args[0]) ? args[0][0] : args[0]) as Dialed | undefined;
    const port = routes[`${options?.host}:${options?.port}`];
    if (options !== undefined && port !== undefined) options.port = port;
    return dial.apply(this, args);
  };
  Socket.prototype.connect = detour as typeof Socket.prototype.connect;
}
