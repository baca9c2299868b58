import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { serveDashboard } from '../../adapters/web/dashboard.ts';
import { Operators } from '../../adapters/web/operators.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import { openChromium } from '../setup/chromium.ts';
import { spread } from './baseline.ts';
import { nodeNames, ScaleCluster } from './cluster.ts';
import { createAll, tagOf } from './measurements.ts';

/*
 * How long it takes from an event that is durable where it was written until it stands in an open page that another
 * node's agent serves: journal, bus, the other journal, fold, feed, browser.
 *
 *   npm run bench:dashboard                                      200 resources with two targets each, 300 events
 *   npm run bench:dashboard -- --resources 20 --events 50
 */
const { values: options } = parseArgs({
  options: { resources: { type: 'string', default: '200' }, events: { type: 'string', default: '300' } },
});
const resources = Number(options.resources);
const eventCount = Number(options.events);
/** Milliseconds between two events. */
const gapMs = 50;
const settleMs = 60_000;
const [writer, , teller] = nodeNames as [NodeName, NodeName, NodeName];

const wallMs = () => performance.timeOrigin + performance.now();
const profile = await mkdtemp(join(tmpdir(), 'mk-chromium-'));
const cluster = await ScaleCluster.open(1000);
const browser = await openChromium(profile);
try {
  for (const name of nodeNames) await cluster.start(name);
  await cluster.until('three nodes', knowEachOther, settleMs);
  await createAll(cluster, resources);
  const { agent, journal, bus } = cluster.node(teller);
  const server = await serveDashboard(
    { agent, journal, bus },
    {
      host: '127.0.0.1',
      port: 0,
      operators: new Operators([]),
      pageFolder: fileURLToPath(new URL('../../adapters/web/page/', import.meta.url)),
    },
  );
  const page = await browser.newPage();
  const opened = wallMs();
  await page.goto(`http://${server.address}/`);
  await page
    .getByRole('article')
    .nth(resources - 1)
    .waitFor();
  const openMs = wallMs() - opened;
  await noteWhatAppears(page);

  const written = new Map<string, number>();
  const here = new Map<string, number>();
  cluster.watch(writer, ({ id, type }) => {
    if (type.startsWith('mirrorkeeper.resource.settings-changed.')) written.set(id, wallMs());
  });
  cluster.watch(teller, ({ id }) => here.set(id, wallMs()));
  for (let number = 0; number < eventCount; number += 1) {
    await cluster.command('settings', {
      tag: tagOf(number % resources),
      key: 'resync-min',
      value: number + 1,
    });
    await cluster.idle(gapMs);
  }
  await cluster.idle(1000);
  const shown = new Map(await whatAppeared(page));
  const latencies = [...written].flatMap(([id, at]) => between(at, shown.get(id)));
  const inPage = [...written.keys()].flatMap((id) => between(here.get(id), shown.get(id)));
  server.close();
  const rows: [string, string][] = [
    [
      'load average',
      loadavg()
        .map((load) => load.toFixed(1))
        .join(' '),
    ],
    ['resources', String(resources)],
    ['page opened, every resource shown', `${openMs.toFixed(0)} ms`],
    ['events written / seen in the page', `${written.size} / ${latencies.length}`],
    ['event durable at its writer → in the page of another node', text(latencies)],
    ['event durable at the node that tells it → in the page', text(inPage)],
  ];
  process.stdout.write(`${rows.map(([name, value]) => name.padEnd(60) + value).join('\n')}\n`);
} finally {
  await browser.close();
  await cluster.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(0);

function knowEachOther(): boolean {
  return [...cluster.running.values()].every(
    ({ agent }) => Object.keys(agent.history.state.nodes).length === nodeNames.length,
  );
}

function between(from: number | undefined, to: number | undefined): number[] {
  return from === undefined || to === undefined ? [] : [to - from];
}

function text(latencies: readonly number[]): string {
  const { p50, p99 } = spread(latencies);
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, worst ${Math.max(...latencies).toFixed(1)} ms`;
}

/** What the page's own script can reach, as far as it is needed here. */
interface Window {
  readonly document: {
    readonly body: object;
    querySelectorAll(selector: string): Iterable<{ readonly id: string }>;
  };
  readonly MutationObserver: new (seen: () => void) => { observe(node: object, options: object): void };
  appeared: Map<string, number>;
}

/** By event: when its line first stood in the document, milliseconds since 1970. */
function noteWhatAppears(page: Page): Promise<void> {
  return page.evaluate(() => {
    const window = globalThis as unknown as Window;
    window.appeared = new Map();
    const look = () => {
      const now = performance.timeOrigin + performance.now();
      for (const { id } of window.document.querySelectorAll('li.event'))
        if (!window.appeared.has(id)) window.appeared.set(id, now);
    };
    new window.MutationObserver(look).observe(window.document.body, { childList: true, subtree: true });
  });
}

async function whatAppeared(page: Page): Promise<[string, number][]> {
  const appeared = await page.evaluate(() => [...(globalThis as unknown as Window).appeared]);
  return appeared.map(([id, at]) => [id.replace(/^event-/, ''), at]);
}
