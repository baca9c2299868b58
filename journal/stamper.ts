import { type EventEnvelope, formatSeen, type Head, type Heads } from '../domain/envelope.ts';
import type { NodeName } from '../domain/vocabulary.ts';
import type { LogWrite } from './durable-logs.ts';
import type { EventDraft } from './journal.ts';
import { eventKey } from './keys.ts';
import { stamp } from './record.ts';

export interface StamperOptions {
  readonly node: NodeName;
  readonly cluster: string;
  readonly now: () => number;
  /** Heads of the logs that the writer of the next event has seen. */
  readonly seen: () => Heads;
  /** Where this node's log durably stands. */
  readonly ownHead: () => Head;
  /** The last event of this node's earlier incarnations. */
  readonly earlier: () => Head | undefined;
}

const noHeads: Heads = {};

/** Puts each event upon the one before it, while those before are still on their way to the disk. */
export class Stamper {
  readonly #options: StamperOptions;
  #head: Head;
  /** Heads of the others as the event before told them. */
  #told: Heads = noHeads;
  #time = { milliseconds: Number.NaN, text: '' };

  constructor(options: StamperOptions) {
    this.#options = options;
    this.#head = options.ownHead();
  }

  /** All of them or, where one is no JSON, none. Errors: TypeError. */
  stamp(drafts: readonly EventDraft[]): Required<LogWrite>[] {
    const before = [this.#head, this.#told] as const;
    try {
      return drafts.map((draft) => this.#stamp(draft));
    } catch (error) {
      [this.#head, this.#told] = before;
      throw error;
    }
  }

  /** What was stamped and is not durable will never be. */
  restart(): void {
    this.#head = this.#options.ownHead();
    this.#told = noHeads;
  }

  #stamp(draft: EventDraft): { write: { type: 'put'; key: string; value: string }; event: EventEnvelope } {
    const { node, cluster, earlier } = this.#options;
    const { incarnation, sequence, hash } = this.#head;
    const continued = sequence === 0 ? earlier() : undefined;
    const { event, record } = stamp(draft, {
      cluster,
      node,
      incarnation,
      sequence: sequence + 1,
      previous: continued?.hash ?? hash,
      seen: this.#seen(continued),
      time: this.#timeText(),
    });
    this.#head = event;
    return { write: { type: 'put', key: eventKey(event), value: record }, event };
  }

  /** Heads that changed since the event before; the first event of an incarnation names what it continues. */
  #seen(continued: Head | undefined): string {
    const { node, seen } = this.#options;
    const heads = seen();
    const changed: Record<string, Head> = continued === undefined ? {} : { [node]: continued };
    for (const [other, head] of Object.entries(heads))
      if (other !== node && this.#told[other]?.hash !== head.hash) changed[other] = head;
    this.#told = heads;
    return formatSeen(changed);
  }

  #timeText(): string {
    const milliseconds = this.#options.now();
    if (milliseconds !== this.#time.milliseconds)
      this.#time = { milliseconds, text: new Date(milliseconds).toISOString() };
    return this.#time.text;
  }
}
