import type {
  Connection,
  ConnectionEvents,
  Endpoint,
  Listener,
  Transport,
} from '../../adapters/link/transport.ts';
import type { SimulatedProcess } from './process.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/**
 * The network between hosts: TCP as an engine sees it.
 *
 * - Bytes of a connection arrive in order, cut anywhere, or not at all.
 * - A blocked path (one direction or both) swallows: nothing arrives and nothing is told, as when a cable is out.
 *   When it heals in time, the bytes come late, as after a retransmission.
 * - A process that is gone closes its ends; a host without power tells nobody: the other end stays half-open until
 *   it sends something that reaches a host which does not know the connection.
 * - A bit may flip on the way.
 * - Chunks handed to `send` are read when they leave, not before: they must stay untouched until then. Received
 *   bytes are overwritten after the call, as a reused buffer is.
 */
export interface NetworkHabits {
  readonly latencyMs: readonly [low: number, high: number];
  readonly bytesPerMs: number;
  /** Chance per piece on the wire that one of its bits flips. */
  readonly bitFlip: number;
}

const highWaterBytes = 1 << 16;
const receiveWindowBytes = 1 << 18;
/** No engine may queue without bound (I16): more than this in one connection is a defect. */
const queueMaxBytes = 64 << 20;
const pieceMaxBytes = 1 << 16;

export class SimulatedNetwork {
  readonly world: World;
  readonly random: Random;
  habits: NetworkHabits;
  readonly #hosts = new Map<string, Host>();
  readonly #blocked = new Set<string>();
  readonly #clogged = new Map<string, number>();
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(world: World, habits: NetworkHabits) {
    this.world = world;
    this.habits = habits;
    this.random = world.random.fork('network');
  }

  /** The network as that process sees it from that host. */
  transport(hostName: string, owner: SimulatedProcess): Transport {
    const host = this.#host(hostName);
    return {
      listen: (at, accept, ready) => this.#listen(host, owner, at, accept, ready),
      dial: (to, opened, failed) => this.#dial(hostName, owner, to, opened, failed),
    };
  }

  /** Nothing from one host reaches the other until healed. */
  block(from: string, to: string): void {
    this.#blocked.add(path(from, to));
  }

  heal(from: string, to: string): void {
    this.#blocked.delete(path(from, to));
    this.#wake(path(from, to));
  }

  healAll(): void {
    this.#clogged.clear();
    for (const key of [...this.#blocked]) {
      this.#blocked.delete(key);
      this.#wake(key);
    }
  }

  /** Adds to the latency of everything that leaves on that path. */
  clog(from: string, to: string, extraMs: number): void {
    this.#clogged.set(path(from, to), extraMs);
  }

  isBlocked(from: string, to: string): boolean {
    return this.#blocked.has(path(from, to));
  }

  /** Power off: its connections are forgotten without a word to the other ends. */
  powerOff(hostName: string): void {
    const host = this.#host(hostName);
    for (const end of host.ends) end.forget();
    host.ends.clear();
    host.listeners.clear();
    host.isUp = false;
  }

  powerOn(hostName: string): void {
    this.#host(hostName).isUp = true;
  }

  /** Every connection between the two hosts breaks, seen by both ends. */
  reset(left: string, right: string): void {
    for (const end of [...this.#host(left).ends]) {
      if (end.remoteHost !== right) continue;
      end.peer.breakOff(connectionError('ECONNRESET'));
      end.breakOff(connectionError('ECONNRESET'));
    }
  }

  latencyMs(from: string, to: string): number {
    const [low, high] = this.habits.latencyMs;
    return this.random.span(low, high) + (this.#clogged.get(path(from, to)) ?? 0);
  }

  /** Runs when the path is open: now, or some time after it has healed. */
  whenOpen(from: string, to: string, run: () => void): void {
    const key = path(from, to);
    if (!this.#blocked.has(key)) {
      run();
      return;
    }
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.set(key, waiting);
    waiting.push(run);
  }

  isUp(hostName: string): boolean {
    return this.#host(hostName).isUp;
  }

  #wake(key: string): void {
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    const [from, to] = key.split(' -> ') as [string, string];
    for (const run of waiting) this.world.after(this.random.span(1, 400), () => this.whenOpen(from, to, run));
  }

  #host(hostName: string): Host {
    const known = this.#hosts.get(hostName);
    if (known !== undefined) return known;
    const host: Host = { isUp: true, listeners: new Map(), ends: new Set(), nextPort: 20_000 };
    this.#hosts.set(hostName, host);
    return host;
  }

  #listen(
    host: Host,
    owner: SimulatedProcess,
    at: Endpoint,
    accept: (connection: Connection) => ConnectionEvents,
    ready: (error: Error | null) => void,
  ): Listener {
    const port = at.port === 0 ? host.nextPort++ : at.port;
    const listening: Listening = { owner, accept };
    const isTaken = host.listeners.has(port);
    if (!isTaken) host.listeners.set(port, listening);
    const close = () => {
      if (host.listeners.get(port) === listening) host.listeners.delete(port);
    };
    owner.onExit(close);
    const error = isTaken ? connectionError('EADDRINUSE') : null;
    this.world.after(0, () => owner.enter(() => ready(error)));
    return { close };
  }

