import type { WallTime } from '../../domain/vocabulary.ts';
import type { ObservationRecord, ReplicaRecord } from '../block/replica-record.ts';
import type { Observation } from './control-protocol.ts';

/**
 * Numbered observations: what this engine made durable by itself, kept beside the replica until the agent has
 * acknowledged it by its number; the agent journals each, without a gap.
 *
 * An agent may be away for long, and the record is of bounded size (I16): beyond `pendingMax` the two oldest become
 * one `collapsed` that names the numbers it stands for. The newest are the ones that say what is true now.
 */
export const pendingMax = 200;

export function withNumbered(record: ReplicaRecord, observation: Observation, at: WallTime): ReplicaRecord {
  const { next, pending } = record.observations;
  const numbered: ObservationRecord = { observation: next, at, ...observation };
  return { ...record, observations: { next: next + 1, pending: bounded([...pending, numbered]) } };
}

export function withAcknowledged(record: ReplicaRecord, through: number): ReplicaRecord {
  const { next, pending } = record.observations;
  const left = pending.filter(({ observation }) => observation > through);
  return { ...record, observations: { next, pending: left } };
}

function bounded(pending: readonly ObservationRecord[]): readonly ObservationRecord[] {
  const [oldest, second, ...rest] = pending;
  if (pending.length <= pendingMax || oldest === undefined || second === undefined) return pending;
  const from = oldest.type === 'collapsed' ? oldest['from'] : oldest.observation;
  return [{ observation: second.observation, at: second['at'], type: 'collapsed', from }, ...rest];
}

/** Tells the controller what is new, each once per connection. */
export class ObservationFeed {
  readonly #push: (observation: ObservationRecord) => void;
  #told = 0;

  constructor(push: (observation: ObservationRecord) => void) {
    this.#push = push;
  }

  /** After every durable change. */
  tell({ observations }: ReplicaRecord): void {
    for (const pending of observations.pending) {
      if (pending.observation <= this.#told) continue;
      this.#told = pending.observation;
      this.#push(pending);
    }
  }

  /** A new controller hears everything again that is not acknowledged. */
  restart(): void {
    this.#told = 0;
  }
}
