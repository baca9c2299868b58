import type { NodeName } from '../../domain/vocabulary.ts';
import { CableProxy } from './proxy.ts';
import type { Routes } from './routes.ts';

export interface NodePorts {
  readonly node: NodeName;
  readonly firstPort: number;
  readonly lastPort: number;
}

interface Cable {
  readonly ends: readonly NodeName[];
  readonly proxy: CableProxy;
}

/** The lab's network: from each node a cable to the bus, and one to each port of each other node. */
export class Cabling {
  readonly #cables: Cable[] = [];
  readonly #bus = new Map<NodeName, CableProxy>();
  readonly #routes = new Map<NodeName, Record<string, number>>();

  private constructor() {}

  static async lay(nodes: readonly NodePorts[], natsPort: number): Promise<Cabling> {
    const cabling = new Cabling();
    for (const { node } of nodes) {
      const proxy = await CableProxy.start(natsPort);
      cabling.#bus.set(node, proxy);
      cabling.#cables.push({ ends: [node], proxy });
      await cabling.#layTo(
        node,
        nodes.filter((other) => other.node !== node),
      );
    }
    return cabling;
  }

  async #layTo(node: NodeName, others: readonly NodePorts[]): Promise<void> {
    const routes: Record<string, number> = {};
    this.#routes.set(node, routes);
    for (const { node: other, firstPort, lastPort } of others) {
      for (let port = firstPort; port <= lastPort; port += 1) {
        const proxy = await CableProxy.start(port);
        this.#cables.push({ ends: [node, other], proxy });
        routes[`127.0.0.1:${port}`] = proxy.port;
      }
    }
  }

  busPortOf(node: NodeName): number {
    return this.#bus.get(node)?.port ?? 0;
  }

  routesOf(node: NodeName): Routes {
    return this.#routes.get(node) ?? {};
  }

  /** Cuts every cable that ends at one of these nodes, and mends all others. */
  isolate(nodes: ReadonlySet<NodeName>): void {
    for (const { ends, proxy } of this.#cables) {
      if (ends.some((node) => nodes.has(node))) proxy.cut();
      else proxy.mend();
    }
  }

  close(): void {
    for (const { proxy } of this.#cables) proxy.close();
  }
}
