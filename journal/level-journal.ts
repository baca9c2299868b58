import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { comparePositions, type EventEnvelope, type Head, type Heads } from '../domain/envelope.ts';
import type { NodeName } from '../domain/vocabulary.ts';
import { type ArchiveBase, baseWrite, signBase, type UnsignedBase } from './archive-base.ts';
import { eventsOfCommand, indexWrites } from './command-index.ts';
import { type DirectoryLock, lockDirectory } from './directory-lock.ts';
import { DurableLogs, type LogWrite } from './durable-logs.ts';
import { EventStore } from './event-store.ts';
import { GroupCommit } from './group-commit.ts';
import { HeadFile, SignedHeadSchema } from './head-file.ts';
import {
  type Damage,
  type EventDraft,
  type EventRange,
  type FetchEvents,
  type Journal,
  JournalError,
  type LogHead,
  type Received,
  type SignedHead,
  type Snapshot,
} from './journal.ts';
import { allSignedHeads, ownerKey, signedHeadKey } from './keys.ts';
import { readEvent } from './log-scan.ts';
import { examine } from './opening.ts';
import { readRange, replayLogs } from './reading.ts';
import { receiveEvents } from './receiving.ts';
import { seal, unseal } from './record.ts';
import { removeArchived } from './repair.ts';
import { isSignatureGood, openSigningKey, type SigningKey } from './signing-key.ts';
import { readSnapshot, snapshotNames, snapshotRemoval, snapshotWrites } from './snapshots.ts';
import { Stamper } from './stamper.ts';

/**
 * The journal on LevelDB. Its directory: `events/` (the database), `head` (head-file.ts), `signing-key`,
 * `lock`. What holds whatever happens (FAULTS I9):
 *
 * - an append is acknowledged only after its batch is synced and the head beside the database says so;
 * - every event is stamped upon the one before it; when a write fails, everything stamped behind it fails too;
 * - damage found at open or later makes `append` refuse until it is repaired.
 */
export interface LevelJournalOptions {
  readonly directory: string;
  readonly node: NodeName;
  readonly cluster: string;
  /** Milliseconds since 1970, for the `time` of events. */
  readonly now?: () => number;
  /**
   * Heads of the logs as far as the state that decides has folded them: what a new event says it has seen.
   * Without it: everything stored. A fold that lets events wait for their causes must name its own heads, or
   * its events would wait with them.
   */
  readonly seen?: () => Heads;
}

const headSyncMs = 1000;

/** Errors: `locked`. Damage does not stop the opening: `damage()` tells. */
export async function openLevelJournal(options: LevelJournalOptions): Promise<LevelJournal> {
  const { directory, node, cluster, now = Date.now } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lock = lockDirectory(directory);
  let headFile: HeadFile | undefined;
  let store: EventStore | undefined;
  try {
    const key = openSigningKey(join(directory, 'signing-key'));
    headFile = new HeadFile(join(directory, 'head'));
    store = await EventStore.open(join(directory, 'events'));
    await claim(store, headFile, options);
    const opened = await examine(store, headFile, { node, publicKey: key.publicKey });
    const durable = new DurableLogs({ directory, node, cluster, store, headFile, key, opened });
    await durable.syncHead();
    syncDirectory(directory);
    const attested = await storedSignedHeads(store);
    const seen = options.seen ?? (() => durable.logs.latestOfAll());
    return new LevelJournal({ node, cluster, now, seen, lock, key, headFile, store, durable, attested });
  } catch (error) {
    await store?.close();
    headFile?.close();
    lock.release();
    throw error;
  }
}

interface Parts {
  readonly node: NodeName;
  readonly cluster: string;
  readonly now: () => number;
  readonly seen: () => Heads;
  readonly lock: DirectoryLock;
  readonly key: SigningKey;
  readonly headFile: HeadFile;
  readonly store: EventStore;
  readonly durable: DurableLogs;
  readonly attested: Map<string, SignedHead>;
}

