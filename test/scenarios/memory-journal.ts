import { type EventEnvelope, formatSeen, type Head, type Heads } from '../../domain/envelope.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type {
  Damage,
  EventDraft,
  EventRange,
  Journal,
  LogHead,
  Received,
  SignedHead,
  Snapshot,
} from '../../journal/journal.ts';
import { stamp } from '../../journal/record.ts';

/** A journal whose disk is an array that outlives its node: what was appended is there after a kill. */
export class MemoryJournal implements Journal {
  readonly node: NodeName;
  readonly incarnation = 1;
  readonly publicKey = '00'.repeat(32);
  readonly verified = Promise.resolve();
  readonly #now: () => number;
  readonly #logs = new Map<string, EventEnvelope[]>();
  readonly #snapshots = new Map<string, Snapshot>();
  #told: Heads = {};
  #listeners = new Set<(events: readonly EventEnvelope[]) => void>();

  constructor(node: NodeName, now: () => number) {
    this.node = node;
    this.#now = now;
  }

  /** As a new process finds it: the same events, nobody listening. */
  reopen(): void {
    this.#listeners = new Set();
    this.#told = {};
  }

  archived(): null {
    return null;
  }

  async append(drafts: readonly EventDraft[]): Promise<readonly EventEnvelope[]> {
    const stored = drafts.map((draft) => this.#append(draft));
    for (const listener of this.#listeners) listener(stored);
    return stored;
  }

  #append(draft: EventDraft): EventEnvelope {
    const log = this.#log(this.node);
    const { [this.node]: _own, ...others } = this.heads();
    const changed = Object.entries(others).filter(([node, head]) => this.#told[node]?.hash !== head.hash);
    const { event } = stamp(draft, {
      cluster: 'scenario',
      node: this.node,
      incarnation: 1,
      sequence: log.length + 1,
      previous: log.at(-1)?.hash ?? '',
      seen: formatSeen(Object.fromEntries(changed)),
      time: new Date(this.#now()).toISOString(),
    });
    this.#told = others;
    log.push(event);
    return event;
  }

  async receive(events: readonly EventEnvelope[]): Promise<Received> {
    const stored = events.filter((event) => {
      const log = this.#log(event.node);
      if (event.node === this.node || event.sequence !== log.length + 1) return false;
      log.push(event);
      return true;
    });
    for (const listener of this.#listeners) listener(stored);
    return { stored, duplicates: events.length - stored.length, gaps: [], conflicts: [], rejected: [] };
  }

  async *read({ node, from, to }: EventRange): AsyncIterable<readonly EventEnvelope[]> {
    yield this.#log(node).slice(from - 1, to);
  }

  async *replay(): AsyncIterable<readonly EventEnvelope[]> {
    for (const [, log] of [...this.#logs].sort(([a], [b]) => (a < b ? -1 : 1))) yield [...log];
  }

  async ofCommand(id: string): Promise<readonly EventEnvelope[]> {
    return [...this.#logs.values()]
      .flat()
      .filter(({ command, data }) => command === id || data['commandId'] === id);
  }

  heads(): Heads {
    const heads: Record<string, Head> = {};
    for (const [node, log] of this.#logs) {
      const last = log.at(-1);
      if (last) heads[node] = { incarnation: 1, sequence: last.sequence, hash: last.hash };
    }
    return heads;
  }

  logs(): readonly LogHead[] {
    return Object.entries(this.heads()).map(([node, head]) => ({ node, ...head }));
  }

  onStored(listener: (events: readonly EventEnvelope[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #log(node: string): EventEnvelope[] {
    const log = this.#logs.get(node) ?? [];
    this.#logs.set(node, log);
    return log;
  }

  async attest(): Promise<void> {}
  reportSeen(): void {}
  /** Nothing is signed in memory: nobody attests it. */
  signedHead(): SignedHead {
    const { incarnation, publicKey: key } = this;
    const head = this.heads()[this.node] ?? { sequence: 0, hash: '' };
    return {
      node: this.node,
      incarnation,
      sequence: head.sequence,
      hash: head.hash,
      seen: {},
      key,
      signature: '',
    };
  }
  signedHeads(): readonly SignedHead[] {
    return [];
  }
  async syncHead(): Promise<void> {}
  async putSnapshot(name: string, snapshot: Snapshot, outdated: readonly string[] = []): Promise<void> {
    await this.removeSnapshots(outdated);
    this.#snapshots.set(name, snapshot);
  }
  async getSnapshot(name: string): Promise<Snapshot | undefined> {
    return this.#snapshots.get(name);
  }
  async snapshotNames(): Promise<readonly string[]> {
    return [...this.#snapshots.keys()].sort();
  }
  async removeSnapshots(names: readonly string[]): Promise<void> {
    for (const name of names) this.#snapshots.delete(name);
  }
  damage(): readonly Damage[] {
    return [];
  }
  async repair(): Promise<readonly Damage[]> {
    return [];
  }
  async startIncarnation(): Promise<void> {}
  onDamage(): () => void {
    return () => {};
  }
  async close(): Promise<void> {}
}
