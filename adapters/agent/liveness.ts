import type { NodeName } from '../../domain/vocabulary.ts';

/**
 * Who is lost (REQUIREMENTS 1): silent on every path, the bus and every replication link, for heartbeat × lost-after,
 * *and* not heard by any reachable node in that time. Time is monotonic and comes in. Whether the bus is connected is
 * evidence of nothing.
 */
export class Liveness {
  readonly #self: NodeName;
  readonly #heardAt = new Map<NodeName, number>();
  /** What each node said of the others: when each was last heard there, by this node's clock. */
  readonly #heardThere = new Map<NodeName, Map<NodeName, number>>();
  /** Silence from before this agent began, or while it stood still, is silence of its own. */
  #listensSince = Number.NEGATIVE_INFINITY;
  #beatAt = Number.NEGATIVE_INFINITY;

  constructor(self: NodeName) {
    this.#self = self;
  }

  start(nowMs: number): void {
    this.#listensSince = nowMs;
    this.#beatAt = nowMs;
  }

  /** Each heartbeat of this agent. After a gap longer than `gapMs` it has stood still, and begins to listen anew. */
  beat(nowMs: number, gapMs: number): void {
    if (nowMs - this.#beatAt > gapMs) this.#listensSince = nowMs;
    this.#beatAt = nowMs;
  }

  get listensSince(): number {
    return this.#listensSince;
  }

  /** `agoMs`: how long before `nowMs` the sign of life was. */
  heard(node: NodeName, nowMs: number, agoMs = 0): void {
    if (node === this.#self) return;
    const at = nowMs - agoMs;
    if (at > (this.#heardAt.get(node) ?? Number.NEGATIVE_INFINITY)) this.#heardAt.set(node, at);
  }

  /** A heartbeat: `heard` has, by node, how many milliseconds ago it was heard there. */
  heartbeat(from: NodeName, heard: Readonly<Record<string, number>>, nowMs: number): void {
    this.heard(from, nowMs);
    const there = new Map(Object.entries(heard).map(([node, agoMs]) => [node as NodeName, nowMs - agoMs]));
    this.#heardThere.set(from, there);
  }

  known(): NodeName[] {
    return [...this.#heardAt.keys()];
  }

  heardMsAgo(node: NodeName, nowMs: number): number | null {
    if (node === this.#self) return 0;
    const at = this.#heardAt.get(node);
    return at === undefined ? null : Math.max(0, nowMs - at);
  }

  /** Nodes heard within `silenceMs`, this one first. */
  reachable(nowMs: number, silenceMs: number): NodeName[] {
    return [this.#self, ...this.known().filter((node) => this.#isHeard(node, nowMs, silenceMs))];
  }

  /** Not heard, but this agent has not listened for long enough to call that silence. */
  isInDoubt(node: NodeName, nowMs: number, silenceMs: number): boolean {
    return !this.#isHeard(node, nowMs, silenceMs) && !this.#isSilent(node, nowMs, silenceMs);
  }

  /** Nodes that were heard once and not within `silenceMs`. Of one that was never heard nothing is known yet. */
  silent(nowMs: number, silenceMs: number): NodeName[] {
    return this.known().filter((node) => this.#isSilent(node, nowMs, silenceMs));
  }

  /** When the first of those that are heard now will have been silent for `silenceMs`, should nothing more come of it. */
  nextSilenceMs(nowMs: number, silenceMs: number): number | null {
    const due = this.known()
      .map((node) => Math.max(...this.#signsOf(node)) + silenceMs)
      .filter((atMs) => atMs >= nowMs);
    return due.length === 0 ? null : Math.min(...due);
  }

  #signsOf(node: NodeName): number[] {
    const there = [...this.#heardThere.values()].map((heard) => heard.get(node) ?? Number.NEGATIVE_INFINITY);
    return [this.#heardAt.get(node) ?? Number.NEGATIVE_INFINITY, this.#listensSince, ...there];
  }

  /** The reachable nodes that have heard `node` in that time. */
  heardBy(node: NodeName, nowMs: number, silenceMs: number): NodeName[] {
    return this.reachable(nowMs, silenceMs).filter((witness) => {
      if (witness === this.#self) return this.#isHeard(node, nowMs, silenceMs);
      const at = this.#heardThere.get(witness)?.get(node);
      return at !== undefined && nowMs - at <= silenceMs;
    });
  }

  /** Whether `node` itself says that it has heard this one within `silenceMs`. */
  hearsThis(node: NodeName, nowMs: number, silenceMs: number): boolean {
    const at = this.#heardThere.get(node)?.get(this.#self);
    return at !== undefined && nowMs - at <= silenceMs;
  }

  /** What this node's heartbeat says of the others. */
  heardForHeartbeat(nowMs: number): Record<string, number> {
    return Object.fromEntries(this.known().map((node) => [node, this.heardMsAgo(node, nowMs) ?? 0]));
  }

  #isHeard(node: NodeName, nowMs: number, silenceMs: number): boolean {
    const ago = this.heardMsAgo(node, nowMs);
    return ago !== null && ago <= silenceMs;
  }

  #isSilent(node: NodeName, nowMs: number, silenceMs: number): boolean {
    const heardAt = this.#heardAt.get(node) ?? Number.NEGATIVE_INFINITY;
    return nowMs - Math.max(heardAt, this.#listensSince) > silenceMs;
  }
}
