import { Buffer } from 'node:buffer';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Done } from '../block/block-device.ts';
import type { Export } from './export.ts';
import { ExportCatalogue } from './export-catalogue.ts';
import { NbdConnection } from './nbd-connection.ts';
import { SlabPool } from './slab.ts';

/** Clients at once on one server; one more is closed as it comes. */
const connectionsMax = 64;
/** A client that neither transmits nor leaves is dropped after one to two of these, in milliseconds. */
const patienceMs = 10_000;
/** What a client gets to fetch the last replies of a withdrawn export, in milliseconds. */
const farewellMs = 1000;
/** What Linux takes as the address of a Unix socket, in bytes; Node would cut a longer one short in silence. */
const socketPathMax = 107;

/** Serves exports to NBD clients, on any number of Unix sockets and TCP addresses. */
export class NbdServer {
  readonly #catalogue = new ExportCatalogue();
  readonly #pool = new SlabPool();
  readonly #connections = new Set<NbdConnection>();
  readonly #listeners = new Set<Server>();
  readonly #withdrawals = new Map<Export, Done>();
  readonly #sweep = setInterval(() => this.#dropIdle(), patienceMs).unref();

  /** New connections find it from now on. */
  offer(offered: Export): void {
    this.#catalogue.add(offered);
  }

  /**
   * The export leaves service. New connections do not find it; on those that use it, what is in flight is
   * answered, what follows gets ESHUTDOWN, and they are closed. Done when the export has answered everything it
   * was asked, also for clients that are gone: the server calls it no more.
   */
  withdraw(withdrawn: Export, done: Done): void {
    this.#catalogue.remove(withdrawn);
    this.#withdrawals.set(withdrawn, done);
    for (const connection of this.#connections) {
      if (connection.target === withdrawn) connection.withdraw();
    }
    this.#finishWithdrawals();
  }

  /** Only the owner of this process may connect. A socket that an earlier process left there is replaced. */
  listenUnix(path: string, done: Done): void {
    if (Buffer.byteLength(path) > socketPathMax) {
      const reason = `a Unix socket's path has at most ${socketPathMax} bytes: ${path}`;
      done(Object.assign(new Error(reason), { code: 'ENAMETOOLONG' }));
      return;
    }
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path);
    // The socket must never be there with other rights, not even before chmod.
    const mask = process.umask(0o177);
    this.#listen({ path }, (error) => {
      if (!error) chmodSync(path, 0o600);
      done(error);
    });
    process.umask(mask);
  }

  /** `done` passes the port that was bound (of use with port 0). */
  listenTcp(host: string, port: number, done: (error: Error | null, port: number) => void): void {
    const listener = this.#listen({ host, port }, (error) => {
      const address = listener.address();
      done(error, address && typeof address === 'object' ? address.port : port);
    });
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Connections that use the export: one client may have several. */
  clientsOf(offered: Export): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.target === offered) count += 1;
    return count;
  }

  /** Bytes that all connections hold, whatever they wait for. */
  get heldBytes(): number {
    return this.#pool.lent;
  }

  /** Ends every connection at once; exports that should answer first are withdrawn before. */
  close(): void {
    clearInterval(this.#sweep);
    for (const listener of this.#listeners) listener.close();
    for (const connection of this.#connections) connection.destroy();
  }

  #listen(at: ListenOptions, done: Done): Server {
    const listener = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
    listener.maxConnections = connectionsMax;
    listener.once('error', done);
    listener.listen(at, () => {
      listener.off('error', done);
      // A connection that could not be accepted (no descriptor left) is lost for that client, not for the others.
      listener.on('error', () => undefined);
      this.#listeners.add(listener);
      done(null);
    });
    return listener;
  }

  #accept(socket: Socket): void {
    const connection = new NbdConnection(socket, this.#catalogue, this.#pool, (changed) => {
      if (changed.isOver) this.#connections.delete(changed);
      this.#finishWithdrawals();
    });
    this.#connections.add(connection);
  }

  #finishWithdrawals(): void {
    for (const [withdrawn, done] of this.#withdrawals) {
      const users = [...this.#connections].filter(({ target }) => target === withdrawn);
      if (users.some(({ inFlight }) => inFlight > 0)) continue;
      this.#withdrawals.delete(withdrawn);
      setTimeout(() => {
        for (const connection of users) connection.destroy();
      }, farewellMs).unref();
      done(null);
    }
  }

  /** Whoever only holds a connection open takes it from somebody else. */
  #dropIdle(): void {
    for (const connection of this.#connections) {
      if (connection.isTransmitting) connection.idleSweeps = 0;
      else if (++connection.idleSweeps > 1) connection.destroy();
    }
  }
}
