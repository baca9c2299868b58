import { BusError, type BusStatus, type Subscription } from './bus.ts';

/**
 * What the bus needs of the network: text on subjects (`*` stands for one token). NATS in reality, a hub in one
 * process in tests and in the simulation; wire-bus.ts makes the same bus of both.
 */
export interface Wire {
  readonly store: KeyValue;

  /** Best effort; `id` lets a stream that captures the subject drop repetitions. */
  publish(subject: string, payload: string, id?: string): void;
  /** Fails with a `BusError`. */
  request(subject: string, payload: string, timeoutMs: number): Promise<string>;
  subscribe(subject: string, receive: (subject: string, payload: string) => void): Subscription;
  /** What `reply` throws reaches the requester: a `BusError` as it is, anything else as `failed`. */
  respond(subject: string, reply: Responder): Subscription;
  /** As `respond`, discoverable, and each request goes to one of all that serve the same subject. */
  serve(endpoints: readonly WireEndpoint[], reply: Responder): Subscription;

  ready(timeoutMs: number): Promise<boolean>;
  status(): WireStatus;
  watchStatus(changed: () => void): Subscription;
  close(): Promise<void>;
}

export type Responder = (subject: string, payload: string) => Promise<string>;

export type WireStatus = Omit<BusStatus, 'malformedMessages'>;

export interface WireEndpoint {
  readonly name: string;
  readonly subject: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A store of small texts that everybody can watch. It may come, go, and come back empty (FAULTS 25). */
export interface KeyValue {
  get(key: string): Promise<KeyValueEntry | undefined>;
  /** Compare and set: false when the entry is not at `revision` any more (0: not there). */
  set(key: string, value: string, revision: number): Promise<boolean>;
  /** Each present entry, then each change; again from the beginning when the store comes back. */
  watch(changed: (key: string, value: string) => void): Subscription;
  /** `run` now if the store is there, and each time it comes back. */
  whenOpened(run: () => void): Subscription;
}

export interface KeyValueEntry {
  readonly value: string;
  readonly revision: number;
}

/** What a requester is told about a handler that threw: only these two say that nothing was done. */
export function failureToTell(error: unknown): BusError {
  if (error instanceof BusError && (error.code === 'busy' || error.code === 'invalid')) return error;
  return new BusError('failed', error instanceof Error ? error.message : String(error));
}
