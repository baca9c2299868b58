import { chmod, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Cluster, megabyte } from './cluster.ts';
import { mountingCluster, untilMounted, untilUnmounted } from './mounting-cluster.ts';
import { Postgres } from './postgres.ts';

const tag = 'pg';
const benchSeconds = 60;

/** Two volumes of one resource, each with a file system: PostgreSQL's data, and its write-ahead log. */
async function mirrored(site: Cluster): Promise<void> {
  const volumes = (name: string) =>
    ['data', 'wal'].map((volume) => ({ name: volume, path: `${site.node(name).image(tag)}.${volume}` }));
  for (const { name } of site.nodes)
    for (const { path } of volumes(name)) {
      await writeFile(path, '');
      await truncate(path, 256 * megabyte);
    }
  const mount = (name: string) => site.node(name).mountPoint(tag);
  const content = { content: 'new-filesystem', fstype: 'ext4' };
  await site.order('eve', 'create', {
    tag,
    node: 'eve',
    volumes: volumes('eve'),
    mount: mount('eve'),
    ...content,
  });
  await untilMounted(site, 'eve', tag);
  await site.order('eve', 'extend', { tag, node: 'adam', volumes: volumes('adam'), mount: mount('adam') });
  await site.untilInSync('eve', tag, 'eve', ['adam']);
}

/** The folders that lead to the mounts are root's: the server runs as another user. */
async function letThrough(site: Cluster): Promise<void> {
  for (const folder of [site.folder, ...site.nodes.map(({ dir }) => join(dir, '..'))])
    await chmod(folder, 0o755);
}

describe('PostgreSQL with its data and its write-ahead log on one mirrored resource', {
  timeout: 240_000,
}, () => {
  it('starts on the target after the source was killed under load, with every commit that was acknowledged', async () => {
    const site = await mountingCluster();
    await letThrough(site);
    await mirrored(site);
    const before = new Postgres(await untilMounted(site, 'eve', tag), join(site.folder, 'eve-pg'));
    onTestFinished(() => before.kill());
    await before.initialise();
    await before.start();
    await before.prepareBench();
    await before.query('create table ledger (n int primary key)');
    expect(await site.refusalOf('eve', 'switchover', { tag, node: 'adam' })).toBe('device-in-use');
    expect(await site.refusalOf('eve', 'out-of-service', { tag })).toBe('device-in-use');
    expect(await site.refusalOf('eve', 'delete', { tag })).toBe('device-in-use');

    const ledger = before.ledger();
    const bench = before.bench(join(site.folder, 'bench'), benchSeconds);
    await site.eventually('the load is on', async () =>
      expect(ledger.acknowledged.length).toBeGreaterThan(100),
    );
    const killedMs = performance.now();
    await Promise.all([before.kill(), site.node('eve').killAll()]);
    await Promise.all([ledger.ended, bench]);

    const after = new Postgres(await untilMounted(site, 'adam', tag), join(site.folder, 'adam-pg'));
    onTestFinished(() => after.kill());
    const mountedMs = performance.now() - killedMs;
    await after.startElsewhere();
    const startedMs = performance.now() - killedMs;

    const found = new Set((await after.query('select n from ledger')).map(Number));
    expect(ledger.acknowledged.filter((n) => !found.has(n))).toEqual([]);
    const transactions = await bench;
    const [counted = '0'] = await after.query('select count(*) from pgbench_history');
    expect(Number(counted)).toBeGreaterThanOrEqual(transactions);
    const sums =
      'select sum(abalance) from pgbench_accounts union all select sum(tbalance) from pgbench_tellers';
    const all = `${sums} union all select sum(bbalance) from pgbench_branches union all select sum(delta) from pgbench_history`;
    expect(new Set(await after.query(all)).size).toBe(1);
    await after.check();
    process.stderr.write(
      `from kill to mounted ${Math.round(mountedMs)} ms, to the first connection ${Math.round(startedMs)} ms; ` +
        `${ledger.acknowledged.length} commits and ${transactions} pgbench transactions, none missing\n`,
    );

    await after.stop();
    await site.node('eve').start();
    await untilUnmounted(site, 'eve');
    await site.untilInSync('adam', tag, 'adam', ['eve']);
    await site.order('adam', 'out-of-service', { tag });
    await untilUnmounted(site, 'adam');
    await site.verifyJournals();
  });
});
