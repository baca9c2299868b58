import { describe, expect, it } from 'vitest';
import { type AlarmView, alarmSeverities } from '../../projections/alarms.ts';
import type { ExposureView } from '../../projections/exposure.ts';
import { isoTime } from '../../projections/iso-time.ts';
import { emptyStanding, fold, viewsOf } from '../../projections/views.ts';
import { guideHistory, type History, pair, tag } from './history.ts';

function viewsAfter(history: History): Map<string, object> {
  const standing = emptyStanding();
  fold(standing, history.events);
  return viewsOf(standing);
}

const alarmsAfter = (history: History): AlarmView[] =>
  [...viewsAfter(history)].filter(([name]) => name.startsWith('alarm.')).map(([, view]) => view as AlarmView);

const exposureAfter = (history: History, target: string) =>
  viewsAfter(history).get(`exposure.${tag}.${target}`) as ExposureView;

describe('last owner', () => {
  it('is the node that was the last source, since the event that made it so', () => {
    const history = guideHistory();
    expect(viewsAfter(history).get(`last_owner.${tag}`)).toEqual({
      tag,
      node: 'eve',
      epoch: 3,
      because: 'eve/1/3',
      since: '2026-11-20T12:00:05.000Z',
      dataCorrupt: false,
    });
    history.add('adam', 'resource.entered-service', tag, {
      node: 'adam',
      epoch: 4,
      why: 'failover',
      after: { node: 'eve', epoch: 3 },
    });
    expect(viewsAfter(history).get(`last_owner.${tag}`)).toMatchObject({ node: 'adam', because: 'adam/1/2' });
  });

  it('stays when the resource leaves service, and says when that node must not go in service by itself', () => {
    const history = guideHistory()
      .add('eve', 'data-corrupt.flagged', tag, { node: 'eve', missing: ['adam'] })
      .add('eve', 'resource.left-service', tag, {
        node: 'eve',
        epoch: 3,
        why: 'cannot-tell',
        handedTo: null,
      });
    expect(viewsAfter(history).get(`last_owner.${tag}`)).toMatchObject({ node: 'eve', dataCorrupt: true });
  });
});

describe('progress', () => {
  it('of a running resync, and how the last one ended', () => {
    const views = viewsAfter(guideHistory());
    expect(views.get(`progress.${tag}.sophocles`)).toEqual({
      tag,
      source: 'eve',
      target: 'sophocles',
      status: 'resyncing',
      kind: 'full',
      percent: 11.4,
      speedBytesPerSecond: 48_000_000,
      etaSeconds: 192,
      bytes: 320_864_256,
      dirtyRegions: 4338,
      regions: 4896,
      lastResync: null,
    });
    expect(views.get(`progress.${tag}.adam`)).toMatchObject({
      percent: 100,
      kind: null,
      lastResync: { kind: 'full', bytes: 320_864_256, result: 'completed' },
    });
  });
});

describe('nodes', () => {
  it('says who is alive since when, by which event, with what trouble', () => {
    const history = guideHistory()
      .add('eve', 'node.lost', null, { node: 'sophocles', silentMs: 5000 })
      .add('eve', 'node.clock-skewed', null, { node: 'adam', aheadMs: 90_000 })
      .add('eve', 'journal.damaged', null, { node: 'adam', code: 'gap', text: 'event 7 is missing' });
    const views = viewsAfter(history);
    expect(views.get('node.sophocles')).toEqual({
      node: 'sophocles',
      alive: false,
      heardMsAgo: null,
      since: '2026-11-20T12:00:12.000Z',
      because: 'eve/1/10',
      host: null,
      journalDamaged: false,
      clockAheadMs: null,
    });
    expect(views.get('node.adam')).toMatchObject({ journalDamaged: true, clockAheadMs: 90_000 });
    expect(views.get('node.eve')).toMatchObject({ alive: true, host: 'eve.example' });
  });
});

