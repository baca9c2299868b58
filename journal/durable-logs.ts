import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type EventEnvelope, eventId, type Head, type Heads } from '../domain/envelope.ts';
import type { NodeName } from '../domain/vocabulary.ts';
import type { ArchiveBase } from './archive-base.ts';
import type { EventStore, StoreWrite } from './event-store.ts';
import type { HeadFile } from './head-file.ts';
import { type Damage, type FetchEvents, JournalError, type SignedHead } from './journal.ts';
import { damageAt, readEvent, scanLog, startOf, storedLogs } from './log-scan.ts';
import { Logs } from './logs.ts';
import type { Opened } from './opening.ts';
import { readRange } from './reading.ts';
import { repairDamage, rescan, setAside } from './repair.ts';
import type { SigningKey } from './signing-key.ts';

export interface LogWrite {
  readonly write: StoreWrite;
  /** The event that this write stores, if it does. */
  readonly event?: EventEnvelope;
}

export interface DurableLogsParts {
  readonly directory: string;
  readonly node: NodeName;
  readonly cluster: string;
  readonly store: EventStore;
  readonly headFile: HeadFile;
  readonly key: SigningKey;
  readonly opened: Opened;
}

/**
 * What is durable of all logs, and what is damaged. Knows three states: good, failed (a write went wrong:
 * nothing is acknowledged until the database was opened anew and still holds everything acknowledged,
 * FAULTS 14), and damaged (nothing is appended until it is repaired, FAULTS 19 and 20).
 */
export class DurableLogs {
  logs: Logs;
  /** Of this node's own log. */
  incarnation: number;
  damage: readonly Damage[];
  archived: ArchiveBase | null;
  onStored: (events: readonly EventEnvelope[]) => void = () => undefined;
  onDamage: (damage: Damage) => void = () => undefined;
  readonly #parts: DurableLogsParts;
  #writeError: unknown;
  #recovering: Promise<void> | undefined;
  #signed: SignedHead | undefined;

  constructor(parts: DurableLogsParts) {
    this.#parts = parts;
    this.logs = new Logs(parts.opened.logs);
    this.damage = parts.opened.damage;
    this.archived = parts.opened.archived;
    this.incarnation = Math.max(
      this.logs.latest(parts.node)?.incarnation ?? 1,
      parts.headFile.found?.incarnation ?? 1,
    );
    if (this.damage.length === 0) this.#writeHead();
  }