  #dial(
    from: string,
    owner: SimulatedProcess,
    to: Endpoint,
    opened: (connection: Connection) => ConnectionEvents,
    failed: (error: Error) => void,
  ): void {
    const fail = (code: string, delayMs: number) =>
      this.world.after(delayMs, () => owner.enter(() => failed(connectionError(code))));
    const roundTripMs = this.latencyMs(from, to.host) + this.latencyMs(to.host, from);
    const isCut = () => this.isBlocked(from, to.host) || this.isBlocked(to.host, from);
    this.world.after(roundTripMs, () => {
      const remote = this.#host(to.host);
      if (!remote.isUp || isCut()) {
        fail('ETIMEDOUT', this.random.span(500, 3000));
        return;
      }
      const listening = remote.listeners.get(to.port);
      if (listening === undefined || !listening.owner.alive) {
        fail('ECONNREFUSED', 0);
        return;
      }
      if (!owner.alive) return;
      this.#connect(from, owner, to.host, listening, opened);
    });
  }

  #connect(
    from: string,
    owner: SimulatedProcess,
    to: string,
    listening: Listening,
    opened: (connection: Connection) => ConnectionEvents,
  ): void {
    this.world.count('connection opened');
    const dialled = new End(this, from, to, owner);
    const accepted = new End(this, to, from, listening.owner);
    dialled.peer = accepted;
    accepted.peer = dialled;
    for (const end of [dialled, accepted]) {
      const { ends } = this.#host(end.localHost);
      ends.add(end);
      end.onGone = () => ends.delete(end);
    }
    accepted.open(listening.accept);
    dialled.open(opened);
  }
}

interface Host {
  isUp: boolean;
  readonly listeners: Map<number, Listening>;
  readonly ends: Set<End>;
  nextPort: number;
}

interface Listening {
  readonly owner: SimulatedProcess;
  readonly accept: (connection: Connection) => ConnectionEvents;
}

/** One end of a connection: its way out and what has arrived for it. */
class End implements Connection {
  readonly localHost: string;
  readonly remoteHost: string;
  peer!: End;
  onGone: () => void = () => {};
  readonly #network: SimulatedNetwork;
  readonly #owner: SimulatedProcess;
  readonly #outgoing: Uint8Array[] = [];
  readonly #arrived: Buffer[] = [];
  readonly #held: (() => void)[] = [];
  #events: ConnectionEvents | null = null;
  #outgoingBytes = 0;
  #arrivedBytes = 0;
  #isSending = false;
  #needsDrain = false;
  #isPaused = false;
  #isDelivering = false;
  #isGone = false;
  #isClosedFor: { readonly error: Error | null } | null = null;
  #lastArrivalMs = 0;

  constructor(network: SimulatedNetwork, localHost: string, remoteHost: string, owner: SimulatedProcess) {
    this.#network = network;
    this.localHost = localHost;
    this.remoteHost = remoteHost;
    this.#owner = owner;
    owner.onExit(() => this.destroy());
  }