export class LevelJournal implements Journal {
  readonly node: NodeName;
  readonly publicKey: string;
  readonly verified: Promise<void>;
  readonly #parts: Parts;
  readonly #stamper: Stamper;
  readonly #commits: GroupCommit<LogWrite>;
  readonly #headTimer: NodeJS.Timeout;
  readonly #storedListeners = new Set<(events: readonly EventEnvelope[]) => void>();
  readonly #damageListeners = new Set<(damage: Damage) => void>();
  #receiving: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(parts: Parts) {
    const { durable } = parts;
    this.#parts = parts;
    this.node = parts.node;
    this.publicKey = parts.key.publicKey;
    this.#stamper = new Stamper({
      ...parts,
      ownHead: () => durable.ownHead,
      earlier: () => durable.logs.before(parts.node, durable.incarnation),
    });
    this.#commits = new GroupCommit(
      (writes) => durable.write(writes),
      () => this.#stamper.restart(),
    );
    durable.onStored = (events) => {
      for (const listener of this.#storedListeners) listener(events);
    };
    durable.onDamage = (damage) => {
      for (const listener of this.#damageListeners) listener(damage);
    };
    this.#headTimer = setInterval(() => {
      // Where that fails, the next append has to recover before it is acknowledged.
      if (parts.headFile.isDirty) durable.syncHead().catch(() => undefined);
    }, headSyncMs).unref();
    this.verified = durable.verifyEarlier(() => !this.#isClosed);
  }

  get incarnation(): number {
    return this.#parts.durable.incarnation;
  }

  async append(drafts: readonly EventDraft[]): Promise<readonly EventEnvelope[]> {
    this.#parts.durable.refuseIfDamaged();
    // Stamped in the same turn wherever possible: `seen` is then what the decision knew.
    if (this.#isClosed || this.#parts.durable.hasFailed) await this.#ready();
    const writes = this.#stamper.stamp(drafts);
    await this.#commits.add(indexed(writes));
    return writes.map(({ event }) => event);
  }

  async #ready(): Promise<void> {
    if (this.#isClosed) throw new JournalError('write-failed', 'the journal is closed');
    await this.#parts.durable.recover();
  }

  receive(events: readonly EventEnvelope[]): Promise<Received> {
    return this.#inTurn(async () => {
      await this.#ready();
      const { store, attested, durable } = this.#parts;
      const { writes, received } = await receiveEvents(events, {
        own: { node: this.node, incarnation: durable.incarnation },
        logs: durable.logs.copy(),
        store,
        attested,
      });
      await this.#commits.add(indexed(writes));
      return received;
    });
  }

  /** What looks at stored events before it writes is done one after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#receiving.then(work);
    this.#receiving = turn.catch(() => undefined);
    return turn;
  }

  attest(head: SignedHead, keys: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      const { attested, store } = this.#parts;
      const { node, incarnation, sequence } = head;
      if (!keys.includes(head.key) || !isSignatureGood(head))
        throw new JournalError('bad-signature', `the head of ${node} is not signed by a key of ${node}`);
      const stored = await readEvent(store, node, incarnation, sequence).catch(() => undefined);
      if (stored !== undefined && stored.hash !== head.hash)
        throw new JournalError(
          'bad-chain',
          `${node} signed another event as ${stored.id} than the one stored here`,
        );
      const own = head.seen[this.node];
      if (own !== undefined) this.reportSeen(own);
      const before = attested.get(node);
      if (before !== undefined && comparePositions(before, head) >= 0) return;
      await this.#commits.add([
        { write: { type: 'put', key: signedHeadKey(node), value: seal(JSON.stringify(head)) } },
      ]);
      attested.set(node, head);
    });
  }

  reportSeen(head: Head): void {
    this.#parts.durable.reportSeen(head);
  }

  read(range: EventRange): AsyncIterable<readonly EventEnvelope[]> {
    const head = this.#parts.durable.logs.of(range.node, range.incarnation);
    return readRange(this.#parts.store, { ...range, to: Math.min(range.to, head?.sequence ?? 0) });
  }

  replay(after: Heads = {}): AsyncIterable<readonly EventEnvelope[]> {
    return replayLogs(this.#parts.store, this.logs(), after, this.archived());
  }

  archived(): ArchiveBase | null {
    return this.#parts.durable.archived;
  }

  /** The base as this node signs it; nothing is changed yet. */
  signBase(base: UnsignedBase): ArchiveBase {
    return signBase(base, this.#parts.key);
  }

  /**
   * Takes the events up to the floors out of the database: the caller has them durable elsewhere, with the base.
   * Errors: `write-failed`, the code of a damage.
   */
  archive(base: ArchiveBase): Promise<void> {
    return this.#inTurn(async () => {
      const { store, durable } = this.#parts;
      durable.refuseIfDamaged();
      await this.#commits.idle();
      await store.write([baseWrite(base)]);
      durable.archived = base;
      for (const floor of base.floors) await removeArchived(store, floor);
    });
  }

  ofCommand(id: string): Promise<readonly EventEnvelope[]> {
    return eventsOfCommand(this.#parts.store, id);
  }

  heads(): Heads {
    return this.#parts.durable.logs.latestOfAll();
  }

  logs(): readonly LogHead[] {
    return this.#parts.durable.logs.all();
  }

  signedHead(): SignedHead {
    return this.#parts.durable.signedHead();
  }

  signedHeads(): readonly SignedHead[] {
    return [this.signedHead(), ...this.#parts.attested.values()];
  }

  syncHead(): Promise<void> {
    return this.#parts.durable.syncHead();
  }

  async putSnapshot(name: string, snapshot: Snapshot, outdated: readonly string[] = []): Promise<void> {
    await this.#ready();
    const writes = [...outdated.flatMap(snapshotRemoval), ...snapshotWrites(name, snapshot)];
    await this.#commits.add(writes.map((write) => ({ write })));
  }

  async removeSnapshots(names: readonly string[]): Promise<void> {
    await this.#ready();
    await this.#commits.add(names.flatMap(snapshotRemoval).map((write) => ({ write })));
  }

  snapshotNames(): Promise<readonly string[]> {
    return snapshotNames(this.#parts.store);
  }

  async getSnapshot(name: string): Promise<Snapshot | undefined> {
    const snapshot = await readSnapshot(this.#parts.store, name);
    const heads = this.heads();
    const isAhead = Object.entries(snapshot?.heads ?? {}).some(
      ([node, head]) => heads[node] === undefined || comparePositions(heads[node], head) < 0,
    );
    return isAhead ? undefined : snapshot;
  }

  damage(): readonly Damage[] {
    return this.#parts.durable.damage;
  }

  repair(fetch: FetchEvents): Promise<readonly Damage[]> {
    return this.#inTurn(async () => {
      await this.#commits.idle();
      const remaining = await this.#parts.durable.repair(fetch);
      this.#stamper.restart();
      return remaining;
    });
  }

  startIncarnation(atLeast = 0): Promise<void> {
    return this.#inTurn(async () => {
      await this.#commits.idle();
      await this.#parts.durable.startIncarnation(atLeast);
      this.#stamper.restart();
    });
  }

  onStored(listener: (events: readonly EventEnvelope[]) => void): () => void {
    this.#storedListeners.add(listener);
    return () => this.#storedListeners.delete(listener);
  }

  onDamage(listener: (damage: Damage) => void): () => void {
    this.#damageListeners.add(listener);
    return () => this.#damageListeners.delete(listener);
  }

  /** Resolves when everything on its way is durable and the directory is free for the next. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { durable, store, headFile, lock } = this.#parts;
    clearInterval(this.#headTimer);
    await this.#receiving;
    await this.#commits.idle();
    await this.verified;
    try {
      await durable.syncHead();
    } finally {
      await store.close();
      headFile.close();
      lock.release();
    }
  }
}

/** The events last: whether a batch got to the disk is told by its last write. */
const indexed = (writes: readonly Required<LogWrite>[]): LogWrite[] => [
  ...writes.flatMap(({ event }) => indexWrites(event).map((write) => ({ write }))),
  ...writes,
];

/** A journal is one node's for ever. Errors: `bad-chain`. */
async function claim(store: EventStore, { found }: HeadFile, options: LevelJournalOptions): Promise<void> {
  const { directory, node, cluster } = options;
  const stored = await store.get(ownerKey).catch(() => undefined);
  const owner = found?.node ?? stored?.split('/')[0] ?? node;
  if (owner !== node)
    throw new JournalError('bad-chain', `${directory} is the journal of ${owner}, not of ${node}`);
  if (stored === undefined) await store.write([{ type: 'put', key: ownerKey, value: `${node}/${cluster}` }]);
}

async function storedSignedHeads(store: EventStore): Promise<Map<string, SignedHead>> {
  const heads = new Map<string, SignedHead>();
  for await (const batch of store.values(allSignedHeads))
    for (const value of batch) {
      const head = SignedHeadSchema.safeParse(JSON.parse(unseal(value) ?? 'null')).data;
      if (head !== undefined) heads.set(head.node, head);
    }
  return heads;
}

/** The names of the files just made must survive a power failure too. */
function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r');
  fsyncSync(handle);
  closeSync(handle);
}
