import type { Export } from '../../adapters/nbd/export.ts';
import type { Candidates, Write } from './candidates.ts';
import { sectorSize } from './disk.ts';
import type { Reign } from './model.ts';
import type { SimulatedProcess } from './process.ts';
import type { Random } from './random.ts';
import { stamp, writeNumberOf } from './stamp.ts';
import type { World } from './world.ts';

export interface Habits {
  /** Requests in flight. */
  readonly depth: number;
  readonly thinkMs: readonly [low: number, high: number];
  /** Chance per request that the application then rests for some seconds: regions become quiet and are cleared. */
  readonly rest: number;
  readonly sectorsMax: number;
  /** Share of requests that fall into the same few sectors, so that writes in flight overlap. */
  readonly hotShare: number;
  readonly share: {
    readonly read: number;
    readonly zero: number;
    readonly trim: number;
    readonly flush: number;
  };
  /** Share of the writes that ask for FUA. */
  readonly fua: number;
  /** Chance that more requests come in the same chunk of the client's stream: those reach the engine corked. */
  readonly together: number;
}

/** What the checkers do when the application is told that something is done. */
export interface Judge {
  acknowledged(write: Write, isDurable: boolean): void;
  flushed(issuedStep: number): void;
  wrong(message: string): void;
}

/** Numbers of the writes of one world, whoever writes. */
export class Numbering {
  next = 1;
}

/**
 * An application on the exports of one reign. It keeps requests in flight, never waits before it overlaps its own
 * writes, remembers what each read may return, and takes its buffers back (and spoils them) as soon as it is answered.
 */
export class Application {
  readonly reign: Reign;
  readonly #world: World;
  readonly #random: Random;
  readonly #server: SimulatedProcess;
  readonly #exports: readonly Export[];
  readonly #habits: Habits;
  readonly #numbering: Numbering;
  readonly #judge: Judge;
  readonly #writing = new Set<Write>();
  readonly #firstSectors: readonly number[];
  #requestCount = 0;
  /** Requests in flight beyond the depth: they are not followed by another one. */
  #surplus = 0;
  #restsUntilMs = 0;
  #isOver = false;
  #idle: () => void = () => {};

