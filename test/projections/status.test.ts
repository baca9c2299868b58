import { describe, expect, it } from 'vitest';
import type { ResourceState } from '../../domain/state.ts';
import { mirrorStatusText } from '../../projections/mirror-status-text.ts';
import { type LiveMirror, statusOf } from '../../projections/status.ts';
import { statusText } from '../../projections/status-text.ts';
import { asOf, emptyStanding, fold, viewsOf } from '../../projections/views.ts';
import { create, extend, guideHistory, History, pair, tag } from './history.ts';

function standingOf(history: History) {
  const standing = emptyStanding();
  fold(standing, history.events);
  return standing;
}

function resourceOf(history: History): ResourceState {
  const resource = standingOf(history).state.resources[tag];
  if (resource === undefined) throw new Error(`no ${tag}`);
  return resource;
}

const statusAfter = (history: History, live: Record<string, LiveMirror> = {}) =>
  statusOf(standingOf(history).state, resourceOf(history), live);

const taken = (epoch: number, node = 'adam') => ({
  node,
  epoch,
  why: 'failover',
  after: { node: 'eve', epoch: 3 },
});

describe('status', () => {
  it('has every field of REQUIREMENTS 5, to the letter', () => {
    const standing = standingOf(guideHistory());
    expect({ ...viewsOf(standing).get(`status.${tag}`), asOf: asOf(standing) }).toEqual({
      tag,
      state: 'in-service',
      source: 'eve',
      sources: ['eve'],
      lastOwner: 'eve',
      epoch: 3,
      device: [],
      nodes: [
        { node: 'eve', role: 'source', flags: ['last-owner'], alive: true },
        { node: 'adam', role: 'target', flags: [], alive: true },
        { node: 'sophocles', role: 'target', flags: [], alive: true },
      ],
      mirrors: [
        {
          source: 'eve',
          target: 'adam',
          mode: 'sync',
          status: 'fully-operational',
          connected: true,
          data: 'up-to-date',
          eligible: true,
          notEligibleBecause: null,
          percent: 100,
          speedBytesPerSecond: null,
          etaSeconds: null,
          dirtyRegions: 0,
          regions: 4896,
          queuedWrites: null,
          behind: null,
          congested: false,
          generation: '00000000000000a1',
          lastResync: { kind: 'full', bytes: 320_864_256, result: 'completed' },
        },
        {
          source: 'eve',
          target: 'sophocles',
          mode: 'async',
          status: 'resyncing',
          connected: true,
          data: 'inconsistent',
          eligible: false,
          notEligibleBecause: 'target-resyncing',
          percent: 11.4,
          speedBytesPerSecond: 48_000_000,
          etaSeconds: 192,
          dirtyRegions: 4338,
          regions: 4896,
          queuedWrites: null,
          behind: null,
          congested: false,
          generation: null,
          lastResync: null,
        },
      ],
      asOf: {
        heads: { adam: [1, 1], eve: [1, 9], sophocles: [1, 1] },
        time: '2026-11-20T12:00:11.000Z',
      },
    });
  });

  it('for people looks as REQUIREMENTS 5 shows it', () => {
    const view = statusAfter(guideHistory(), {
      sophocles: { behind: { writes: 212, bytes: 1_700_000, ms: 4000 } },
    });
    const at = { heads: { eve: [1, 1042] as const }, time: null };
    expect(statusText(view, at, 400)).toBe(
      [
        'datarep-ext3  in service on eve   last owner eve   epoch 3   as of eve#1042, 0.4 s ago',
        '  adam       sync   up to date                        can take over',
        '  sophocles  async  resyncing 11%  48 MB/s  0:03:12   cannot take over: resyncing; behind 212 writes, 1.7 MB, 4 s',
      ].join('\n'),
    );
  });

  it('a resource that was never extended is degraded: local only (rule 1)', () => {
    const history = new History()
      .add('eve', 'resource.created', tag, create('eve'))
      .add('eve', 'resource.entered-service', tag, { node: 'eve', epoch: 1, why: 'created', after: null });
    expect(statusAfter(history)).toMatchObject({ state: 'degraded', source: 'eve', mirrors: [] });
    expect(statusText(statusAfter(history), { heads: {}, time: null }, null)).toBe(
      'datarep-ext3  degraded on eve   last owner eve   epoch 1',
    );
  });

  it('a lost target is not eligible, and with it gone nothing protects', () => {
    const history = guideHistory().add('eve', 'node.lost', null, { node: 'adam', silentMs: 5000 });
    const view = statusAfter(history);
    expect(view.state).toBe('degraded');
    expect(view.mirrors[0]).toMatchObject({
      connected: false,
      eligible: false,
      notEligibleBecause: 'target-unreachable',
    });
    expect(view.nodes[1]).toMatchObject({ node: 'adam', alive: false });
  });

  it('a source that is lost is said not to be heard, and for how long where that is known', () => {
    const history = guideHistory().add('adam', 'node.lost', null, { node: 'eve', silentMs: 5000 });
    const text = (view: ReturnType<typeof statusAfter>) => statusText(view, { heads: {}, time: null }, null);
    const view = statusAfter(history);
    expect(text(view).split('\n')[0]).toContain('on eve   eve not heard   last owner eve');
    const nodes = view.nodes.map((node) => ({ ...node, heardMsAgo: node.node === 'eve' ? 12_000 : 300 }));
    expect(text({ ...view, nodes }).split('\n')[0]).toContain(
      'on eve   eve not heard for 12 s   last owner eve',
    );
    expect(text(statusAfter(guideHistory()))).not.toContain('not heard');
  });

  it('out of service, no node has a role, and the last owner stays', () => {
    const history = guideHistory().add('eve', 'resource.left-service', tag, {
      node: 'eve',
      epoch: 3,
      why: 'out-of-service',
      handedTo: null,
    });
    const view = statusAfter(history);
    expect(view).toMatchObject({ state: 'out-of-service', source: null, sources: [], lastOwner: 'eve' });
    expect(view.nodes.map(({ role }) => role)).toEqual(['none', 'none', 'none']);
  });

  it('after a failover the mirrors are the new source’s, and the old source is its target', () => {
    const history = guideHistory()
      .add('adam', 'node.lost', null, { node: 'eve', silentMs: 5000 })
      .add('adam', 'resource.entered-service', tag, taken(4));
    const view = statusAfter(history);
    expect(view).toMatchObject({ state: 'degraded', source: 'adam', lastOwner: 'adam', epoch: 4 });
    expect(view.mirrors.map(({ source, target }) => `${source} -> ${target}`)).toEqual([
      'adam -> eve',
      'adam -> sophocles',
    ]);
  });

  it('split brain: no single source, and every reign is told', () => {
    const reigns = [
      { node: 'eve', epoch: 3 },
      { node: 'adam', epoch: 4 },
    ];
    const history = guideHistory()
      .add('adam', 'takeover.conflicted', tag, { reigns })
      .add('adam', 'split-brain.detected', tag, { reigns });
    const view = statusAfter(history);
    expect(view).toMatchObject({ state: 'split-brain', source: null, sources: ['eve', 'adam'] });
    expect(statusText(view, { heads: {}, time: null }, null)).toMatch(
      /^datarep-ext3 {2}split brain on eve and adam /,
    );
  });

  it('flags a node that cannot tell whether another took over, and one with a damaged journal', () => {
    const history = guideHistory()
      .add('eve', 'data-corrupt.flagged', tag, { node: 'eve', missing: ['adam'] })
      .add('eve', 'journal.damaged', null, { node: 'eve', code: 'bad-chain', text: 'event 7' });
    expect(statusAfter(history).nodes[0]?.flags).toEqual(['last-owner', 'data-corrupt', 'journal-damaged']);
  });

  it('what the engine says at this moment goes over what the history knows', () => {
    const live = { adam: { queuedWrites: 7, congested: true, connected: false } };
    const view = statusAfter(guideHistory(), live);
    expect(view.mirrors[0]).toMatchObject({ queuedWrites: 7, congested: true, connected: false });
    expect(statusText(view, { heads: {}, time: null }, null)).toContain(
      'up to date, disconnected          can take over; congested',
    );
  });

  it('a deleted resource has no view', () => {
    const history = guideHistory();
    const created = history.events.find(({ type }) => type === 'resource.created')?.id;
    history.add('eve', 'resource.deleted', tag, { created });
    expect([...viewsOf(standingOf(history)).keys()].filter((name) => name.startsWith('status.'))).toEqual([]);
  });
});

