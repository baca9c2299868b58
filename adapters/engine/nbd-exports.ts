import type { Done } from '../block/block-device.ts';
import type { Endpoint } from '../link/transport.ts';
import type { Export } from '../nbd/export.ts';
import { exportName } from '../nbd/export-catalogue.ts';
import { NbdServer } from '../nbd/nbd-server.ts';
import type { ExportServer } from './ports.ts';
import { allOf, type Step } from './sequence.ts';

/** Exports over NBD: one server per reign, so that nothing of an earlier one lingers (FAULTS 34). */
export class NbdExports implements ExportServer {
  #server: NbdServer | null = null;
  #unixSocket = '';

  offer(exports: readonly Export[], unixSocket: string, tcp: Endpoint | null, done: Done): void {
    const server = new NbdServer();
    this.#server = server;
    this.#unixSocket = unixSocket;
    for (const offered of exports) server.offer(offered);
    const listening: Step[] = [(next) => server.listenUnix(unixSocket, next)];
    if (tcp !== null) listening.push((next) => server.listenTcp(tcp.host, tcp.port, (error) => next(error)));
    allOf(listening, done);
  }

  withdraw(exports: readonly Export[], done: Done): void {
    const server = this.#server;
    this.#server = null;
    if (server === null) {
      done(null);
      return;
    }
    const withdrawals = exports.map(
      (offered): Step =>
        (next) =>
          server.withdraw(offered, next),
    );
    allOf(withdrawals, (error) => {
      server.close();
      done(error);
    });
  }

  uri(offered: Export): string {
    return `nbd+unix:///${exportName(offered)}?socket=${this.#unixSocket}`;
  }
}
