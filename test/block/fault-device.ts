import type { BlockDevice, Done } from '../../adapters/block/block-device.ts';
import { IoError } from '../../adapters/block/io-error.ts';
import type { Clock } from '../../adapters/engine/clock.ts';

export type DeviceOperation = 'read' | 'write' | 'zero' | 'trim' | 'flush';

/** `error`: fails untouched. `delay`: goes on later. `freeze`: goes on when the rules are next changed. */
export type Fault =
  | { readonly kind: 'error'; readonly code: 'EIO' | 'ENOSPC' }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'freeze' };

export interface FaultRule {
  readonly operations: readonly DeviceOperation[];
  /** Only what touches these bytes; flushes touch all. Missing: everything. */
  readonly range?: { readonly offset: number; readonly byteCount: number };
  readonly fault: Fault;
}

/** Passes everything to the device below, except what a rule hits (the first that fits counts). */
export class FaultDevice implements BlockDevice {
  readonly byteSize: number;
  readonly #below: BlockDevice;
  readonly #clock: Clock;
  #rules: readonly FaultRule[] = [];
  #frozen: (() => void)[] = [];

  constructor(below: BlockDevice, clock: Clock) {
    this.byteSize = below.byteSize;
    this.#below = below;
    this.#clock = clock;
  }

  /** Replaces the rules. What was frozen meets the new ones, in its old order. */
  setRules(rules: readonly FaultRule[]): void {
    this.#rules = rules;
    const thawed = this.#frozen;
    this.#frozen = [];
    for (const run of thawed) run();
  }

  get frozenCount(): number {
    return this.#frozen.length;
  }

  read(into: Uint8Array, offset: number, done: Done): void {
    this.#pass('read', offset, into.length, done, () => this.#below.read(into, offset, done));
  }

  write(from: Uint8Array, offset: number, done: Done): void {
    this.#pass('write', offset, from.length, done, () => this.#below.write(from, offset, done));
  }

  zero(offset: number, byteCount: number, done: Done): void {
    this.#pass('zero', offset, byteCount, done, () => this.#below.zero(offset, byteCount, done));
  }

  trim(offset: number, byteCount: number, done: Done): void {
    this.#pass('trim', offset, byteCount, done, () => this.#below.trim(offset, byteCount, done));
  }

  flush(done: Done): void {
    this.#pass('flush', 0, this.byteSize, done, () => this.#below.flush(done));
  }

  close(done: Done): void {
    this.#below.close(done);
  }

  #pass(operation: DeviceOperation, offset: number, byteCount: number, done: Done, go: () => void): void {
    const hit = this.#rules.find(
      ({ operations, range }) =>
        operations.includes(operation) &&
        (range === undefined ||
          (offset < range.offset + range.byteCount && range.offset < offset + byteCount)),
    );
    if (hit === undefined) {
      go();
      return;
    }
    const { fault } = hit;
    switch (fault.kind) {
      case 'error':
        done(new IoError(fault.code, `${operation} of ${byteCount} bytes at ${offset}: ${fault.code}`));
        break;
      case 'delay':
        this.#clock.after(fault.ms, go);
        break;
      case 'freeze':
        this.#frozen.push(() => this.#pass(operation, offset, byteCount, done, go));
        break;
      default:
        fault satisfies never;
    }
  }
}