describe('mirror_status', () => {
  it('looks as the admin guide shows it', () => {
    const bytes = 4895 * 65_536;
    const history = new History()
      .add('eve', 'resource.created', tag, create('eve', bytes))
      .add('eve', 'resource.entered-service', tag, { node: 'eve', epoch: 1, why: 'created', after: null })
      .add('eve', 'resource.extended', tag, extend('adam', 'async', 2, bytes))
      .add('eve', 'resource.extended', tag, extend('sophocles', 'sync', 3, bytes))
      .add('eve', 'mirror.paused', tag, { ...pair('adam'), by: 'operator', reason: 'backup' })
      .add('eve', 'resync.started', tag, {
        ...pair('sophocles'),
        kind: 'full',
        bytes,
        regions: 4895,
        dirtyRegions: 4895,
      })
      .add('eve', 'resync.progressed', tag, {
        ...pair('sophocles'),
        percent: 11,
        speedBytesPerSecond: 1573 * 1024,
        etaSeconds: null,
        dirtyRegions: 4357,
      });
    expect(mirrorStatusText(statusAfter(history), 4895)).toBe(`[-] eve -> adam

  Status: Paused

  Type: Asynchronous

[-] eve -> sophocles

  Status: Resynchronizing

    [=>   ] 11%

    Resync Speed: 1573K/sec

  Type: Synchronous

Bitmap: 4895 bits (chunks), 4895 dirty (100.0%)
`);
  });

  it.each([
    [0, '[>    ] 0%'],
    [50, '[===> ] 50%'],
    [99.9, '[====>] 99%'],
    [100, '[=====] 100%'],
  ])('the bar at %d percent', (percent, bar) => {
    const view = statusAfter(guideHistory(), { sophocles: { percent } });
    expect(mirrorStatusText(view, null)).toContain(`    ${bar}\n`);
  });

  it('says that no bitmap is kept', () => {
    expect(mirrorStatusText(statusAfter(guideHistory()), null)).toMatch(/\nBitmap: none\n$/);
  });
});