  open(opened: (connection: Connection) => ConnectionEvents): void {
    this.#owner.enter(() => {
      if (this.#isGone) return;
      this.#events = opened(this);
      this.#deliver();
    });
  }

  send(chunks: readonly Uint8Array[]): boolean {
    if (this.#isGone) return true;
    for (const chunk of chunks) {
      this.#outgoing.push(chunk);
      this.#outgoingBytes += chunk.byteLength;
    }
    if (this.#outgoingBytes > queueMaxBytes) throw new Error('I16: a connection queues without bound');
    this.#transmit();
    if (this.#outgoingBytes <= highWaterBytes) return true;
    this.#needsDrain = true;
    return false;
  }

  pauseReceiving(): void {
    this.#isPaused = true;
  }

  resumeReceiving(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  destroy(): void {
    if (this.#isGone) return;
    const { peer } = this;
    this.#toPeer(0, () => peer.endOfStream(null));
    this.#leave();
    this.#network.world.after(0, () => this.#owner.enter(() => this.#events?.closed(null)));
  }

  /** The connection is broken for this end. */
  breakOff(error: Error): void {
    if (this.#isGone) return;
    this.#leave();
    this.#network.world.after(0, () => this.#owner.enter(() => this.#events?.closed(error)));
  }

  /** The host has lost it all. */
  forget(): void {
    this.#leave();
    this.#events = null;
  }

  endOfStream(error: Error | null): void {
    this.#isClosedFor = { error };
    this.#deliver();
  }

  #leave(): void {
    this.#isGone = true;
    this.#outgoing.length = 0;
    this.#outgoingBytes = 0;
    this.onGone();
  }

  #transmit(): void {
    if (this.#isSending || this.#isGone || this.#outgoing.length === 0) return;
    if (this.peer.#arrivedBytes > receiveWindowBytes) return;
    this.#isSending = true;
    const byteCount = Math.min(this.#outgoingBytes, this.#network.random.between(1, pieceMaxBytes));
    this.#network.world.after(byteCount / this.#network.habits.bytesPerMs, () => {
      this.#isSending = false;
      if (this.#isGone) return;
      const piece = this.#take(byteCount);
      const { peer } = this;
      peer.#arrivedBytes += piece.byteLength;
      this.#toPeer(this.#network.latencyMs(this.localHost, this.remoteHost), () => peer.#arrive(piece));
      this.#transmit();
      if (this.#needsDrain && this.#outgoingBytes === 0) {
        this.#needsDrain = false;
        this.#owner.enter(() => {
          if (!this.#isGone) this.#events?.drained();
        });
      }
    });
  }

  #take(byteCount: number): Buffer {
    const piece = Buffer.alloc(byteCount);
    let filled = 0;
    while (filled < byteCount) {
      const chunk = this.#outgoing[0];
      if (chunk === undefined) break;
      const used = Math.min(chunk.byteLength, byteCount - filled);
      piece.set(chunk.subarray(0, used), filled);
      filled += used;
      if (used === chunk.byteLength) this.#outgoing.shift();
      else this.#outgoing[0] = chunk.subarray(used);
    }
    this.#outgoingBytes -= byteCount;
    if (byteCount > 0 && this.#network.random.chance(this.#network.habits.bitFlip)) this.#flipBit(piece);
    return piece;
  }

  #flipBit(piece: Buffer): void {
    const index = this.#network.random.below(piece.byteLength);
    piece.writeUInt8(piece.readUInt8(index) ^ (1 << this.#network.random.below(8)), index);
    this.#network.world.count('bit flipped on the link');
    this.#network.world.note('network', `bit flipped ${this.localHost} -> ${this.remoteHost}`);
  }

  /** In order, whatever the latency of each piece. */
  #toPeer(delayMs: number, run: () => void): void {
    const { world } = this.#network;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, world.nowMs + delayMs);
    world.after(this.#lastArrivalMs - world.nowMs, () => this.#inOrder(run));
  }

  #inOrder(run: () => void): void {
    this.#held.push(run);
    if (this.#held.length === 1) this.#passOn();
  }

  #passOn(): void {
    this.#network.whenOpen(this.localHost, this.remoteHost, () => {
      const run = this.#held.shift();
      run?.();
      if (this.#held.length > 0) this.#passOn();
    });
  }

  #arrive(piece: Buffer): void {
    if (this.#isGone) {
      this.#refuse();
      return;
    }
    this.#arrived.push(piece);
    this.#deliver();
  }

  /** Bytes for a connection that this host does not know: it answers with a reset, where the host is up. */
  #refuse(): void {
    const { peer } = this;
    if (!this.#network.isUp(this.localHost)) return;
    this.#toPeer(this.#network.latencyMs(this.localHost, this.remoteHost), () =>
      peer.breakOff(connectionError('ECONNRESET')),
    );
  }

  #deliver(): void {
    if (this.#isDelivering || this.#events === null) return;
    this.#isDelivering = true;
    this.#owner.enter(() => {
      this.#isDelivering = false;
      this.#deliverNow();
    });
  }

  #deliverNow(): void {
    while (!this.#isPaused && !this.#isGone) {
      const piece = this.#arrived.shift();
      if (piece === undefined) break;
      this.#arrivedBytes -= piece.byteLength;
      this.#network.world.trace.mix(piece.byteLength);
      this.#events?.received(piece);
      piece.fill(0xdd);
      this.peer.#transmit();
    }
    if (this.#isClosedFor === null || this.#isGone || this.#arrived.length > 0) return;
    this.#leave();
    this.#events?.closed(this.#isClosedFor.error);
  }
}

const path = (from: string, to: string) => `${from} -> ${to}`;

const connectionError = (code: string) => Object.assign(new Error(`${code}: simulated`), { code });
