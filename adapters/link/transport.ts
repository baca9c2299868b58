/** What a connection tells its owner. After `closed` nothing else comes. */
export interface ConnectionEvents {
  /**
   * Where the next bytes may be put, for a transport that can choose: `received` is then called with the beginning
   * of it, and nothing has to be copied.
   */
  space?(): Buffer;
  /** The bytes are valid only during the call: the buffer is reused. */
  received(bytes: Uint8Array): void;
  /** What `send` refused with `false` has gone out. */
  drained(): void;
  closed(error: Error | null): void;
}

/** A byte stream between two engines. */
export interface Connection {
  /** Hands the chunks to the network as one piece; they stay untouched until sent. False: wait for `drained`. */
  send(chunks: readonly Uint8Array[]): boolean;
  /** Stops and resumes `received`: back-pressure from a slow disk to the sender. */
  pauseReceiving(): void;
  resumeReceiving(): void;
  /** Ends at once, `closed` follows; what was sent before may still arrive. Harmless when it has ended already. */
  destroy(): void;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The network as an engine sees it: TCP in reality, queues and dice in the simulation. */
export interface Transport {
  listen(
    at: Endpoint,
    accept: (connection: Connection) => ConnectionEvents,
    ready: (error: Error | null) => void,
  ): Listener;
  dial(
    to: Endpoint,
    opened: (connection: Connection) => ConnectionEvents,
    failed: (error: Error) => void,
  ): void;
}

export interface Listener {
  close(): void;
}
