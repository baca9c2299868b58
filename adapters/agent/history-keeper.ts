import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { Journal } from '../../journal/journal.ts';
import { orderedEvents } from '../../journal/ordered.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import { archivedCut, type Change, type Cut, History, toEvent } from './history.ts';
import type { AgentLog } from './ports.ts';

/**
 * Keeps a history between the journal and memory (DESIGN 4).
 *
 * - A start goes on from the newest snapshot that can be trusted, and folds what lies behind it.
 * - Snapshots are taken at stable cuts (domain/causal-base.ts), one for each few thousand events; the older they are
 *   the fewer are kept. Each is the fold of exactly the events up to its heads, by exactly this code: one that another
 *   version of the fold has made, that does not verify, or whose heads are not in the journal, is thrown away.
 * - An event that belongs before what is in memory is rare: its writer was cut off for a long time. Then everything is
 *   folded anew from an earlier snapshot, a batch at a time; the node goes on living meanwhile, and decides nothing.
 */
export interface KeeperOptions {
  readonly journal: Pick<
    Journal,
    | 'logs'
    | 'read'
    | 'archived'
    | 'damage'
    | 'snapshotNames'
    | 'getSnapshot'
    | 'putSnapshot'
    | 'removeSnapshots'
  >;
  readonly clock: Clock;
  readonly log: AgentLog;
  readonly changed: (change: Change) => void;
}

/** A burst of events is over before they are cut off. */
const quietMs = 250;
/** Windows between two snapshots, while a long history is folded in one go. */
const windowsAtOnce = 32;

export class HistoryKeeper {
  readonly #history: History;
  readonly #options: KeeperOptions;
  /** What was stored while the past is folded anew. */
  #missed: EventEnvelope[] | null = null;
  #refolding: Promise<void> | undefined;
  #cutting: Timer | null = null;
  /** Length of the newest snapshot. */
  #snapshotAt = 0;
  #closed = false;

  constructor(history: History, options: KeeperOptions) {
    this.#history = history;
    this.#options = options;
  }

  /** Resolves when what is stored is folded; undefined where it is already. Nothing is decided before. */
  get settled(): Promise<void> | undefined {
    return this.#refolding;
  }

  async load(): Promise<void> {
    this.#history.become(await this.#fromJournal());
  }

  stored(events: readonly EventEnvelope[]): void {
    if (this.#missed !== null) {
      this.#missed.push(...events);
      return;
    }
    const change = this.#history.add(events);
    if (change === undefined) {
      this.#foldAnew(events);
      return;
    }
    this.#options.changed(change);
    if (this.#history.isLong)
      this.#cutting ??= this.#options.clock.after(quietMs, () => {
        this.#cutting = null;
        if (this.#missed === null && !this.#closed) this.#cut();
      });
  }

  /** The journal was repaired: its past may be another one, so nothing derived from it counts. */
  async repaired(): Promise<void> {
    await this.#refolding;
    const { journal } = this.#options;
    await journal.removeSnapshots(await journal.snapshotNames());
    this.#foldAnew([]);
    await this.#refolding;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cutting?.cancel();
    await this.#refolding;
  }

