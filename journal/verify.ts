import {
  type EventEnvelope,
  eventId,
  parseEnvelopeType,
  parseSeen,
  type RedactedEnvelope,
} from '../domain/envelope.ts';
import type { JournalErrorCode, LogHead, SignedHead } from './journal.ts';
import { followsOn } from './log-scan.ts';
import { hashFault } from './record.ts';
import { isSignatureGood } from './signing-key.ts';

/**
 * Verifies logs as they stream by, from a journal or from an export, redacted or not: the hashes of each event,
 * sequence and chain of each log, the signed heads against the keys that the logs themselves name
 * (`node.key-added`), and what nodes say they had seen of each other. Each kind of tampering has its own
 * sentence. Log after log or mixed; within a log in order.
 */
export interface Finding {
  readonly code: JournalErrorCode;
  readonly message: string;
}

export interface Verification {
  readonly eventCount: number;
  readonly logs: readonly LogHead[];
  readonly findings: readonly Finding[];
}

/** What of a hash is kept for later comparison: as much as `seen` tells. */
const hashDigits = 16;

interface LogRecord {
  readonly node: string;
  readonly incarnation: number;
  /** By sequence - 1; '' where the event has not come. */
  readonly hashes: string[];
  last: Pick<EventEnvelope, 'sequence' | 'hash'>;
}

interface Claim {
  readonly by: string;
  readonly node: string;
  readonly incarnation: number;
  readonly sequence: number;
  readonly hash: string;
}

export interface VerifyOptions {
  /** By node: its public keys as its operators told them, beside what the logs say of themselves. */
  readonly trusted?: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** Of an export: nobody vouches for a log whose node signed no head. */
  readonly needsHeads?: boolean;
}

export class Verifier {
  readonly #options: VerifyOptions;
  readonly #logs = new Map<string, LogRecord>();
  readonly #keys = new Map<string, Set<string>>();
  readonly #heads: SignedHead[] = [];
  readonly #claims: Claim[] = [];
  readonly #findings: Finding[] = [];
  #eventCount = 0;

  constructor(options: VerifyOptions = {}) {
    this.#options = options;
  }

  take(event: EventEnvelope | RedactedEnvelope): void {
    this.#eventCount += 1;
    const { node, incarnation, sequence, hash, id } = event;
    const key = `${node}/${incarnation}`;
    const log = this.#logs.get(key) ?? { node, incarnation, hashes: [], last: { sequence: 0, hash: '' } };
    this.#logs.set(key, log);
    if (id !== eventId(event)) this.#find('bad-chain', `event ${id} says that it is ${eventId(event)}`);
    const fault = hashFault(event);
    if (fault === 'data') this.#find('bad-chain', `event ${id}: its payload was changed`);
    if (fault === 'attributes') this.#find('bad-chain', `event ${id}: its attributes were changed`);

    const expected = log.last.sequence + 1;
    if (log.hashes[sequence - 1]) this.#find('bad-chain', `event ${id} is there twice`);
    else if (sequence < expected)
      this.#find('bad-chain', `event ${id} comes after ${key}/${log.last.sequence}: the log was reordered`);
    else if (sequence === expected && !followsOn(event, log.last.hash))
      this.#find('bad-chain', `event ${id} does not continue the one before it: one of them was replaced`);
    for (let missing = expected; missing < sequence; missing += 1) log.hashes[missing - 1] = '';
    log.hashes[sequence - 1] = hash.slice(0, hashDigits);
    if (sequence >= expected) log.last = { sequence, hash };
    this.#note(event);
  }

  takeHead(head: SignedHead): void {
    this.#heads.push(head);
  }

  finish(): Verification {
    for (const log of this.#logs.values()) this.#findMissing(log);
    for (const head of this.#heads) this.#checkHead(head);
    if (this.#options.needsHeads) this.#findUnsigned();
    for (const claim of this.#claims) this.#checkClaim(claim, `${claim.by} has seen`);
    const logs = [...this.#logs.values()].map(({ node, incarnation, last }) => ({
      node,
      incarnation,
      ...last,
    }));
    return { eventCount: this.#eventCount, logs, findings: this.#findings };
  }

  /** What the event says about keys, and about other logs. */
  #note(event: EventEnvelope | RedactedEnvelope): void {
    for (const { hash16, ...seen } of parseSeen(event.seen) ?? [])
      this.#claims.push({ by: event.id, ...seen, hash: hash16 });
    if (!('data' in event) || parseEnvelopeType(event.type)?.event !== 'node.key-added') return;
    const { node, publicKey } = event.data as { node?: unknown; publicKey?: unknown };
    if (typeof node !== 'string' || typeof publicKey !== 'string') return;
    this.#keys.set(node, (this.#keys.get(node) ?? new Set()).add(publicKey));
  }

  #findMissing({ node, incarnation, hashes }: LogRecord): void {
    for (let from = hashes.indexOf(''); from >= 0; ) {
      let to = from;
      while (hashes[to + 1] === '') to += 1;
      const events = from === to ? `event ${from + 1} is` : `events ${from + 1} to ${to + 1} are`;
      this.#find('gap', `${events} missing in the log ${node}/${incarnation}`);
      from = hashes.indexOf('', to + 1);
    }
  }

  #findUnsigned(): void {
    const signed = new Set(this.#heads.map(({ node }) => node));
    for (const node of new Set([...this.#logs.values()].map((log) => log.node)))
      if (!signed.has(node))
        this.#find('head-missing', `there is no head that ${node} signed: nobody vouches for its log`);
  }

  /** A revoked key still vouches for what it signed before. */
  #checkHead(head: SignedHead): void {
    const keys = this.#keys.get(head.node);
    const trusted = this.#options.trusted;
    if (trusted !== undefined && !trusted.get(head.node)?.has(head.key)) {
      this.#find(
        'bad-signature',
        `the head of ${head.node} was signed with a key that is not trusted: ${head.key}`,
      );
      return;
    }
    if (!isSignatureGood(head) || (keys !== undefined && !keys.has(head.key))) {
      this.#find('bad-signature', `the head of ${head.node} was not signed by a key of ${head.node}`);
      return;
    }
    this.#checkClaim({ ...head, by: head.node }, `${head.node} signed`);
    for (const [node, seen] of Object.entries(head.seen))
      this.#checkClaim({ ...seen, node, by: head.node }, `${head.node} signed that it has seen`);
  }

  #checkClaim({ node, incarnation, sequence, hash }: Claim, says: string): void {
    if (sequence === 0) return;
    const id = `${node}/${incarnation}/${sequence}`;
    const log = this.#logs.get(`${node}/${incarnation}`);
    const there = log?.hashes[sequence - 1];
    if (there === '') return;
    if (there === undefined)
      this.#find(
        'torn-tail',
        `${says} ${id}, and the log ends at ${log?.last.sequence ?? 0}: it was cut off`,
      );
    else if (there !== hash.slice(0, hashDigits))
      this.#find('bad-chain', `${says} another ${id}: the log was rewritten`);
  }

  #find(code: JournalErrorCode, message: string): void {
    this.#findings.push({ code, message });
  }
}
