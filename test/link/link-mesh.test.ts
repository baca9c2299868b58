import { describe, expect, it } from 'vitest';
import type { IncomingMessage, LinkEvents, LinkFault } from '../../adapters/link/link.ts';
import { LinkListener } from '../../adapters/link/link-listener.ts';
import { type LinkSettings, LinkSocket } from '../../adapters/link/link-socket.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import { SimulatedNetwork } from '../simulation/network.ts';
import { SimulatedProcess } from '../simulation/process.ts';
import { World } from '../simulation/world.ts';
import { key, message, timings } from './session-pair.ts';

const names = ['abel', 'adam', 'eve'] as NodeName[];
const seeds = 40;
const troubleMs = 60_000;

/** What is sent names its session, its sender and its place; the receiver believes nothing else. */
const stamp = (sessionId: string, from: string, number: number) =>
  Buffer.from(`${sessionId} ${from} ${number} `.repeat(1 + ((number * 31) % 400)));

class Chatterbox implements LinkEvents {
  readonly link: LinkSocket;
  readonly #self: NodeName;
  readonly #mesh: Mesh;
  #sessionId: string | null = null;
  #sent = 0;
  #received = 0;
  #isFree = true;
  #held: IncomingMessage[] = [];

  constructor(mesh: Mesh, settings: LinkSettings, peer: NodeName) {
    this.#mesh = mesh;
    this.#self = settings.identity.node;
    this.link = new LinkSocket(settings, peer, this);
  }

  established(sessionId: string): void {
    if (this.#sessionId !== null) throw new Error('two sessions at once');
    this.#sessionId = sessionId;
    this.#sent = 0;
    this.#received = 0;
    this.#isFree = true;
  }

  received(received: IncomingMessage): void {
    const expected = stamp(this.#sessionId ?? '', this.link.peer, this.#received);
    if (received.number !== this.#received || !expected.equals(received.payload)) {
      throw new Error(`${this.#self} got something else than ${this.link.peer} sent`);
    }
    this.#received++;
    this.#mesh.delivered++;
    this.#held.push(received);
    if (this.#held.length > 20) for (const each of this.#held.splice(0)) each.release();
  }

  drained(): void {
    this.#isFree = true;
  }

  ended(fault: LinkFault): void {
    if (this.#sessionId === null) throw new Error('a session ended that had not begun');
    this.#sessionId = null;
    this.#mesh.count(fault);
  }

  refused(fault: LinkFault): void {
    this.#mesh.count(fault);
  }

  say(): void {
    if (this.#sessionId === null || !this.#isFree) return;
    const payload = stamp(this.#sessionId, this.#self, this.#sent);
    this.#isFree = this.link.send(message({ number: this.#sent++, payload }));
  }
}

/** Three engines' links over the simulated network, talking all the time. */
class Mesh {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly faults = new Map<LinkFault, number>();
  delivered = 0;
  #nodes = new Map<NodeName, { readonly process: SimulatedProcess; readonly links: Chatterbox[] }>();

  constructor(seed: number) {
    this.world = new World(seed);
    this.network = new SimulatedNetwork(this.world, { latencyMs: [0.1, 20], bytesPerMs: 1e5, bitFlip: 0 });
    for (const name of names) this.start(name);
  }

  get links(): Chatterbox[] {
    return [...this.#nodes.values()].flatMap(({ links }) => links);
  }

  start(name: NodeName): void {
    this.#nodes.get(name)?.process.kill();
    const process = new SimulatedProcess(this.world, name);
    const random = this.world.random.fork(name);
    const settings: LinkSettings = {
      identity: { cluster: 'paradise', tag: 'datarep' as Tag, resource: 'adam/1/7', node: name },
      key,
      timings,
      transport: this.network.transport(name, process),
      clock: process.clock,
      random: (byteCount) => Uint8Array.from({ length: byteCount }, () => random.below(256)),
    };
    const listener = new LinkListener(
      settings,
      { host: name, port: 7 },
      {
        ready: (error) => {
          if (error !== null) throw error;
        },
        refused: (fault) => this.count(fault),
      },
    );
    const links = names.filter((peer) => peer !== name).map((peer) => new Chatterbox(this, settings, peer));
    for (const { link } of links) {
      listener.add(link);
      link.dialTo([{ host: link.peer, port: 7 }]);
      link.open();
    }
    this.#nodes.set(name, { process, links });
  }

  count(fault: LinkFault): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  trouble(): void {
    const { random } = this.world;
    const [left, right] = [random.pick(names), random.pick(names)];
    const process = this.#nodes.get(left)?.process;
    const troubles = [
      () => this.network.block(left, right),
      () => this.network.heal(left, right),
      () => this.network.healAll(),
      () => this.network.reset(left, right),
      () => this.network.clog(left, right, random.span(0, 8000)),
      () => process?.stop(),
      () => process?.proceed(),
      () => this.start(left),
      () => {
        this.network.habits = { ...this.network.habits, bitFlip: random.pick([0, 0, 0.01, 0.1]) };
      },
    ];
    random.pick(troubles)();
  }

  calm(): void {
    this.network.habits = { ...this.network.habits, bitFlip: 0 };
    this.network.healAll();
    for (const { process } of this.#nodes.values()) process.proceed();
  }

  runUntil(ms: number, holds: () => boolean): boolean {
    while (this.world.nowMs < ms && !holds()) if (!this.world.step()) break;
    return holds();
  }
}

describe('three engines linked with each other, in trouble', () => {
  const faults = new Set<LinkFault>();

  it.each(Array.from({ length: seeds / 10 }, (_, index) => index * 10))(
    'deliver nothing wrong and find each other again (seeds from %i)',
    (first) => {
      for (let seed = first; seed < first + 10; seed++) {
        const mesh = new Mesh(seed);
        const { world } = mesh;
        const talk = () => {
          for (const each of mesh.links) each.say();
          world.after(world.random.span(1, 200), talk);
        };
        const worry = () => {
          if (world.nowMs > troubleMs) return mesh.calm();
          mesh.trouble();
          world.after(world.random.span(10, 2000), worry);
        };
        talk();
        world.after(1000, worry);
        const isWhole = () =>
          world.nowMs > troubleMs + 3000 && mesh.links.every(({ link }) => link.established);
        const found = mesh.runUntil(troubleMs + 60_000, isWhole);
        expect(found, `seed ${seed}: ${JSON.stringify([...mesh.faults])}`).toBe(true);
        const { delivered } = mesh;
        expect(mesh.runUntil(world.nowMs + 5000, () => mesh.delivered > delivered + 100)).toBe(true);
        for (const fault of mesh.faults.keys()) faults.add(fault);
      }
    },
  );

  it('have met every fault that trouble of this kind can bring', () => {
    expect([...faults].sort()).toEqual(
      expect.arrayContaining(['bad-checksum', 'connection-lost', 'replaced', 'timed-out']),
    );
  });
});
