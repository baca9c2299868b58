import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect } from 'nats';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CausalOrder, causalFacts } from '../../domain/causality.ts';
import { EventEnvelope } from '../../domain/envelope.ts';
import { readEvent } from '../../journal/read-event.ts';
import type { StatusView } from '../../projections/status.ts';
import { bucketViews, emptyStanding, fold, viewsOf } from '../../projections/views.ts';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import type { Status } from './local-client.ts';
import { mirrorkeeper } from './node-under-test.ts';

const byteSize = 16 * megabyte;
const run = promisify(execFile);

async function twoNodes() {
  const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
  return cluster;
}

/** A dashboard: all statuses that it is shown, in order. */
async function dashboard(cluster: Cluster): Promise<Status[]> {
  const nats = await connect({ servers: cluster.site.url });
  onTestFinished(() => nats.close());
  const views = await nats.jetstream().views.kv('mk-lab-views', { bindOnly: true });
  const watch = await views.watch({ key: 'status.>' });
  const shown: Status[] = [];
  void (async () => {
    for await (const entry of watch) shown.push(entry.json<{ value: Status }>().value);
  })();
  return shown;
}

describe('readers from outside', { timeout: 60_000 }, () => {
  it('a dashboard that comes late gets the present view first, then each change, none older than the one before', async () => {
    const cluster = await twoNodes();
    const shown = await dashboard(cluster);
    await cluster.eventually('the present view', async () => {
      expect(shown[0]).toMatchObject({ tag: 't1', source: 'eve', epoch: 1 });
    });
    await cluster.order('eve', 'pause', { tag: 't1', targets: ['adam'], reason: 'test' });
    await cluster.order('eve', 'resume', { tag: 't1', targets: ['adam'] });
    await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    await cluster.order('eve', 'switchover', { tag: 't1', node: 'adam' });
    await cluster.eventually('the switchover', async () => {
      expect(shown.at(-1)).toMatchObject({ source: 'adam', epoch: 2 });
      expect(mirrorTo(shown.at(-1) as Status, 'eve')?.status).toBe('fully-operational');
    });
    expect(shown.some((view) => mirrorTo(view, 'adam')?.status === 'paused')).toBe(true);
    const epochs = shown.map(({ epoch }) => epoch);
    expect(epochs).toEqual([...epochs].sort());
    await cluster.verifyJournals();
  });

  it('what an auditor exports from either node replays to the views that were shown', async () => {
    const cluster = await twoNodes();
    await cluster.order('eve', 'switchover', { tag: 't1', node: 'adam' });
    await cluster.untilInSync('eve', 't1', 'adam', ['eve']);
    const shown = await dashboard(cluster);
    await cluster.eventually('a view', async () => expect(shown).not.toEqual([]));
    // Of an agent that runs, too.
    const socket = join(cluster.node('eve').dir, 'agent.sock');
    const verified = await run(process.execPath, [
      mirrorkeeper,
      'journal',
      'verify',
      '--decisions',
      '--socket',
      socket,
    ]);
    expect(verified.stdout).toMatch(/^\d+ events in 2 logs and \d+ decisions verify\n$/);
    await cluster.verifyJournals();
    const replayed = await Promise.all(cluster.nodes.map(({ dir }) => replay(dir)));
    expect(replayed[0]).toEqual(replayed[1]);
    const { asOf: _, ...last } = shown.at(-1) as Status;
    expect(replayed[0]?.['status.t1']).toEqual(last satisfies StatusView);
  });
});

/** The views of an export, made from nothing but its lines. */
async function replay(dir: string): Promise<Record<string, unknown>> {
  const { stdout } = await run(process.execPath, [mirrorkeeper, 'journal', 'export', '--data', dir], {
    maxBuffer: 64 * megabyte,
  });
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string });
  const events = lines
    .filter(({ type }) => !type.includes('journal.head'))
    .map((line) => EventEnvelope.parse(line));
  const order = new CausalOrder<EventEnvelope>(causalFacts);
  order.add(events);
  const standing = emptyStanding();
  fold(standing, order.events().map(readEvent));
  const views = [...viewsOf(standing)].filter(([name]) => bucketViews.includes(name.split('.')[0] ?? ''));
  return Object.fromEntries(views);
}
