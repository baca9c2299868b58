import {
  ErrorCode,
  type KV,
  type KvEntry,
  type NatsConnection,
  type NatsError,
  type QueuedIterator,
} from 'nats';
import { BusError, type Subscription } from './bus.ts';
import type { LastingConnection } from './nats-connection.ts';
import { ensureStream, findStream, jetStreamMsMax, streamManager, viewsStream } from './nats-streams.ts';
import { bucketName, type ClusterName } from './subjects.ts';
import type { KeyValue, KeyValueEntry } from './wire.ts';

/** How often a present store is looked at, and an absent one looked for. */
const checkMs = 2000;
/** JetStream's codes for a compare-and-set that came too late, and for a stream that is not there. */
const wrongLastSequence = 10071;
const streamNotFound = 10059;

/**
 * The KV bucket of the views. It is opened again after every reconnect and whenever it turns out to be another one:
 * a watcher of the old one would wait for ever behind a sequence that the new one has not reached.
 */
export class NatsStore implements KeyValue {
  readonly #connection: LastingConnection;
  readonly #cluster: ClusterName;
  readonly #creates: boolean;
  readonly #watchers = new Set<Watcher>();
  readonly #openers = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;
  #open: Opened | undefined;
  /** Counts attempts to open: only the last one has a say. */
  #attempt = 0;

  constructor(connection: LastingConnection, cluster: ClusterName, creates: boolean) {
    this.#connection = connection;
    this.#cluster = cluster;
    this.#creates = creates;
    connection.whenOnline((nats) => void this.#reopen(nats));
    connection.watch(() => {
      if (connection.online === undefined) this.#lost();
    });
    this.#timer = setInterval(() => void this.#check(), checkMs);
    this.#timer.unref();
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  async get(key: string): Promise<KeyValueEntry | undefined> {
    const entry = await this.#use((kv) => kv.get(key));
    return entry === null ? undefined : { value: entry.string(), revision: entry.revision };
  }

  set(key: string, value: string, revision: number): Promise<boolean> {
    return this.#use((kv) =>
      kv.put(key, value, { previousSeq: revision }).then(
        () => true,
        (error: NatsError) => {
          if (error.api_error?.err_code === wrongLastSequence) return false;
          throw error;
        },
      ),
    );
  }

  watch(changed: (key: string, value: string) => void): Subscription {
    const watcher = new Watcher(changed, () => this.#lost());
    this.#watchers.add(watcher);
    if (this.#open !== undefined) watcher.start(this.#open.kv);
    return {
      end: () => {
        this.#watchers.delete(watcher);
        watcher.stop();
      },
    };
  }

  whenOpened(run: () => void): Subscription {
    this.#openers.add(run);
    if (this.#open !== undefined) run();
    return { end: () => this.#openers.delete(run) };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#attempt += 1;
    this.#lost();
    this.#openers.clear();
    this.#watchers.clear();
  }

  async #use<T>(use: (kv: KV) => Promise<T>): Promise<T> {
    const open = this.#open;
    if (open === undefined) throw new BusError('disconnected', 'nothing keeps views now');
    return use(open.kv).catch((error: NatsError) => {
      const refused =
        error.code === ErrorCode.MaxPayloadExceeded ||
        (error.api_error !== undefined && error.api_error.err_code !== streamNotFound);
      if (refused) this.#connection.report(`a view was refused: ${error.message}`);
      else if (this.#open === open) this.#lost();
      throw error;
    });
  }

  async #reopen(nats: NatsConnection): Promise<void> {
    this.#attempt += 1;
    const attempt = this.#attempt;
    const opened = await this.#bind(nats).catch((error: unknown) => {
      this.#connection.report(`no views: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    });
    if (attempt !== this.#attempt) return;
    if (opened === undefined) return this.#lost();
    this.#open = opened;
    for (const watcher of this.#watchers) watcher.start(opened.kv);
    for (const run of this.#openers) run();
    this.#connection.changed();
  }

  async #bind(nats: NatsConnection): Promise<Opened | undefined> {
    const jsm = await streamManager(nats);
    const config = viewsStream(this.#cluster);
    const info = this.#creates ? await ensureStream(jsm, config) : await findStream(jsm, config.name);
    if (info === undefined) return undefined;
    const js = nats.jetstream({ checkAPI: false, timeout: jetStreamMsMax });
    const kv = await js.views.kv(bucketName(this.#cluster), { bindOnly: true, allow_direct: false });
    return { kv, created: info.created };
  }

  async #check(): Promise<void> {
    const nats = this.#connection.online;
    if (nats === undefined) return;
    const open = this.#open;
    if (open === undefined) return this.#reopen(nats);
    const created = await streamManager(nats)
      .then((jsm) => findStream(jsm, viewsStream(this.#cluster).name))
      .then(
        (stream) => stream?.created,
        () => open.created,
      );
    if (this.#open === open && created !== open.created) await this.#reopen(nats);
  }

  #lost(): void {
    if (this.#open === undefined) return;
    this.#open = undefined;
    for (const watcher of this.#watchers) watcher.stop();
    this.#connection.changed();
  }
}

interface Opened {
  readonly kv: KV;
  /** When the stream was made: tells a new one from the old one. */
  readonly created: string;
}

/** Follows one opening of the bucket after the other. */
class Watcher {
  readonly #changed: (key: string, value: string) => void;
  readonly #failed: () => void;
  #entries: QueuedIterator<KvEntry> | undefined;
  #starts = 0;

  constructor(changed: (key: string, value: string) => void, failed: () => void) {
    this.#changed = changed;
    this.#failed = failed;
  }

  start(kv: KV): void {
    this.stop();
    const start = this.#starts;
    this.#follow(kv, start).catch(() => {
      if (start === this.#starts) this.#failed();
    });
  }

  stop(): void {
    this.#starts += 1;
    this.#entries?.stop();
    this.#entries = undefined;
  }

  async #follow(kv: KV, start: number): Promise<void> {
    const entries = await kv.watch();
    if (start !== this.#starts) return entries.stop();
    this.#entries = entries;
    for await (const entry of entries) {
      if (start !== this.#starts) return;
      if (entry.operation === 'PUT') this.#changed(entry.key, entry.string());
    }
    if (start === this.#starts) throw new Error('the watch ended');
  }
}
