import {
  type EventEnvelope,
  type EventPosition,
  eventId,
  parseEnvelopeType,
  parseSeen,
  type RedactedEnvelope,
} from '../domain/envelope.ts';
import { type ArchiveBase, baseFault, floorOf } from './archive-base.ts';
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
  /** Sequence of the last archived event, which is the first that is there; 0 where none was archived. */
  readonly begin: number;
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
  readonly #bases: ArchiveBase[] = [];
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
    const { node, incarnation, sequence, hash, id } = event;
    const key = `${node}/${incarnation}`;
    const log = this.#logs.get(key) ?? this.#newLog(event);
    // An export begins with the events that its archive ends with.
    if (log.hashes[sequence - 1] === hash.slice(0, hashDigits) && this.#isFloor(event)) return;
    this.#eventCount += 1;
    this.#logs.set(key, log);
    if (id !== eventId(event)) this.#find('bad-chain', `event ${id} says that it is ${eventId(event)}`);
    const fault = hashFault(event);
    if (fault === 'data') this.#find('bad-chain', `event ${id}: its payload was changed`);
    if (fault === 'attributes') this.#find('bad-chain', `event ${id}: its attributes were changed`);

    const expected = log.last.sequence + 1;
    if (log.hashes[sequence - 1]) this.#find('bad-chain', `event ${id} is there twice`);
    else if (sequence < expected)
      this.#find('bad-chain', `event ${id} comes after ${key}/${log.last.sequence}: the log was reordered`);
    else if (sequence === expected && sequence !== log.begin && !followsOn(event, log.last.hash))
      this.#find('bad-chain', `event ${id} does not continue the one before it: one of them was replaced`);
    for (let missing = expected; missing < sequence; missing += 1) log.hashes[missing - 1] = '';
    log.hashes[sequence - 1] = hash.slice(0, hashDigits);
    if (sequence >= expected) log.last = { sequence, hash };
    this.#note(event);
  }

  /** After an archiving a log begins with its last archived event; in the archive itself with the first. */
  #newLog({ node, incarnation, sequence }: EventPosition): LogRecord {
    const begin = this.#isFloor({ node, incarnation, sequence }) ? sequence : 0;
    return { node, incarnation, hashes: [], last: { sequence: Math.max(0, begin - 1), hash: '' }, begin };
  }

  /** Comes before the events that it is about. */
  takeBase(base: ArchiveBase): void {
    this.#bases.push(base);
  }

  #isFloor({ node, incarnation, sequence }: EventPosition): boolean {
    return this.#bases.some((base) => floorOf(base, node, incarnation)?.sequence === sequence);
  }

  takeHead(head: SignedHead): void {
    this.#heads.push(head);
  }

  finish(): Verification {
    for (const log of this.#logs.values()) this.#findMissing(log);
    for (const base of this.#bases) this.#checkBase(base);
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

  /** A base is what its archiver signed, and the logs go on from it. */
  #checkBase(base: ArchiveBase): void {
    const { trusted } = this.#options;
    const { node, key } = base;
    if (baseFault(base) !== undefined)
      this.#find('bad-signature', `the base of the archived events is not what ${node} signed`);
    const keys = this.#keysOf(node);
    if ((keys !== undefined && !keys.has(key)) || (trusted !== undefined && !trusted.get(node)?.has(key)))
      this.#find('bad-signature', `the base of the archived events was not signed with a key of ${node}`);
    for (const floor of base.floors) this.#checkClaim({ ...floor, by: node }, `${node} archived`);
  }

  /** Undefined where nothing names any. */
  #keysOf(node: string): ReadonlySet<string> | undefined {
    const keys = new Set([...(this.#keys.get(node) ?? []), ...this.#archivedKeys(node)]);
    return keys.size === 0 ? undefined : keys;
  }

  /** The events that named them may be archived. */
  #archivedKeys(node: string): readonly string[] {
    return this.#bases.flatMap(({ standing }) => {
      const known = standing as { state?: { nodes?: Record<string, { keys?: readonly string[] }> } } | null;
      return known?.state?.nodes?.[node]?.keys ?? [];
    });
  }

  #findUnsigned(): void {
    const vouched = [...this.#heads, ...this.#bases.flatMap(({ floors }) => floors)];
    const signed = new Set(vouched.map(({ node }) => node));
    for (const node of new Set([...this.#logs.values()].map((log) => log.node)))
      if (!signed.has(node))
        this.#find('head-missing', `there is no head that ${node} signed: nobody vouches for its log`);
  }

  /** A revoked key still vouches for what it signed before. */
  #checkHead(head: SignedHead): void {
    const keys = this.#keysOf(head.node);
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
    if (log !== undefined && sequence < log.begin) return;
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
