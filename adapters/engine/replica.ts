import { type GenerationRecord, generationRecord } from '../../domain/generations.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { ReplicaMetadata } from '../block/replica-metadata.ts';
import type { ReplicaRecord } from '../block/replica-record.ts';
import type { Observation } from './control-protocol.ts';
import { withNumbered } from './observations.ts';
import type { EnginePorts } from './ports.ts';
import { allOf, type Step } from './sequence.ts';
import type { Volume } from './volume.ts';

export type Change = (record: ReplicaRecord) => ReplicaRecord;

/**
 * This node's replica: its volumes and its durable record. Every change goes through `update` or `observe`, so that
 * whoever watches sees each one, after it is durable.
 */
export class Replica {
  readonly volumes: readonly Volume[];
  readonly #metadata: ReplicaMetadata;
  readonly #ports: EnginePorts;
  readonly #changed: () => void;
  /** The code of the error after which this replica's bytes are not to be trusted any more (FAULTS 31). */
  #failure: string | null = null;

  constructor(
    volumes: readonly Volume[],
    metadata: ReplicaMetadata,
    ports: EnginePorts,
    changed: () => void,
  ) {
    this.volumes = volumes;
    this.#metadata = metadata;
    this.#ports = ports;
    this.#changed = changed;
  }

  /** As on stable storage. */
  get record(): ReplicaRecord {
    return this.#metadata.value;
  }

  get node(): NodeName {
    return this.record.node;
  }

  get failure(): string | null {
    return this.#failure;
  }

  update(change: Change, done: Done): void {
    this.#metadata.update(change, (error) => {
      if (error === null) this.#changed();
      else this.failed('EIO');
      done(error);
    });
  }

  /** `done` when nothing that was asked for before can change the record any more. */
  settled(done: Done): void {
    this.#metadata.settled(done);
  }

  /** Durable together: the change, and the numbered observation that reports it (I19). */
  observe(observation: Observation, change: Change, done: Done): void {
    const at = this.#ports.wallTimeMs();
    this.update((record) => withNumbered(change(record), observation, at), done);
  }

  /** A disk answered with an error: nothing is acknowledged and no region cleared on the strength of it any more. */
  diskFailed(volume: Volume, during: string, error: Error): void {
    if (this.#failure !== null) return;
    const code = codeOf(error);
    this.failed(code);
    this.observe({ type: 'disk-failed', volume: volume.name, code, during }, same, ignore);
  }

  failed(code: string): void {
    if (this.#failure !== null) return;
    this.#failure = code;
    this.#changed();
  }

  /**
   * FAULTS 15: a bitmap could not be written. The bit, or "invalid: full resync", is durable beside the replica
   * before a write goes on; an error: neither is.
   */
  logsFailed(volume: Volume, error: Error, done: Done): void {
    const failed = [...volume.logs].filter(
      ([, log]) => log.state === 'invalid' && volume.markable.includes(log),
    );
    const steps = failed.map(
      ([peer]): Step =>
        (next) =>
          this.logInvalid(volume, peer, error.message, next),
    );
    allOf(steps, (failure) => {
      if (failure === null) volume.leaveOut(failed.map(([, log]) => log));
      done(failure);
    });
  }

  logInvalid(volume: Volume, peer: NodeName, reason: string, done: Done): void {
    const isKept = volume.logs.get(peer)?.state === 'kept';
    this.observe(
      { type: 'intent-log-invalid', volume: volume.name, peer, because: reason.slice(0, 500) },
      (record) => withIntentLog(record, peer, isKept ? 'kept' : 'invalid'),
      done,
    );
  }

  /** FAULTS 15: a log that failed while the resync ran covers nothing of what comes after it. */
  asLogsAre(record: ReplicaRecord, peer: NodeName): ReplicaRecord {
    const isInvalid = this.volumes.some(({ logs }) => logs.get(peer)?.state === 'invalid');
    return isInvalid ? withIntentLog(record, peer, 'invalid') : record;
  }

  markedRegions(peer: NodeName): number {
    return this.volumes.reduce((sum, { logs }) => sum + (logs.get(peer)?.markedCount ?? 0), 0);
  }

  /** What the generations' table is asked with about `peer`. */
  generationRecord(peer: NodeName, serving: boolean): GenerationRecord {
    const { node, crashedSource, epoch } = this.record;
    const situation = { node, serving, crashedSource, epoch, marked: this.markedRegions(peer) > 0 };
    return generationRecord(this.record, peer, situation);
  }

  freshGeneration(): string {
    return this.#ports.randomHex(8);
  }

  close(done: Done): void {
    this.#metadata.close(done);
  }
}

export const same: Change = (record) => record;
export const ignore: Done = () => undefined;

export const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : 'EIO';

export function withIntentLog(
  record: ReplicaRecord,
  peer: NodeName,
  intentLog: 'kept' | 'none' | 'invalid',
): ReplicaRecord {
  const known = record.generation.peers[peer];
  if (known === undefined || known.intentLog === intentLog) return record;
  const peers = { ...record.generation.peers, [peer]: { ...known, intentLog } };
  return { ...record, generation: { ...record.generation, peers } };
}