describe('alarms', () => {
  const reigns = [
    { node: 'eve', epoch: 3 },
    { node: 'adam', epoch: 4 },
  ];
  const recovery = { node: 'adam', what: 'the engine' };
  /** What raises each alarm, and what ends it. */
  const causes: readonly [
    id: string,
    raise: (h: History) => History,
    end: ((h: History) => History) | null,
  ][] = [
    [
      `split-brain.${tag}`,
      (h) => h.add('eve', 'split-brain.detected', tag, { reigns }),
      (h) =>
        h.add('eve', 'split-brain.resolved', tag, {
          victim: 'adam',
          survivor: 'eve',
          lost: { text: '3 writes', writes: 3, bytes: 12_288, since: null },
        }),
    ],
    [`conflicted.${tag}`, (h) => h.add('eve', 'takeover.conflicted', tag, { reigns }), null],
    [
      `awaiting-confirmation.${tag}`,
      (h) =>
        h.add('adam', 'failover.confirmation-requested', tag, {
          lost: 'eve',
          candidate: 'adam',
          seconds: 600,
          default: 'proceed',
        }),
      (h) => h.add('adam', 'node.returned', null, { node: 'eve', restarted: false }),
    ],
    [
      `failover-blocked.${tag}`,
      (h) =>
        h.add('adam', 'failover.blocked', tag, {
          lost: 'eve',
          candidate: 'adam',
          code: 'failover-not-confirmed',
          text: 'nobody confirmed',
        }),
      (h) => h.add('adam', 'node.returned', null, { node: 'eve', restarted: false }),
    ],
    [
      `data-corrupt.${tag}.eve`,
      (h) => h.add('eve', 'data-corrupt.flagged', tag, { node: 'eve', missing: ['adam'] }),
      (h) => h.add('eve', 'data-corrupt.cleared', tag, { node: 'eve', by: 'peers-returned' }),
    ],
    [
      `replica-failed.${tag}.adam`,
      (h) => h.add('adam', 'disk.failed', tag, { node: 'adam', volume: 'data', error: 'EIO' }),
      (h) => h.add('adam', 'local-recovery.succeeded', tag, recovery),
    ],
    [
      `local-recovery-failed.${tag}.adam`,
      (h) =>
        h.add('adam', 'local-recovery.failed', tag, {
          ...recovery,
          blocked: true,
          text: 'Local recovery failure',
        }),
      (h) => h.add('adam', 'local-recovery.succeeded', tag, recovery),
    ],
    [
      'journal-damaged.adam',
      (h) => h.add('adam', 'journal.damaged', null, { node: 'adam', code: 'gap', text: 'event 7' }),
      (h) => h.add('adam', 'journal.repaired', null, { node: 'adam', text: 'from eve' }),
    ],
    [`unknown-event.${tag}`, (h) => h.addUnknown('adam', 'mirrorkeeper.resource.moved.v1', tag), null],
    [
      `unrelated-data.${tag}.adam`,
      (h) =>
        h.add('eve', 'mirror.disconnected', tag, { ...pair('adam'), why: 'unrelated-data', away: false }),
      (h) =>
        h.add('eve', 'resync.started', tag, {
          ...pair('adam'),
          kind: 'full',
          bytes: 1,
          regions: 1,
          dirtyRegions: 1,
        }),
    ],
    [
      `file-system-failed.${tag}.eve`,
      (h) => h.add('eve', 'file-system.failed', tag, { node: 'eve', what: 'mount', why: 'bad superblock' }),
      (h) =>
        h.add('eve', 'file-system.mounted', tag, {
          node: 'eve',
          epoch: 3,
          mounts: [{ volume: 'data', device: '/dev/loop0', at: '/srv/data' }],
        }),
    ],
    [
      'node-lost.adam',
      (h) => h.add('eve', 'node.lost', null, { node: 'adam', silentMs: 5000 }),
      (h) => h.add('eve', 'node.returned', null, { node: 'adam', restarted: false }),
    ],
    [
      `out-of-sync.${tag}.adam`,
      (h) =>
        h.add('eve', 'mirror.lost-sync', tag, {
          ...pair('adam'),
          generation: null,
          why: 'lost',
          known: true,
        }),
      (h) => h.add('eve', 'mirror.connected', tag, { ...pair('adam'), inSync: true }),
    ],
    [
      `congested.${tag}.adam`,
      (h) => h.add('eve', 'mirror.congested', tag, { ...pair('adam'), congested: true }),
      (h) => h.add('eve', 'mirror.congested', tag, { ...pair('adam'), congested: false }),
    ],
    [
      `verify-differences.${tag}.adam`,
      (h) =>
        h.add('eve', 'verify.completed', tag, {
          ...pair('adam'),
          bytes: 65_536,
          differing: 1,
          ranges: [{ volume: 'data', first: 7, last: 7 }],
        }),
      (h) =>
        h.add('eve', 'resync.completed', tag, {
          ...pair('adam'),
          kind: 'partial',
          bytes: 65_536,
          generation: null,
        }),
    ],
    [
      `link-corruption.${tag}.adam`,
      (h) => h.add('adam', 'link.corruption-detected', tag, { node: 'adam', peer: 'eve', count: 2 }),
      (h) => h.add('eve', 'mirror.connected', tag, { ...pair('adam'), inSync: true }),
    ],
    [
      'clock-skewed.adam',
      (h) => h.add('eve', 'node.clock-skewed', null, { node: 'adam', aheadMs: 2_592_000_000 }),
      (h) => h.add('eve', 'node.returned', null, { node: 'adam', restarted: true }),
    ],
  ];

  it('there are none while all is well', () => {
    expect(alarmsAfter(guideHistory())).toEqual([]);
  });

  it.each(causes)('%s is raised by its cause and ends with it', (id, raise, end) => {
    const history = raise(guideHistory());
    const because = history.events.at(-1)?.id;
    const raised = alarmsAfter(history).find((alarm) => alarm.id === id);
    expect(raised).toMatchObject({ id, because });
    expect(raised?.text).not.toMatch(/undefined|null|\[object/);
    if (end !== null) expect(alarmsAfter(end(history)).map((alarm) => alarm.id)).not.toContain(id);
  });

  it('one that somebody has seen stays and says so, until it is raised anew', () => {
    const lost = (h: History) => h.add('adam', 'node.lost', null, { node: 'eve', silentMs: 5000 });
    const history = lost(guideHistory());
    const raisedBy = history.events.at(-1)?.id ?? '';
    const seen = history.add('adam', 'alarm.acknowledged', null, {
      alarm: 'node-lost.eve',
      raisedBy,
      since: null,
    });
    const of = (h: History) => alarmsAfter(h).find(({ id }) => id === 'node-lost.eve')?.acknowledged;
    expect(of(seen)).toMatchObject({ by: seen.events.at(-1)?.actor.id, at: expect.any(String) });
    const again = lost(seen.add('adam', 'node.returned', null, { node: 'eve', restarted: false }));
    expect(of(again)).toBeNull();
  });

  it('every kind of alarm is tested', () => {
    const tested = causes.map(([id]) => id.split('.')[0]);
    expect(tested.sort()).toEqual(Object.keys(alarmSeverities).sort());
  });
});

describe('exposure', () => {
  it('counts how long and how often a mirror protected nothing, and how much would be lost', () => {
    const history = guideHistory();
    expect(exposureAfter(history, 'adam')).toMatchObject({
      atRisk: false,
      since: null,
      bytesAtRisk: 0,
      episodes: 1,
      totalMs: 2000,
      longestMs: 2000,
    });
    expect(exposureAfter(history, 'sophocles')).toMatchObject({
      atRisk: true,
      since: '2026-11-20T12:00:09.000Z',
      because: 'eve/1/7',
      bytesAtRisk: 4338 * 65_536,
    });
  });

  it('a lost node exposes every mirror that it had a part in', () => {
    const history = guideHistory().add('eve', 'node.lost', null, { node: 'adam', silentMs: 5000 });
    expect(exposureAfter(history, 'adam')).toMatchObject({ atRisk: true, bytesAtRisk: null, episodes: 2 });
    history.time += 60_000;
    history.add('eve', 'mirror.connected', tag, { ...pair('adam'), inSync: true });
    expect(exposureAfter(history, 'adam')).toMatchObject({
      atRisk: false,
      totalMs: 63_000,
      longestMs: 61_000,
    });
  });
});

describe('ISO time', () => {
  it('is what the calendar says, leap years and the years before 1970 included', () => {
    const moments = [0, -1, 951_827_696_789, 1_795_176_000_000, 4_107_542_399_999, 253_402_300_799_999];
    expect(moments.map(isoTime)).toEqual(moments.map((ms) => new Date(ms).toISOString()));
  });
});
