import {
  type CausalBase,
  type CausalFacts,
  isInBase,
  lastEnd,
  nowhere,
  type Position,
  positionOf,
} from './causal-base.ts';
import { comparePositions, type SeenHead } from './envelope.ts';

interface Rise extends Position {
  readonly subject: string;
  readonly epoch: number;
}

interface LogRanks {
  /** The highest epoch per resource that its last event follows, where the base does not have it. */
  readonly epochs: Map<string, number>;
  /** Per other log: up to where its events are followed. */
  readonly known: Map<string, Position>;
  /** Where an event of this log brought a resource a higher epoch than those before it in this log. */
  rises: Rise[];
  readonly highest: Map<string, number>;
  followsBase: boolean;
}

/** The epochs by which events are ordered. */
export class CausalRanks {
  #base: CausalBase;
  readonly #logs = new Map<string, LogRanks>();

  constructor(base: CausalBase) {
    this.#base = base;
  }

  /** Asked once per event, when everything that it follows has been asked for. */
  rankOf({ node, incarnation, sequence, subject, epoch, seen }: CausalFacts): number {
    const log = this.#logOf(node);
    for (const head of seen) this.#follow(log, head);
    if (subject === null) return epoch ?? 0;
    const known = Math.max(log.epochs.get(subject) ?? 0, this.#base.epochs[subject] ?? 0);
    const rank = epoch ?? known;
    if (rank > known) log.epochs.set(subject, rank);
    if (rank > (log.highest.get(subject) ?? 0)) {
      log.highest.set(subject, rank);
      log.rises.push({ incarnation, sequence, subject, epoch: rank });
    }
    return rank;
  }

  /** Whether the last event of a log that was asked for follows everything in the base. */
  followsBase(node: string): boolean {
    const log = this.#logOf(node);
    log.followsBase ||= Object.keys(this.#base.ends).every(
      (other) =>
        other === node ||
        comparePositions(log.known.get(other) ?? nowhere, lastEnd(this.#base, other) ?? nowhere) >= 0,
    );
    return log.followsBase;
  }

  /** The base has become a later one. */
  rebase(base: CausalBase): void {
    this.#base = base;
    for (const [node, log] of this.#logs) {
      log.rises = log.rises.filter((rise) => !isInBase(base, { node, ...rise }));
      log.followsBase = false;
    }
  }

  #follow(log: LogRanks, head: SeenHead): void {
    const known = log.known.get(head.node) ?? nowhere;
    if (comparePositions(known, head) >= 0) return;
    const { rises } = this.#logOf(head.node);
    for (let at = rises.length - 1; at >= 0; at -= 1) {
      const rise = rises[at];
      if (rise === undefined || comparePositions(rise, known) <= 0) break;
      if (comparePositions(rise, head) > 0) continue;
      log.epochs.set(rise.subject, Math.max(rise.epoch, log.epochs.get(rise.subject) ?? 0));
    }
    log.known.set(head.node, positionOf(head));
  }

  #logOf(node: string): LogRanks {
    const found = this.#logs.get(node);
    if (found !== undefined) return found;
    const log: LogRanks = {
      epochs: new Map(),
      known: new Map(Object.entries(this.#base.known[node] ?? {})),
      rises: [],
      highest: new Map(),
      followsBase: false,
    };
    this.#logs.set(node, log);
    return log;
  }
}
