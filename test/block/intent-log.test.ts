import { beforeEach, describe, expect, it } from 'vitest';
import { bitmapByteSize, encodeHeader, regionsPerPage } from '../../adapters/block/bitmap-codec.ts';
import type { IntentLog } from '../../adapters/block/intent-log.ts';
import type { IntentLogOptions } from '../../adapters/block/open-intent-log.ts';
import { openIntentLog, regionCountOf } from '../../adapters/block/open-intent-log.ts';
import { NodeName, regionSize, Tag, VolumeName } from '../../domain/vocabulary.ts';
import { PowerLossDevice, PowerLossStorage } from './power-loss-device.ts';
import { sampleIdentity } from './replica-samples.ts';

const volumeByteSize = (2 * regionsPerPage + 10) * regionSize - 1_000;
const regionCount = regionCountOf(volumeByteSize);

let storage: PowerLossStorage;
let device: PowerLossDevice;

function open(change: Partial<IntentLogOptions> = {}): IntentLog {
  device = new PowerLossDevice(storage);
  let log: IntentLog | undefined;
  openIntentLog(
    {
      device,
      identity: sampleIdentity,
      volumeByteSize,
      recordedInvalid: false,
      createdGeneration: null,
      ...change,
    },
    (opened) => {
      log = opened;
    },
  );
  device.drain();
  if (log === undefined) throw new Error('the log did not open');
  return log;
}

/** An open log with no region marked. */
function openClean(): IntentLog {
  const log = open();
  log.clearAll(() => undefined);
  device.drain();
  return log;
}

const mark = (log: IntentLog, region: number, answers: unknown[] = [], count = 1) =>
  log.mark(region * regionSize, count * regionSize, (error) => answers.push(error));

beforeEach(() => {
  storage = new PowerLossStorage(bitmapByteSize(regionCount));
});