  #foldAnew(late: readonly EventEnvelope[]): void {
    this.#missed = [...late];
    this.#refolding = this.#refold()
      .catch((error: unknown) => {
        this.#options.log.error({ error: String(error) }, 'the past could not be folded anew');
      })
      .finally(() => {
        this.#refolding = undefined;
      });
  }

  async #refold(): Promise<void> {
    const before = this.#history.state;
    try {
      for (;;) {
        const fresh = await this.#fromJournal();
        const missed = this.#missed ?? [];
        if (fresh.add(missed) === undefined) continue;
        this.#history.become(fresh);
        this.#missed = null;
        const events = missed.map(toEvent);
        this.#options.changed({ before, after: this.#history.state, events, isRefolded: true });
        return;
      }
    } finally {
      this.#missed = null;
    }
  }

  /** From the newest snapshot that everything in the journal follows on; else from the first event that is not archived. */
  async #fromJournal(): Promise<History> {
    const { journal } = this.#options;
    const names = [...(await journal.snapshotNames())].reverse();
    for (const name of names) {
      const cut = await this.#cutOf(name);
      const history = cut && new History(cut, this.#history.window);
      if (history && (await this.#loadInto(history, cut.base.length))) return history;
      await journal.removeSnapshots([name]);
    }
    const archived = journal.archived();
    const cut = archived === null ? undefined : archivedCut(archived);
    const history = new History(cut, this.#history.window);
    await this.#loadInto(history, cut?.base.length ?? 0);
    return history;
  }

  async #loadInto(history: History, snapshotAt: number): Promise<boolean> {
    const { journal, log } = this.#options;
    this.#snapshotAt = snapshotAt;
    const damaged = (error: unknown) =>
      log.error(
        { damage: journal.damage(), error: String(error) },
        'the journal is damaged: nothing is decided here until it is repaired',
      );
    for await (const batch of orderedEvents(journal, history.lastCut.base, damaged)) {
      if (this.#closed || !history.load(batch)) return this.#closed;
      await this.#keep(history.lastCut, windowsAtOnce);
    }
    await this.#keep(history.lastCut, 1);
    history.begin();
    return true;
  }

  async #cutOf(name: string): Promise<Cut | undefined> {
    const { journal } = this.#options;
    const snapshot = await journal.getSnapshot(name).catch(() => undefined);
    if (snapshot === undefined) return undefined;
    const body = Body.safeParse(JSON.parse(snapshot.body));
    if (!body.success || body.data.fold !== foldVersion) return undefined;
    const { base, standing } = body.data as unknown as Pick<Cut, 'base' | 'standing'>;
    const cut = { base, standing, heads: snapshot.heads };
    return (await this.#isInJournal(cut)) ? cut : undefined;
  }

  async #isInJournal({ base, heads }: Cut): Promise<boolean> {
    const { journal } = this.#options;
    for (const [node, { incarnation, sequence, hash }] of Object.entries(heads)) {
      const stored = await firstOf(journal.read({ node, incarnation, from: sequence, to: sequence }));
      if (stored?.hash !== hash) return false;
    }
    // Of an earlier incarnation nothing may have come behind the cut: it belongs before it.
    return journal.logs().every(({ node, incarnation, sequence }) => {
      const ends = base.ends[node] ?? [];
      const end = ends.find((one) => one.incarnation === incarnation)?.sequence ?? 0;
      return incarnation >= (ends.at(-1)?.incarnation ?? 0) || sequence === end;
    });
  }

  #cut(): void {
    const cut = this.#history.cut();
    if (cut === undefined) return;
    this.#keep(cut, 1).catch((error: unknown) => {
      this.#options.log.warn({ error: String(error) }, 'no snapshot was stored: the next start folds more');
    });
  }

  async #keep({ base, heads, standing }: Cut, windows: number): Promise<void> {
    const { journal } = this.#options;
    const isFar = base.length - this.#snapshotAt >= windows * this.#history.window.min;
    if (!isFar || journal.damage().length > 0) return;
    this.#snapshotAt = base.length;
    const body = JSON.stringify({ fold: foldVersion, base, standing });
    const outdated = thinned(await journal.snapshotNames(), base.length);
    await journal.putSnapshot(nameOf(base.length), { heads, body }, outdated);
  }
}

const Body = z.looseObject({ fold: z.string() });

const nameOf = (length: number): string => `standing-${length.toString().padStart(lengthDigits, '0')}`;
const lengthDigits = 12;
const lengthOf = (name: string): number => Number(name.slice(-lengthDigits));

/** Which go when another one is taken: of two neighbours that are closer than half their age the older one. */
function thinned(names: readonly string[], length: number): string[] {
  let next = length;
  return [...names].reverse().filter((name) => {
    const at = lengthOf(name);
    const isClose = next - at < (length - at) / 2 && next !== length;
    if (!isClose || at >= length) next = at;
    return isClose || at >= length;
  });
}

async function firstOf(batches: AsyncIterable<readonly EventEnvelope[]>): Promise<EventEnvelope | undefined> {
  try {
    for await (const [event] of batches) return event;
  } catch {
    // What cannot be read is not what the snapshot stands on.
  }
  return undefined;
}

/**
 * The code that folds: a snapshot is of use to nothing else. A hash of its files, so that nobody has to remember to
 * raise a version when a recipe or the shape of the state changes.
 */
const foldVersion = hashOf(['../../domain', '../../projections']);

function hashOf(folders: readonly string[]): string {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const path = fileURLToPath(new URL(folder, import.meta.url));
    const files = readdirSync(path, { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => /(?<!\.d)\.[jt]s$/.test(name)).sort())
      hash.update(file).update(readFileSync(join(path, file)));
  }
  return hash.digest('hex');
}
