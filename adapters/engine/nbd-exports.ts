import type { Done } from '../block/block-device.ts';
import type { Endpoint } from '../link/transport.ts';
import type { Export } from '../nbd/export.ts';
import { exportName } from '../nbd/export-catalogue.ts';
import { NbdServer } from '../nbd/nbd-server.ts';
import type { ExportServer } from './ports.ts';
import { allOf, type Step } from './sequence.ts';

/** Exports over NBD. What was listened on stays open between reigns; then nothing is found there (FAULTS 34). */
export class NbdExports implements ExportServer {
  readonly #server = new NbdServer();
  readonly #listening = new Set<string>();
  #unixSocket = '';

  offer(exports: readonly Export[], unixSocket: string, tcp: Endpoint | null, done: Done): void {
    this.#unixSocket = unixSocket;
    for (const offered of exports) this.#server.offer(offered);
    const steps: Step[] = [
      (next) => this.#listen(unixSocket, (listened) => this.#server.listenUnix(unixSocket, listened), next),
    ];
    if (tcp !== null) {
      const { host, port } = tcp;
      const listen = (listened: Done) => this.#server.listenTcp(host, port, (error) => listened(error));
      steps.push((next) => this.#listen(`${host} ${port}`, listen, next));
    }
    allOf(steps, done);
  }

  withdraw(exports: readonly Export[], done: Done): void {
    const withdrawals = exports.map(
      (offered): Step =>
        (next) =>
          this.#server.withdraw(offered, next),
    );
    allOf(withdrawals, done);
  }

  uri(offered: Export): string {
    return `nbd+unix:///${exportName(offered)}?socket=${this.#unixSocket}`;
  }

  clients(offered: Export): number {
    return this.#server.clientsOf(offered);
  }

  #listen(at: string, listen: (listened: Done) => void, done: Done): void {
    if (this.#listening.has(at)) {
      done(null);
      return;
    }
    listen((error) => {
      if (error === null) this.#listening.add(at);
      done(error);
    });
  }
}
