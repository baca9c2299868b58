import type { Clock } from '../engine/clock.ts';
import { type AgentBus, BusError, type Subscription } from './bus.ts';
import type { ActorName, ClusterName } from './subjects.ts';
import { failureToTell, type KeyValue, type KeyValueEntry, type Responder, type Wire } from './wire.ts';
import { WireBus } from './wire-bus.ts';

/** One message on its way to one receiver. */
export interface HubMessage {
  readonly kind: 'publish' | 'request' | 'reply';
  readonly from: ActorName;
  readonly to: ActorName;
  readonly subject: string;
  /** JSON, or the sentence of a failed request's reply. */
  readonly payload: string;
}

export interface HubOptions {
  readonly clock: Clock;
  /** After how many milliseconds each copy arrives: [] loses the message, [0, 5] repeats it. Default: [0]. */
  readonly route?: (message: HubMessage) => readonly number[];
  /** Which of those that serve a command gets it, as an index. Default: each in turn. */
  readonly choose?: (subject: string, servers: readonly ActorName[]) => number;
}

interface Receiver {
  readonly member: Member;
  readonly pattern: RegExp;
  readonly receive: (subject: string, payload: string) => void;
}

interface Server {
  readonly member: Member;
  readonly pattern: RegExp;
  readonly isShared: boolean;
  readonly reply: Responder;
}

interface Watcher {
  readonly member: Member;
  readonly changed: (key: string, value: string) => void;
}

type Outcome = { readonly payload: string } | { readonly failure: BusError };

/**
 * A bus without a network: everybody in one process, every delivery through the injected clock and route, nothing at
 * random. Two runs with the same clock and route are the same run (I18). Views arrive always, as from JetStream.
 */