describe('IntentLog', () => {
  it('a new one has every region marked and says why', () => {
    const log = open();
    expect(log).toMatchObject({ state: 'kept', regionCount, markedCount: regionCount });
    expect(log.reason).toBe('the bitmap file is new');
  });

  it('answers a mark when it is on stable storage, and at once where it already is', () => {
    const log = openClean();
    const answers: unknown[] = [];
    mark(log, 7, answers);
    expect(answers).toEqual([]);
    device.drain();
    expect(answers).toEqual([null]);
    mark(log, 7, answers);
    expect(answers).toEqual([null, null]);
    expect(device.queueLength).toBe(0);
  });

  it('marks every region that a range of bytes touches', () => {
    const log = openClean();
    log.mark(3 * regionSize - 1, regionSize + 2, () => undefined);
    expect([1, 2, 3, 4, 5].filter((region) => log.isMarked(region))).toEqual([2, 3, 4]);
    log.mark(10 * regionSize, 0, () => undefined);
    expect(log.markedCount).toBe(3);
    expect(log.nextMarked(0)).toBe(2);
    expect(log.nextMarked(5)).toBe(-1);
  });

  it('marks that come together share one flush', () => {
    const log = openClean();
    const before = device.flushCount;
    const answers: unknown[] = [];
    for (let region = 0; region < 50; region += 1) mark(log, region * 1_000, answers);
    device.drain();
    expect(answers).toHaveLength(50);
    // The first alone, the other 49 together.
    expect(device.flushCount - before).toBe(2);
  });

  it('a second mark of a region that is being written waits for that write, not for another', () => {
    const log = openClean();
    const before = device.flushCount;
    const answers: unknown[] = [];
    for (let times = 0; times < 5; times += 1) mark(log, 3, answers);
    device.drain();
    expect(answers).toHaveLength(5);
    expect(device.flushCount - before).toBe(1);
  });

  it('a region that is cleared and marked again and again costs no I/O', () => {
    const log = openClean();
    mark(log, 3);
    device.drain();
    const before = device.flushCount;
    for (let times = 0; times < 100; times += 1) {
      log.clear(3, 3);
      expect(log.isMarked(3)).toBe(false);
      const answers: unknown[] = [];
      mark(log, 3, answers);
      expect(answers).toEqual([null]);
    }
    expect(device.flushCount).toBe(before);
  });

  it('many marks for a peer in sync: neighbours cost no I/O, and only a crash finds them marked', () => {
    const log = openClean();
    log.marksAhead = () => true;
    const extent = 64;
    for (let at = 0; at < 40; at += 1) mark(log, at * extent + 5);
    device.drain();
    const before = device.flushCount;
    const answers: unknown[] = [];
    mark(log, 3 * extent, answers);
    expect(answers).toEqual([null]);
    expect(device.flushCount).toBe(before);
    expect(log.markedCount).toBe(41);

    const reopened = open();
    expect(reopened.markedCount).toBe(40 * extent);
    expect([3, 39].map((at) => reopened.isMarked(at * extent + 63))).toEqual([true, true]);
  });

  it('many marks beside the end of the volume: no region that there is not', () => {
    const log = openClean();
    log.marksAhead = () => true;
    for (let at = 0; at < 40; at += 1) mark(log, regionCount - 1 - at * 64);
    mark(log, regionCount - 1);
    device.drain();
    log.clear(0, regionCount - 2);
    log.persist(() => undefined);
    device.drain();
    expect(open().markedCount).toBe(1);
  });

  it('few marks, or a peer that is away: exact after a crash too', () => {
    const log = openClean();
    for (let at = 0; at < 40; at += 1) mark(log, at * 64);
    device.drain();
    expect(open().markedCount).toBe(40);
    const few = openClean();
    few.marksAhead = () => true;
    for (let at = 0; at < 32; at += 1) mark(few, at * 64);
    device.drain();
    expect(open().markedCount).toBe(32);
  });

  it('the reason holds until everything is clear: a resync has mended it', () => {
    const log = open();
    log.clear(0, regionCount - 2);
    expect(log.reason).not.toBeNull();
    log.clear(regionCount - 1, regionCount - 1);
    expect(log).toMatchObject({ reason: null, markedCount: 0 });
  });

  it('clears are on disk after persist, not before', () => {
    const log = openClean();
    mark(log, 3);
    mark(log, regionsPerPage + 1);
    device.drain();
    log.clear(0, regionCount - 1);
    expect(open().markedCount).toBe(2);
    const again = open();
    again.clear(0, regionCount - 1);
    let isPersisted = false;
    again.persist(() => {
      isPersisted = true;
    });
    device.drain();
    expect(isPersisted).toBe(true);
    expect(open()).toMatchObject({ markedCount: 0, reason: null });
  });

  it('many pages with clears are written without being asked for', () => {
    const pages = 70;
    const large = pages * regionsPerPage * regionSize;
    storage = new PowerLossStorage(bitmapByteSize(regionCountOf(large)));
    const log = open({ volumeByteSize: large });
    log.clear(0, (pages - 1) * regionsPerPage);
    expect(device.queueLength).toBeGreaterThan(0);
    device.drain();
    expect(open({ volumeByteSize: large }).markedCount).toBe(regionsPerPage - 1);
  });

  it('a mark wins over a clear that is being written (I5)', () => {
    const log = openClean();
    mark(log, 3);
    device.drain();
    log.clear(3, 3);
    log.persist(() => undefined);
    device.step(0);
    const answers: unknown[] = [];
    mark(log, 3, answers);
    expect(answers).toEqual([]);
    device.drain();
    expect(answers).toEqual([null]);
    storage.losePower(() => 0);
    expect(open().isMarked(3)).toBe(true);
  });

  it('merges what another log names', () => {
    const log = openClean();
    mark(log, 1);
    device.drain();
    const other = new Uint8Array(Math.ceil(regionCount / 8)).fill(0xff, 4_000, 4_100);
    const answers: unknown[] = [];
    log.merge(other, (error) => answers.push(error));
    expect(answers).toEqual([]);
    device.drain();
    expect(answers).toEqual([null]);
    const reopened = open();
    expect(reopened.markedCount).toBe(801);
    expect(reopened.toBits()).toEqual(log.toBits());
  });

  it.each([
    ['cluster', { cluster: 'other' }],
    ['tag', { tag: Tag.parse('other') }],
    ['resource', { resource: 'adam-1-1' }],
    ['volume', { volume: VolumeName.parse('other') }],
    ['node', { node: NodeName.parse('other') }],
    ['peer', { peer: NodeName.parse('other') }],
  ])('a file of another %s counts as all ones, and says so (FAULTS 17)', (_, change) => {
    openClean();
    const log = open({ identity: { ...sampleIdentity, ...change } });
    expect(log.markedCount).toBe(regionCount);
    expect(log.reason).toMatch(/belongs to volume data of datarep-ext3/);
  });

  it('a file for another size of the volume counts as all ones', () => {
    openClean();
    const log = open({ volumeByteSize: volumeByteSize - 2 * regionSize });
    expect(log.markedCount).toBe(regionCount - 2);
    expect(log.reason).toMatch(/regions/);
  });

  it('pages of another log under a right header are not believed', () => {
    openClean();
    const identity = { ...sampleIdentity, peer: NodeName.parse('other') };
    const header = { identity, regionSize, regionCount, createdGeneration: null, asyncLimit: 256 };
    storage.write(encodeHeader(header), 0);
    expect(open({ identity }).markedCount).toBe(regionCount);
  });

  it('a damaged page reads as all ones, is told, and is whole again after opening', () => {
    const log = openClean();
    mark(log, 5);
    device.drain();
    storage.damage(2 * 4096 + 17, 1);
    const torn = open();
    expect(torn.markedCount).toBe(regionsPerPage + 1);
    expect(torn.isMarked(5)).toBe(true);
    expect(torn.reason).toMatch(/1 of 3 pages/);
    expect(open()).toMatchObject({ markedCount: regionsPerPage + 1, reason: null });
  });

  it('after a write error it is invalid, reads as all ones, and refuses marks until it is rewritten (FAULTS 15)', () => {
    const log = openClean();
    const answers: object[] = [];
    const answer = (error: Error | null) => answers.push(error ?? {});
    log.mark(0, 1, answer);
    log.mark(regionSize * 40_000, 1, answer);
    device.step(0, 'before');
    expect(answers).toMatchObject([{ code: 'EIO' }, { code: 'EIO' }]);
    expect(log).toMatchObject({ state: 'invalid', markedCount: regionCount });
    log.mark(0, 1, answer);
    log.persist(answer);
    log.merge(new Uint8Array(), answer);
    log.clear(0, 5);
    expect(answers.slice(2)).toMatchObject(Array(3).fill({ code: 'intent-log-invalid' }));
    expect(log.markedCount).toBe(regionCount);
    log.clearAll((error) => answers.push(error ?? { code: 'rewritten' }));
    log.mark(9 * regionSize, 1, answer);
    device.drain();
    expect(answers.slice(5)).toEqual([{}, { code: 'rewritten' }]);
    expect(log).toMatchObject({ state: 'kept', reason: null, markedCount: 1 });
    expect(open().isMarked(9)).toBe(true);
  });

  it('bits that only the page cache has, after a flush that failed, are written again at opening', () => {
    mark(openClean(), 3);
    device.step(0);
    device.step(0, 'before');
    const log = open();
    expect(log.isMarked(3)).toBe(true);
    const answers: unknown[] = [];
    mark(log, 3, answers);
    expect(answers).toEqual([null]);
    storage.losePower(() => 0);
    expect(open().isMarked(3)).toBe(true);
  });

  it('one that is recorded as invalid is not believed, whatever the file says', () => {
    openClean();
    const log = open({ recordedInvalid: true });
    expect(log).toMatchObject({ state: 'invalid', markedCount: regionCount });
    expect(open().markedCount).toBe(0);
  });

  it('none: everything counts as dirty at first, nothing is written, marks are answered at once', () => {
    const log = open({ device: null });
    expect(log).toMatchObject({ state: 'none', markedCount: regionCount });
    const answers: unknown[] = [];
    log.clearAll((error) => answers.push(error));
    mark(log, 5, answers);
    mark(log, 5, answers, 3);
    log.clear(6, 6);
    log.persist((error) => answers.push(error));
    log.close((error) => answers.push(error));
    expect(answers).toEqual([null, null, null, null, null]);
    expect(log.markedCount).toBe(2);
  });

  it('closing persists first', () => {
    const log = openClean();
    mark(log, 5);
    device.drain();
    log.clear(5, 5);
    let isClosed = false;
    log.close(() => {
      isClosed = true;
    });
    device.drain();
    expect(isClosed).toBe(true);
    expect(open().markedCount).toBe(0);
  });

  it('a mark that costs no I/O costs less than a microsecond', () => {
    const log = openClean();
    mark(log, 3);
    device.drain();
    let answered = 0;
    const done = () => {
      answered += 1;
    };
    const rounds = 1_000_000;
    for (let round = 0; round < rounds; round += 1) log.mark(3 * regionSize + 4096, 4096, done);
    const startMs = performance.now();
    for (let round = 0; round < rounds; round += 1) log.mark(3 * regionSize + 4096, 4096, done);
    const nsPerMark = ((performance.now() - startMs) * 1e6) / rounds;
    expect(answered).toBe(2 * rounds);
    expect(nsPerMark).toBeLessThan(1_000);
  });
});
