import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandToken } from '../../adapters/bus/subjects.ts';
import { serveDashboard } from '../../adapters/web/dashboard.ts';
import { Operators } from '../../adapters/web/operators.ts';
import type { WebServer } from '../../adapters/web/web-server.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import { nodeNames, ScaleCluster } from '../scale/cluster.ts';
import { promtool } from '../setup/promtool.ts';

const docs = join(import.meta.dirname, '../../docs/monitoring');
const file = (name: string) => readFileSync(join(docs, name), 'utf8');
const tag = 'datarep-ext3';

const [eve, adam, sophocles] = nodeNames as [NodeName, NodeName, NodeName];

/** Three agents with one resource; the dashboard of the first one, which is its source. */
let cluster: ScaleCluster;
let server: WebServer;

beforeAll(async () => {
  cluster = await ScaleCluster.open(200);
  for (const name of nodeNames) await cluster.start(name);
  const { agent, journal, bus } = cluster.node(eve);
  server = await serveDashboard(
    { agent, journal, bus },
    { host: '127.0.0.1', port: 0, operators: new Operators([]), pageFolder: join(docs, 'no page here') },
  );
  const alive = () => Object.keys(agent.history.state.nodes).length === nodeNames.length;
  await cluster.until('three nodes', alive, 20_000);
  const volumes = [{ name: 'data', path: '/volumes/data' }];
  await cluster.command('create', { tag, node: eve, volumes, allowAsync: true });
  await cluster.command('extend', { tag, node: adam, volumes });
  await cluster.command('extend', { tag, node: sophocles, volumes, mode: 'async' });
  const inSync = () =>
    mirrors().every(({ status }) => status === 'fully-operational') && mirrors().length === 2;
  const mirrors = () => Object.values(agent.history.state.resources[tag]?.mirrors ?? {});
  await cluster.until('in sync', inSync, 20_000);
});
afterAll(async () => {
  server?.close();
  await cluster?.close();
});

const scrape = async (): Promise<string> => (await fetch(`http://${server.address}/metrics`)).text();

/** `NAME{labels} VALUE` → the value; undefined where there is none such. */
const valueIn = (metrics: string, series: string): number | undefined => {
  const line = metrics.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

describe('what monitoring reads', () => {
  it('/metrics is what promtool finds nothing wrong with, and tells the state', async () => {
    const metrics = await scrape();
    expect(await promtool(['check', 'metrics'], metrics)).toEqual({ ok: true, said: '' });
    const pair = `tag="${tag}",source="eve",target="sophocles"`;
    expect(valueIn(metrics, `mirrorkeeper_resource_state{tag="${tag}",state="in-service"}`)).toBe(1);
    expect(valueIn(metrics, `mirrorkeeper_resource_state{tag="${tag}",state="split-brain"}`)).toBe(0);
    expect(valueIn(metrics, `mirrorkeeper_mirror_status{${pair},status="fully-operational"}`)).toBe(1);
    expect(valueIn(metrics, `mirrorkeeper_mirror_info{${pair},mode="async"}`)).toBe(1);
    expect(valueIn(metrics, `mirrorkeeper_mirror_dirty_bytes{${pair}}`)).toBe(0);
    expect(valueIn(metrics, 'mirrorkeeper_node_alive{node="adam"}')).toBe(1);
    expect(valueIn(metrics, 'mirrorkeeper_bus_connected')).toBe(1);
    expect(valueIn(metrics, 'mirrorkeeper_journal_damages')).toBe(0);
    expect(valueIn(metrics, 'mirrorkeeper_events_total{type="resource.created"}')).toBe(1);
  });

  it('commands and events are measured', async () => {
    const { agent } = cluster.node(eve);
    const actor = { id: 'ann', via: 'web', verified: true } as const;
    const body = { id: 'settings-1', tag, key: 'resync-min', value: 4096 };
    expect(await agent.command({ command: CommandToken.parse('settings'), actor, body }, 5000)).toMatchObject(
      { ok: true },
    );
    const metrics = await scrape();
    expect(valueIn(metrics, 'mirrorkeeper_event_delivery_seconds_count{from="eve"}')).toBeGreaterThan(0);
    const command = 'command="settings",outcome="done"';
    expect(valueIn(metrics, `mirrorkeeper_command_duration_seconds_count{${command}}`)).toBe(1);
    expect(metrics).toMatch(/^mirrorkeeper_events_total\{type="resource.settings-changed"\} 1$/m);
  });

  it('health: alive is ready while journal and bus are well', async () => {
    const health = await fetch(`http://${server.address}/healthz`);
    expect([health.status, await health.text()]).toEqual([200, 'ok\n']);
    const ready = await fetch(`http://${server.address}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true, problems: [] }]);
  });

  it('the alert rules and every query of the Grafana dashboard are right, and ask for what there is', async () => {
    const checked = await promtool(['check', 'rules', join(docs, 'alerts.yml')]);
    expect(checked.said).toMatch(/SUCCESS: 14 rules found/);
    const tried = await promtool(['test', 'rules', join(docs, 'alerts.test.yml')]);
    expect(tried, tried.said).toMatchObject({ ok: true });

    const queries = [...file('grafana-dashboard.json').matchAll(/"expr": "((?:[^"\\]|\\.)*)"/g)].map(
      ([, text = '']) => JSON.parse(`"${text}"`) as string,
    );
    expect(queries.length).toBeGreaterThan(20);
    const rules = queries.map((expr, at) => ({ record: `query:${at}`, expr }));
    const asRules = JSON.stringify({ groups: [{ name: 'queries', rules }] });
    const asFile = join(cluster.folder, 'queries.json');
    writeFileSync(asFile, asRules);
    const parsed = await promtool(['check', 'rules', asFile]);
    expect(parsed, parsed.said).toMatchObject({ ok: true });

    const told = new Set([...(await scrape()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    const asked = [...`${file('alerts.yml')}${queries.join('\n')}`.matchAll(/\bmirrorkeeper_\w+/g)].map(
      ([name]) => name.replace(/_bucket$/, ''),
    );
    expect([...new Set(asked)].filter((name) => !told.has(name))).toEqual([]);
  });
});