export class InProcessHub {
  readonly #options: HubOptions;
  readonly #members = new Set<Member>();
  readonly #receivers = new Set<Receiver>();
  readonly #servers = new Set<Server>();
  readonly #watchers = new Set<Watcher>();
  readonly #entries = new Map<string, KeyValueEntry>();
  readonly #away = new Set<ActorName>();
  #revision = 0;
  #turn = 0;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  connect(cluster: ClusterName, user: ActorName): AgentBus {
    const member = new Member(user, !this.#away.has(user));
    this.#members.add(member);
    return new WireBus(cluster, user, this.#wireOf(member));
  }

  /** Cuts a user off from the bus, or lets him back. */
  setConnected(user: ActorName, isConnected: boolean): void {
    if (isConnected) this.#away.delete(user);
    else this.#away.add(user);
    for (const member of this.#members) {
      if (member.user !== user || member.isConnected === isConnected) continue;
      member.connectionChanged(isConnected);
      if (isConnected) this.#storeOpened(member);
    }
  }

  /** The views are gone, as after the restart of a server that lost its disk (FAULTS 25). */
  emptyStore(): void {
    this.#entries.clear();
    for (const member of this.#members) if (member.isConnected) this.#storeOpened(member);
  }

  #wireOf(member: Member): Wire {
    return {
      store: this.#storeOf(member),
      publish: (subject, payload) => this.#publish(member, subject, payload),
      request: (subject, payload, timeoutMs) => this.#request(member, subject, payload, timeoutMs),
      subscribe: (pattern, receive) => added(this.#receivers, { member, pattern: matcher(pattern), receive }),
      respond: (pattern, reply) =>
        added(this.#servers, { member, pattern: matcher(pattern), isShared: false, reply }),
      serve: (endpoints, reply) => {
        const served = endpoints.map(({ subject }) =>
          added(this.#servers, { member, pattern: matcher(subject), isShared: true, reply }),
        );
        return {
          end: () => {
            for (const one of served) one.end();
          },
        };
      },
      status: () => ({
        connected: member.isConnected,
        server: member.isConnected ? 'in-process' : null,
        reconnects: member.reconnects,
        actorsVerified: true,
        views: member.isConnected,
        journalStream: false,
        droppedMessages: member.droppedMessages,
        problem: null,
      }),
      watchStatus: (changed) => added(member.statusWatchers, changed),
      ready: (timeoutMs) => this.#ready(member, timeoutMs),
      close: async () => this.#leave(member),
    };
  }

  #ready(member: Member, timeoutMs: number): Promise<boolean> {
    if (member.isConnected) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (isReady: boolean) => {
        timeout.cancel();
        watching.end();
        resolve(isReady);
      };
      const timeout = this.#options.clock.after(timeoutMs, () => settle(false));
      const watching = added(member.statusWatchers, () => {
        if (member.isConnected) settle(true);
      });
    });
  }

  #publish(from: Member, subject: string, payload: string): void {
    if (!from.isConnected) {
      from.droppedMessages += 1;
      return;
    }
    for (const receiver of this.#receivers) {
      if (!receiver.pattern.test(subject)) continue;
      this.#deliver('publish', from, receiver.member, subject, payload, () => {
        if (this.#receivers.has(receiver)) receiver.receive(subject, payload);
      });
    }
  }

  #request(from: Member, subject: string, payload: string, timeoutMs: number): Promise<string> {
    const { clock } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (outcome: Outcome) => {
        timeout.cancel();
        from.underWay.delete(fail);
        if ('failure' in outcome) reject(outcome.failure);
        else resolve(outcome.payload);
      };
      const fail = (failure: BusError) => settle({ failure });
      from.underWay.add(fail);
      const timeout = clock.after(timeoutMs, () =>
        fail(new BusError('timeout', `no reply on ${subject} within ${timeoutMs} ms`)),
      );
      if (!from.isConnected) return fail(new BusError('disconnected', 'no connection to the bus'));
      const servers = this.#serversOf(subject);
      if (servers.length === 0) {
        clock.after(0, () => fail(new BusError('no-responders', `nobody serves ${subject}`)));
      }
      for (const server of servers) this.#serve(server, from, subject, payload, settle);
    });
  }

  #serve(server: Server, from: Member, subject: string, payload: string, settle: (reply: Outcome) => void) {
    this.#deliver('request', from, server.member, subject, payload, async () => {
      if (!this.#servers.has(server)) return;
      const outcome: Outcome = await server.reply(subject, payload).then(
        (reply) => ({ payload: reply }),
        (error: unknown) => ({ failure: failureToTell(error) }),
      );
      const text = 'failure' in outcome ? outcome.failure.message : outcome.payload;
      this.#deliver('reply', server.member, from, subject, text, () => settle(outcome));
    });
  }

  /** Those that get a request: one of all that share the subject, or the one inbox. */
  #serversOf(subject: string): readonly Server[] {
    const all = [...this.#servers].filter(
      ({ member, pattern }) => member.isConnected && pattern.test(subject),
    );
    const shared = all.filter(({ isShared }) => isShared);
    if (shared.length === 0) return all;
    const choose = this.#options.choose ?? ((_subject, servers) => this.#turn++ % servers.length);
    const users = shared.map(({ member }) => member.user);
    const chosen = shared[choose(subject, users)];
    return chosen === undefined ? [] : [chosen];
  }

  #deliver(
    kind: HubMessage['kind'],
    from: Member,
    to: Member,
    subject: string,
    payload: string,
    arrive: () => void,
  ): void {
    const message = { kind, from: from.user, to: to.user, subject, payload };
    for (const delayMs of this.#options.route?.(message) ?? [0]) {
      this.#options.clock.after(delayMs, () => {
        if (from.isConnected && to.isConnected) arrive();
      });
    }
  }

  #storeOf(member: Member): KeyValue {
    const connected = () => {
      if (!member.isConnected) throw new BusError('disconnected', 'no connection to the bus');
    };
    return {
      get: async (key) => {
        connected();
        return this.#entries.get(key);
      },
      set: async (key, value, revision) => {
        connected();
        if ((this.#entries.get(key)?.revision ?? 0) !== revision) return false;
        this.#revision += 1;
        this.#entries.set(key, { value, revision: this.#revision });
        for (const watcher of this.#watchers) this.#tell(watcher, key, value);
        return true;
      },
      watch: (changed) => {
        const watcher = { member, changed };
        const subscription = added(this.#watchers, watcher);
        this.#tellAll(watcher);
        return subscription;
      },
      whenOpened: (run) => {
        if (member.isConnected) this.#options.clock.after(0, run);
        return added(member.storeWatchers, run);
      },
    };
  }

  #storeOpened(member: Member): void {
    for (const run of member.storeWatchers) this.#options.clock.after(0, run);
    for (const watcher of this.#watchers) if (watcher.member === member) this.#tellAll(watcher);
  }

  #tellAll(watcher: Watcher): void {
    for (const [key, { value }] of this.#entries) this.#tell(watcher, key, value);
  }

  #tell(watcher: Watcher, key: string, value: string): void {
    this.#options.clock.after(0, () => {
      if (watcher.member.isConnected && this.#watchers.has(watcher)) watcher.changed(key, value);
    });
  }

  #leave(member: Member): void {
    dropAllOf(member, this.#receivers);
    dropAllOf(member, this.#servers);
    dropAllOf(member, this.#watchers);
    this.#members.delete(member);
    member.close();
  }
}

/** One connection to the hub. */
class Member {
  readonly user: ActorName;
  readonly statusWatchers = new Set<() => void>();
  readonly storeWatchers = new Set<() => void>();
  /** Fails a request under way. */
  readonly underWay = new Set<(failure: BusError) => void>();
  isConnected: boolean;
  reconnects = 0;
  droppedMessages = 0;

  constructor(user: ActorName, isConnected: boolean) {
    this.user = user;
    this.isConnected = isConnected;
  }

  connectionChanged(isConnected: boolean): void {
    this.isConnected = isConnected;
    if (isConnected) this.reconnects += 1;
    for (const changed of this.statusWatchers) changed();
  }

  close(): void {
    this.isConnected = false;
    this.storeWatchers.clear();
    for (const fail of this.underWay) fail(new BusError('closed', 'the bus was closed'));
    for (const changed of this.statusWatchers) changed();
  }
}

function added<T>(set: Set<T>, entry: T): Subscription {
  set.add(entry);
  return { end: () => set.delete(entry) };
}

function dropAllOf<T extends { readonly member: Member }>(member: Member, registry: Set<T>): void {
  for (const entry of registry) if (entry.member === member) registry.delete(entry);
}

function matcher(pattern: string): RegExp {
  const tokens = pattern.split('.').map((token) => (token === '*' ? '[^.]+' : token));
  return new RegExp(`^${tokens.join('\\.')}$`);
}