  constructor(
    world: World,
    server: SimulatedProcess,
    exports: readonly Export[],
    reign: Reign,
    habits: Habits,
    numbering: Numbering,
    judge: Judge,
  ) {
    this.reign = reign;
    this.#world = world;
    this.#random = world.random.fork(`application ${reign.name}`);
    this.#server = server;
    this.#exports = exports;
    this.#habits = habits;
    this.#numbering = numbering;
    this.#judge = judge;
    let sectors = 0;
    this.#firstSectors = exports.map(({ byteSize }) => {
      const first = sectors;
      sectors += byteSize / sectorSize;
      return first;
    });
    server.onExit(() => this.leave());
  }

  /** Requests that wait for their answer. */
  get inFlight(): number {
    return this.#requestCount;
  }

  /** Writes that wait for their answer. */
  get writing(): ReadonlySet<Write> {
    return this.#writing;
  }

  start(): void {
    for (let index = 0; index < this.#habits.depth; index++) this.#pause();
  }

  /** No more requests; `idle` when those in flight are answered, if ever. */
  leave(idle: () => void = () => {}): void {
    this.#isOver = true;
    this.#idle = idle;
    if (this.#requestCount === 0) idle();
  }

  #pause(): void {
    const { nowMs } = this.#world;
    if (this.#random.chance(this.#habits.rest)) this.#restsUntilMs = nowMs + this.#random.span(1_000, 5_000);
    const restMs = Math.max(0, this.#restsUntilMs - nowMs);
    this.#world.after(restMs + this.#random.span(...this.#habits.thinkMs), () => {
      if (this.#isOver) return;
      if (this.#random.chance(this.#habits.together)) this.#requestsTogether();
      else this.#request();
    });
  }

  #requestsTogether(): void {
    const [first] = this.#exports;
    const count = this.#random.between(2, 5);
    this.#surplus += count - 1;
    this.#server.enter(() => {
      first?.cork?.();
      for (let index = 0; index < count; index++) this.#request();
      first?.uncork?.();
    });
  }

  #request(): void {
    const { read, zero, trim, flush } = this.#habits.share;
    const dice = this.#random.fraction();
    if (dice < read) this.#read();
    else if (dice < read + zero) this.#write('zero');
    else if (dice < read + zero + trim) this.#write('trim');
    else if (dice < read + zero + trim + flush) this.#flush();
    else this.#write('write');
  }

  /** A request goes in as the server's process gets it, and is answered once, if at all. */
  #ask(
    what: string,
    send: (done: (error: Error | null) => void) => void,
    ended: (ok: boolean) => void,
  ): void {
    let isAnswered = false;
    this.#requestCount++;
    this.#world.count(`application ${what}`);
    this.#server.enter(() =>
      send((error) => {
        if (isAnswered) {
          this.#judge.wrong(`a ${what} was answered twice`);
          return;
        }
        isAnswered = true;
        if (!this.#server.alive) return;
        this.#requestCount--;
        if (error !== null) this.#world.count(`application ${what} failed`);
        ended(error === null);
        if (this.#requestCount === 0 && this.#isOver) this.#idle();
        else if (this.#surplus > 0) this.#surplus--;
        else this.#pause();
      }),
    );
  }

  #write(how: 'write' | 'zero' | 'trim'): void {
    const { volume, start, sectorCount } = this.#range();
    const isDurable = this.#random.chance(this.#habits.fua);
    const target = this.#exports[volume];
    if (target === undefined) return;
    const write: Write = {
      number: this.#numbering.next++,
      isZeros: how !== 'write',
      sector: (this.#firstSectors[volume] ?? 0) + start,
      sectorCount,
      issuedStep: this.#world.steps,
      endedStep: Infinity,
      isAcknowledged: false,
    };
    this.#world.trace.mix(write.number);
    this.reign.issued(write);
    this.#writing.add(write);
    const offset = start * sectorSize;
    const byteCount = sectorCount * sectorSize;
    const bytes = how === 'write' ? stamped(write) : null;
    const send = (done: (error: Error | null) => void) => {
      if (bytes !== null) target.write(bytes, offset, isDurable, done);
      else if (how === 'zero')
        target.zero(offset, byteCount, { fua: isDurable, mayTrim: this.#random.chance(0.5) }, done);
      else target.trim(offset, byteCount, isDurable, done);
    };
    this.#ask(how, send, (ok) => {
      this.#writing.delete(write);
      bytes?.fill(0xee);
      if (ok) this.#judge.acknowledged(write, isDurable);
      else this.reign.failed(write, this.#world.steps);
    });
  }

  #flush(): void {
    const issuedStep = this.#world.steps;
    const target = this.#random.pick(this.#exports);
    this.#ask(
      'flush',
      (done) => target.flush(done),
      // I14 speaks of one volume; with several a flush of one says nothing of the others.
      (ok) => {
        if (ok && this.#exports.length === 1) this.#judge.flushed(issuedStep);
      },
    );
  }

  #read(): void {
    const { volume, start, sectorCount } = this.#range();
    const target = this.#exports[volume];
    if (target === undefined) return;
    const into = Buffer.alloc(sectorCount * sectorSize, 0xee);
    const first = (this.#firstSectors[volume] ?? 0) + start;
    const { cached } = this.reign.knowledgeOf(this.reign.source);
    const before = Array.from({ length: sectorCount }, (_, index) => [...cached.of(first + index)]);
    const send = (done: (error: Error | null) => void) => target.read(into, start * sectorSize, done);
    this.#ask('read', send, (ok) => {
      for (let index = 0; ok && index < sectorCount; index++) {
        this.#verify(cached, first + index, before[index] ?? [], into, index);
      }
    });
  }

  #verify(cached: Candidates, sector: number, before: readonly Write[], bytes: Buffer, index: number): void {
    const number = writeNumberOf(bytes, index * sectorSize, sector);
    const now = cached.of(sector);
    const shown = [...before, ...now].findLast((write) => (write.isZeros ? 0 : write.number) === number);
    if (shown === undefined) {
      const allowed = [...new Set([...before, ...now])].map((write) => write.number).join(', ');
      this.#judge.wrong(`a read of sector ${sector} returned ${number}, allowed: ${allowed}`);
      return;
    }
    // With nothing in flight there, what was read stays until it is written again.
    const isQuiet =
      before.length === now.length &&
      now.every((write, place) => write === before[place] && write.endedStep < Infinity);
    if (isQuiet) cached.settle(sector, shown);
  }

  #range(): { volume: number; start: number; sectorCount: number } {
    const volume = this.#random.below(this.#exports.length);
    const sectors = (this.#exports[volume]?.byteSize ?? 0) / sectorSize;
    const sectorCount = this.#random.between(1, Math.min(this.#habits.sectorsMax, sectors));
    const isHot = this.#random.chance(this.#habits.hotShare);
    const start = isHot ? this.#random.below(16) * 8 : this.#random.below(sectors - sectorCount + 1);
    return { volume, start: Math.min(start, sectors - sectorCount), sectorCount };
  }
}

function stamped(write: Write): Buffer {
  const bytes = Buffer.alloc(write.sectorCount * sectorSize);
  for (let index = 0; index < write.sectorCount; index++) {
    stamp(bytes, index * sectorSize, write.number, write.sector + index);
  }
  return bytes;
}
