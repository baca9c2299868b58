import { compareGenerations } from '../../domain/generations.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { IncomingMessage } from '../link/link.ts';
import { StatePayload } from '../link/protocol.ts';
import { readJson, sendJson } from './messages.ts';
import type { Node } from './node.ts';
import type { Peer } from './peer.ts';
import { ignore, same } from './replica.ts';

/** `state` messages: what each replica tells every other about itself, at the start and whenever it changes. */
export class StateExchange {
  readonly #node: Node;
  readonly #soon: (run: () => void) => void;
  /** What each peer was last told in its session. */
  readonly #told = new Map<NodeName, string>();
  /** Peers that are told nothing yet, with the beginning that this waits for. */
  readonly #beginnings = new Map<NodeName, symbol>();
  #isDue = false;

  constructor(node: Node, soon: (run: () => void) => void) {
    this.#node = node;
    this.#soon = soon;
  }

  /**
   * A new session. Nothing is said while the record is being written: a finish of the session before may be about to
   * make "in sync" of it, and on the word "out of sync" the source acknowledges without this side (REQUIREMENTS 2.3).
   */
  begin(peer: Peer): void {
    const beginning = Symbol();
    this.#told.delete(peer.node);
    this.#beginnings.set(peer.node, beginning);
    // Also where that failed: then the record stands as it was, and a source that is told nothing would wait for ever.
    this.#node.replica.settled(() => {
      if (this.#beginnings.get(peer.node) !== beginning) return;
      this.#beginnings.delete(peer.node);
      this.#tell(peer);
    });
  }

  changed(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#soon(() => {
      this.#isDue = false;
      for (const peer of this.#node.peers.values()) {
        if (this.#tell(peer) && peer.theirs !== null) this.#compareAgain(peer, peer.theirs);
      }
    });
  }

  /** False: it speaks for somebody else, or not at all. */
  received(peer: Peer, message: IncomingMessage): boolean {
    const theirs = readJson(message, StatePayload);
    if (theirs === null || theirs.record.node !== peer.node) return false;
    peer.theirs = theirs;
    this.#meet(peer, theirs);
    return true;
  }

  /** What this side has become may make a split of what was none (I4): the peer has no reason to say anything again. */
  #compareAgain(peer: Peer, theirs: StatePayload): void {
    this.#meet(peer, theirs);
    const mirror = this.#node.source?.mirrors.get(peer.node);
    if (mirror?.state.phase === 'refused') mirror.consider();
  }

  /** Whatever their roles: two that have split say so, both, as often as they meet (I4). */
  #meet(peer: Peer, theirs: StatePayload): void {
    const { replica, source } = this.#node;
    const mine = replica.generationRecord(peer.node, source !== null);
    const isSplit = compareGenerations(mine, theirs.record).verdict === 'split-brain';
    const isConflict = source !== null && theirs.role === 'source';
    const trouble = isSplit ? 'split-brain' : isConflict ? 'epoch-conflict' : null;
    const isNew = trouble !== null && peer.trouble !== trouble;
    peer.trouble = trouble;
    if (!isNew) return;
    const { epoch } = theirs.record;
    if (isSplit) replica.observe({ type: 'split-brain', peer: peer.node, since: null }, same, ignore);
    else replica.observe({ type: 'epoch-conflict', peer: peer.node, epoch }, same, ignore);
  }

  /** False: there is nothing new to say. */
  #tell(peer: Peer): boolean {
    if (!peer.link.established || this.#beginnings.has(peer.node)) return false;
    const { replica, source } = this.#node;
    const { role, promised, volumes, paused, lastOwner, handedTo, epoch } = replica.record;
    const state: StatePayload = {
      role: source === null ? role : 'source',
      promised,
      volumes: volumes.map(({ name, byteSize }) => ({ name, byteSize })),
      paused,
      lastOwner,
      handedTo,
      record: replica.generationRecord(peer.node, source !== null),
    };
    const text = JSON.stringify(state);
    if (this.#told.get(peer.node) === text) return false;
    this.#told.set(peer.node, text);
    sendJson(peer.link, 'state', epoch, 0, state);
    return true;
  }
}