  get ownHead(): Head {
    const { incarnation } = this;
    return this.logs.of(this.#parts.node, incarnation) ?? { incarnation, sequence: 0, hash: '' };
  }

  /** True between a write error and the recovery from it. */
  get hasFailed(): boolean {
    return this.#writeError !== undefined;
  }

  /** Resolves when durable: first the database, then the head beside it, then everybody else hears of it. */
  async write(writes: readonly LogWrite[]): Promise<void> {
    if (writes.length === 0) return;
    const { store } = this.#parts;
    try {
      await store.write(writes.map(({ write }) => write));
    } catch (error) {
      this.#writeError = error;
      await this.recover();
      // The error left open whether the batch got there: what is really there decides.
      const last = writes.at(-1)?.write;
      if (last?.type === 'put' && (await store.get(last.key)) === last.value) return;
      throw writeFailed(error);
    }
    this.#stored(writes.flatMap(({ event }) => event ?? []));
  }

  /** Durable they are, whatever becomes of the head: the state must know them. Errors: `write-failed`. */
  #stored(events: readonly EventEnvelope[]): void {
    if (events.length === 0) return;
    for (const event of events) this.logs.advance(event);
    this.#signed = undefined;
    try {
      if (events.some(({ node }) => node === this.#parts.node)) this.#writeHead();
    } catch (error) {
      this.#writeError = error;
    }
    this.onStored(events);
    if (this.#writeError !== undefined) throw writeFailed(this.#writeError);
  }

  /**
   * Nothing to do unless a write failed. Errors: `write-failed` while the disk is full or broken; the code of
   * the damage when something acknowledged is gone.
   */
  recover(): Promise<void> {
    if (this.#writeError === undefined) return Promise.resolve();
    this.#recovering ??= this.#recover().finally(() => {
      this.#recovering = undefined;
    });
    return this.#recovering;
  }

  async #recover(): Promise<void> {
    const { store, directory } = this.#parts;
    try {
      probe(directory);
      await store.reopen();
    } catch (error) {
      throw writeFailed(error);
    }
    const { heads, damage } = await storedLogs(store);
    this.addDamage(damage);
    const found = new Logs(heads);
    for (const { node, incarnation, sequence } of this.logs.all()) {
      const there = found.of(node, incarnation)?.sequence ?? 0;
      if (there < sequence) this.addDamage([damageAt('torn-tail', node, incarnation, there + 1, sequence)]);
    }
    this.refuseIfDamaged();
    const left: EventEnvelope[] = [];
    for (const log of heads) {
      const after = this.logs.of(log.node, log.incarnation) ?? { sequence: 0, hash: '' };
      this.addDamage(await scanLog(store, { ...log, after, to: log.sequence }));
      this.refuseIfDamaged();
      for await (const events of readRange(store, { ...log, from: after.sequence + 1, to: log.sequence }))
        left.push(...events);
    }
    this.#writeError = undefined;
    this.#stored(left);
  }

  refuseIfDamaged(): void {
    const [first] = this.damage;
    if (first !== undefined) throw new JournalError(first.code, first.message);
  }

  addDamage(found: readonly Damage[]): void {
    const added = found.filter((one) => !this.damage.some((known) => isSameDamage(known, one)));
    this.damage = [...this.damage, ...added];
    for (const one of added) this.onDamage(one);
  }

  /**
   * Being behind what others have seen of this node's own log is damage (DESIGN 2). What an earlier incarnation
   * lost was accepted when an operator started the next one.
   */
  reportSeen({ incarnation, sequence }: Head): void {
    const { node } = this.#parts;
    if (incarnation < this.incarnation) return;
    const own = this.logs.of(node, incarnation)?.sequence ?? 0;
    const isKnown = this.damage.some(
      (one) => one.node === node && one.incarnation === incarnation && (one.to ?? sequence) >= sequence,
    );
    if (sequence <= own || isKnown) return;
    const code = own === 0 ? 'log-missing' : 'torn-tail';
    const behind = damageAt(code, node, incarnation, own + 1, sequence);
    this.damage = this.damage.filter((one) => !isSameDamage({ ...one, to: sequence }, behind));
    this.addDamage([behind]);
  }

  /** What the last snapshot vouches for, verified once more while the journal already serves. */
  async verifyEarlier(isWanted: () => boolean): Promise<void> {
    const { store, opened } = this.#parts;
    for (const part of opened.earlier) {
      let { after } = part;
      while (after.sequence < part.to && isWanted()) {
        const to = Math.min(part.to, after.sequence + eventsPerStep);
        this.addDamage(await scanLog(store, { ...part, after, to }));
        const last = await readEvent(store, part.node, part.incarnation, to).catch(() => undefined);
        after = { sequence: to, hash: last?.hash };
      }
    }
  }

  async repair(fetch: FetchEvents): Promise<readonly Damage[]> {
    const { store, node, headFile } = this.#parts;
    const damaged = this.damage;
    const { found } = headFile;
    const known = new Map(
      found === undefined || found.sequence === 0 ? [] : [[eventId({ ...found, node }), found.hash]],
    );
    const remaining = await repairDamage(store, damaged, fetch, known);
    const { heads } = await storedLogs(store);
    this.logs = new Logs(heads);
    this.damage = [...remaining, ...(await rescan(store, damaged, this.logs, this.archived))];
    this.incarnation = Math.max(this.incarnation, this.logs.latest(node)?.incarnation ?? 1);
    if (this.damage.length === 0) await this.#acceptHead();
    return this.damage;
  }

  /**
   * Goes on from the last event of this node's log that is good, and with it everything before. What lies
   * behind it is moved aside: other nodes' copies of it, if there are any, come back by replication.
   */
  async startIncarnation(atLeast: number): Promise<void> {
    const { store, node } = this.#parts;
    for (const log of this.logs.all().filter((one) => one.node === node)) {
      const [first] = await scanLog(store, { ...log, after: startOf(this.archived, log), to: log.sequence });
      if (first !== undefined) await setAside(store, { ...log, from: first.from, to: log.sequence });
    }
    const { heads } = await storedLogs(store);
    this.logs = new Logs(heads);
    this.damage = this.damage.filter((one) => one.node !== node);
    this.incarnation = Math.max(this.incarnation + 1, atLeast);
    await this.#acceptHead();
  }

  async #acceptHead(): Promise<void> {
    this.#signed = undefined;
    this.#writeHead();
    await this.syncHead();
  }

  #writeHead(): void {
    const { node, cluster, headFile } = this.#parts;
    const { incarnation, sequence, hash } = this.ownHead;
    headFile.write({ node, cluster, incarnation, sequence, hash });
  }

  signedHead(): SignedHead {
    const { node, key } = this.#parts;
    const { incarnation, sequence, hash } = this.ownHead;
    const { [node]: _, ...seen }: Heads = this.logs.latestOfAll();
    this.#signed ??= key.signHead({ node, incarnation, sequence, hash, seen });
    return this.#signed;
  }

  /** Does nothing while damaged: the head that was found is the evidence. Errors: `write-failed`. */
  async syncHead(): Promise<void> {
    const { headFile } = this.#parts;
    if (this.damage.length > 0) return;
    try {
      headFile.writeSigned(this.signedHead());
      await headFile.sync();
    } catch (error) {
      this.#writeError = error;
      throw writeFailed(error);
    }
  }
}

const isSameDamage = (a: Damage, b: Damage): boolean =>
  a.code === b.code &&
  a.node === b.node &&
  a.incarnation === b.incarnation &&
  a.from === b.from &&
  a.to === b.to;

const writeFailed = (error: unknown): JournalError =>
  error instanceof JournalError && error.code === 'write-failed'
    ? error
    : new JournalError('write-failed', `nothing was acknowledged: ${(error as Error).message}`, {
        cause: error,
      });

/** Of the verification in the background: how long closing may have to wait for it. */
const eventsPerStep = 10_000;

const probeBytes = 256 * 1024;

/** Fails while there is no room: then the database stays open for reading rather than failing to reopen. */
function probe(directory: string): void {
  const path = join(directory, 'probe');
  const file = openSync(path, 'w', 0o600);
  try {
    writeSync(file, Buffer.alloc(probeBytes));
    fsyncSync(file);
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
