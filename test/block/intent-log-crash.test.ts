import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { regionsPerPage } from '../../adapters/block/bitmap-codec.ts';
import type { IntentLog } from '../../adapters/block/intent-log.ts';
import { intentLogByteSize, openIntentLog } from '../../adapters/block/open-intent-log.ts';
import { regionSize } from '../../domain/vocabulary.ts';
import { PowerLossDevice, PowerLossStorage } from './power-loss-device.ts';
import { sampleIdentity } from './replica-samples.ts';

const regionCount = 2 * regionsPerPage + 70;
const volumeByteSize = regionCount * regionSize;
/** The few regions that the test plays with: both sides of the page boundaries, neighbours in one byte. */
const regions = [
  0,
  1,
  9,
  regionsPerPage - 1,
  regionsPerPage,
  regionsPerPage + 3,
  2 * regionsPerPage,
  regionCount - 1,
];

const region = fc.nat(regions.length - 1).map((index) => regions[index] ?? 0);
const range = fc.tuple(region, region).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
const short = region.map((first) => ({ first, last: first }));

/** Which version of each sector a power failure leaves: all old, all new, or any mixture. */
const choices = fc.oneof(
  fc.constantFrom([0], [1], [2]),
  fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }),
);

const actionsWith = (failureWeight: number) =>
  fc.array(
    fc.oneof(
      { weight: 10, arbitrary: fc.record({ kind: fc.constant('mark' as const), range: short }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('mark' as const), range }) },
      { weight: 8, arbitrary: fc.record({ kind: fc.constant('clear' as const), range: short }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), range }) },
      { weight: 10, arbitrary: fc.record({ kind: fc.constant('step' as const), index: fc.nat(7) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('drain' as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('persist' as const, 'clearAll' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('markAll' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('merge' as const), range: short }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constantFrom('kill' as const, 'power' as const),
          choices,
          openings: fc.array(fc.nat(8), { maxLength: 2 }),
        }),
      },
      {
        weight: failureWeight,
        arbitrary: fc.record({
          kind: fc.constant('fail' as const),
          index: fc.nat(7),
          moment: fc.constantFrom('before' as const, 'after' as const),
          isRecorded: fc.boolean(),
        }),
      },
    ),
    { maxLength: 60 },
  );
type Action = ReturnType<typeof actionsWith> extends fc.Arbitrary<(infer T)[]> ? T : never;

/** The log, the disk under it, and what the log owes: marks that were answered and not cleared since. */
class Model {
  readonly storage = new PowerLossStorage(intentLogByteSize(volumeByteSize));
  device = new PowerLossDevice(this.storage);
  log: IntentLog = this.open();
  owed = new Set<number>();
  /** Everything that anybody ever asked to mark: the log has no reason to show more, unless it says why. */
  readonly asked = new Set<number>();
  pending = new Set<Iterable<number>>();
  recordedInvalid = false;
  marksAhead = false;

  open(): IntentLog {
    let log: IntentLog | undefined;
    this.startOpening((opened) => {
      log = opened;
    });
    this.device.drain();
    if (log === undefined) throw new Error('the log did not open');
    log.marksAhead = () => this.marksAhead;
    return log;
  }

  startOpening(opened: (log: IntentLog) => void): void {
    this.device = new PowerLossDevice(this.storage);
    const recordedInvalid = this.recordedInvalid ?? false;
    const options = {
      device: this.device,
      identity: sampleIdentity,
      volumeByteSize,
      createdGeneration: null,
    };
    openIntentLog({ ...options, recordedInvalid }, opened);
  }

  do(action: Action): void {
    switch (action.kind) {
      case 'mark':
        this.mark(action.range.first, action.range.last);
        break;
      case 'clear':
        this.log.clear(action.range.first, action.range.last);
        if (this.log.state !== 'invalid')
          this.forget((region) => region >= action.range.first && region <= action.range.last);
        break;
      case 'step':
        this.device.step(action.index);
        break;
      case 'drain':
        this.device.drain();
        break;
      case 'persist':
        this.log.persist(() => undefined);
        break;
      case 'clearAll':
        this.log.clearAll((error) => this.rewritten(error));
        this.forget(() => true);
        break;
      case 'markAll':
        this.log.markAll((error) => this.rewritten(error));
        for (const region of regions) this.asked.add(region);
        break;
      case 'merge': {
        const bits = new Uint8Array(Math.ceil(regionCount / 8));
        bits[action.range.first >> 3] = 1 << (action.range.first & 7);
        this.ask([action.range.first], (done) => this.log.merge(bits, done));
        break;
      }
      case 'fail':
        this.device.step(action.index, action.moment);
        if (action.isRecorded) this.recordInvalid();
        break;
      case 'kill':
      case 'power': {
        const { choices } = action;
        let at = 0;
        const choose = (count: number) => (choices[at++ % choices.length] ?? 0) % count;
        this.device.kill(choose);
        if (action.kind === 'power') this.storage.losePower(choose);
        this.pending = new Set();
        // Who opens it may die as well, in the middle of a repair.
        for (const steps of action.openings) {
          this.startOpening(() => undefined);
          for (let step = 0; step < steps; step += 1) this.device.step(0);
          this.device.kill(choose);
          this.storage.losePower(choose);
        }
        this.log = this.open();
        break;
      }
      default:
        action satisfies never;
    }
  }

  mark(first: number, last: number): void {
    const wanted = regions.filter((region) => region >= first && region <= last);
    this.ask(wanted, (done) => this.log.mark(first * regionSize + 1, (last - first) * regionSize + 1, done));
  }

  ask(wanted: readonly number[], start: (done: (error: Error | null) => void) => void): void {
    for (const region of wanted) this.asked.add(region);
    this.pending.add(wanted);
    start((error) => {
      this.pending.delete(wanted);
      if (error === null) for (const region of wanted) this.owed.add(region);
    });
  }

  /** A clear takes nothing that a mark still waits for. */
  forget(isCleared: (region: number) => boolean): void {
    const awaited = new Set([...this.pending].flatMap((wanted) => [...wanted]));
    for (const region of this.owed) if (isCleared(region) && !awaited.has(region)) this.owed.delete(region);
  }

  rewritten(error: Error | null): void {
    if (error === null && this.log.state === 'kept') this.recordedInvalid = false;
  }

  recordInvalid(): void {
    if (this.log.state === 'invalid') this.recordedInvalid = true;
  }

  check(): void {
    for (const region of this.owed) {
      if (!this.log.isMarked(region)) throw new Error(`region ${region} is owed and not marked`);
    }
    expect(this.log.markedCount).toBe(countOf(this.log.toBits()));
  }
}

const countOf = (bits: Uint8Array) =>
  bits.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);

describe('intent log and crashes (I5, FAULTS 15, 17)', () => {
  it.each([
    ['', 0, false, 2_000],
    [' when marks are rounded up', 0, true, 1_000],
    [' and writes may fail', 1, false, 1_000],
  ])(
    'a crash at any moment: set bits cover all answered, uncleared marks%s',
    (_, failureWeight, marksAhead, numRuns) => {
      fc.assert(
        fc.property(actionsWith(failureWeight), choices, (actions, left) => {
          const model = new Model();
          model.marksAhead = marksAhead;
          model.log.clearAll(() => undefined);
          model.device.drain();
          for (const each of actions) {
            model.do(each);
            model.check();
          }
          model.do({ kind: 'power', choices: left, openings: [] });
          model.check();
        }),
        { numRuns },
      );
    },
  );
});
