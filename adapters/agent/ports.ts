import type { z } from 'zod';
import type { DeviceUris, MountedVolume } from '../../domain/events.ts';
import type { PathFact } from '../../domain/facts.ts';
import type { MountPoint } from '../../domain/file-systems.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import type { EngineStatus, Notice, NumberedObservation, Order } from '../engine/control-protocol.ts';

/** What an agent needs of its surroundings; each has a real implementation and one for tests. */

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
export type OrderBody = WithoutId<z.input<typeof Order>>;

/** An order that the engine did not carry out; `code` is one of control-protocol's refusals, or `engine-gone`. */
export class OrderRefused extends Error {
  override readonly name = 'OrderRefused';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** One resource's engine on this node. */
export interface Engine {
  /** Resolves with what the engine answers beside `ok`. Rejects with `OrderRefused`. */
  order(order: OrderBody): Promise<Readonly<Record<string, unknown>>>;
  status(): Promise<EngineStatus>;
}

/** What this version of the agent does not understand: the engine is a newer one. */
export interface UnknownObservation {
  readonly observation: number;
  readonly type: 'unknown';
  readonly originalType: string;
}
export type ToldObservation = NumberedObservation | UnknownObservation;

export interface EngineListener {
  /** In order, each at least once; to be acknowledged when journaled. */
  observed(observation: ToldObservation): void;
  noticed(notice: Notice): void;
  /** The process ended or closed its control socket. */
  gone(): void;
}

export interface Engines {
  /** Finds the running engine of the resource, or starts one. `adopted`: it was running before. */
  run(tag: Tag, listener: EngineListener): Promise<{ engine: Engine; adopted: boolean }>;
  /** Ends the engine's process for certain (rule 24: a hanging one is killed), and resolves when it is dead. */
  kill(tag: Tag): Promise<void>;
  /** Where the replica's metadata lies, made if need be, and whether the replica was ever opened here. */
  home(
    tag: Tag,
    firstVolumePath: string,
    bitmapFolder: string | null,
  ): { readonly folder: string; readonly wasOpened: boolean };
  /** Remembers it: a replica whose metadata is gone later is not made anew silently (FAULTS 20). */
  noteOpened(tag: Tag): void;
  /** The replica is no more (rule 3): its metadata goes, its volumes keep their bytes. */
  forget(tag: Tag): void;
}

/** Paths of this machine. */
export interface Host {
  /** The path behind links; the path itself where there is nothing. */
  realPath(path: string): Promise<string>;
  /** @param protectedPaths path → who has it: other resources, and what an administrator protects */
  inspect(path: string, protectedPaths: ReadonlyMap<string, string>): Promise<PathFact>;
}

/** A reign of one engine process: what is attached for another one is stale (FAULTS 34). */
export interface AttachedReign {
  readonly tag: Tag;
  readonly epoch: number;
  readonly enginePid: number;
}

/** Something holds the mount or the device; the sentence says what. */
export class DeviceInUse extends Error {
  override readonly name = 'DeviceInUse';
}

/**
 * File systems on the devices of this node's sources. What is attached and mounted outlives the agent and is found
 * again. None of these waits for a mount that does not answer: each gives up after a time of its own.
 */
export interface FileSystems {
  /** Attaches the devices and makes file systems on them: whatever is there is overwritten. */
  make(reign: AttachedReign, fstype: string, devices: DeviceUris): Promise<void>;
  /** Attaches and mounts what is not yet, in the order of the volumes; what was attached for another reign goes first. */
  mount(
    reign: AttachedReign,
    fstype: string,
    devices: DeviceUris,
    points: readonly MountPoint[],
  ): Promise<MountedVolume[]>;
  /**
   * Unmounts and detaches everything of the tag, in reverse. `orderly`: rejects with `DeviceInUse` and leaves what is
   * in use; else whatever still uses it gets errors. Resolves with whether there was anything.
   */
  unmount(tag: Tag, orderly: boolean): Promise<boolean>;
  /** Whether what `mount` has mounted is still mounted, and its process runs. */
  stands(tag: Tag): Promise<boolean>;
  /** Who uses what is mounted of the tag, in words; null where nobody does. */
  heldBy(tag: Tag): Promise<string | null>;
  /** Where something of the tag is mounted or attached, in words; null where nothing is. */
  mountedAt(tag: Tag): Promise<string | null>;
  /** What is mounted at one of the folders, in words; null where nothing is. */
  usedMountPoint(folders: readonly string[]): Promise<string | null>;
  /** Who uses the folder at which something else is mounted, in words; null where nobody does. */
  usersOf(folder: string): Promise<string | null>;
  /** Unmounts the file system of a path that is to be mirrored (rule 1, `existing-filesystem`). Rejects with `DeviceInUse`. */
  release(path: string): Promise<void>;
}

export interface AgentLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}
