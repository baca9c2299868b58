import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { desk, phone } from '../setup/chromium.ts';
import { PageUnderTest } from './browser.ts';
import { Cluster, Loopback } from './cluster.ts';
import { done, emptyFolder, Terminal } from './lab-terminal.ts';

const tag = 'datarep-ext3';
const token = randomBytes(32).toString('hex');
const nodes = ['eve', 'adam', 'sophocles'] as const;

async function mirrored(): Promise<Cluster> {
  const cluster = await Cluster.start(nodes, new Loopback(), 200, `ann ${token}`);
  await cluster.mirror(tag, { source: 'eve', targets: { adam: 'sync', sophocles: 'async' } });
  return cluster;
}

const card = ({ page }: PageUnderTest) => page.getByRole('article', { name: tag });

describe('the dashboard', { timeout: 120_000 }, () => {
  it('shows a failover as it happens, what was before it, and carries out a switchover for an operator', async () => {
    const cluster = await mirrored();
    const dashboard = cluster.node('sophocles').dashboard;
    const shown = await PageUnderTest.open(dashboard);
    const { page } = shown;
    await card(shown).getByText('on eve, epoch 1').waitFor();
    await card(shown).getByText('in service, protected').waitFor();
    expect(await card(shown).getByText('can take over', { exact: true }).count()).toBe(2);

    // 1. Live: nobody reloads the page.
    await cluster.node('eve').killAll();
    await card(shown).getByText('on adam').waitFor();
    await page.getByText('eve is lost', { exact: true }).waitFor();
    await page
      .getByRole('log', { name: 'Changes' })
      .getByText('adam took over from eve')
      .waitFor({ state: 'attached' });
    expect(await card(shown).getByText('cannot take over: it cannot be reached').count()).toBe(1);

    // 2. Time travel: the whole page as of before the failover, and one key back.
    await shown.go(`/resource/${tag}`);
    await page.getByRole('button', { name: 'Why is it so?' }).click();
    await page
      .getByText(/is lost: silent for/)
      .first()
      .waitFor();
    const before = page.getByRole('listitem').filter({ hasText: 'sophocles is in sync after a full resync' });
    await before.getByRole('button', { name: /show the state as of/ }).click();
    await page.getByText('This is the past:').waitFor();
    await shown.go('/');
    await card(shown).getByText('on eve, epoch 1').waitFor();
    expect(await page.getByText('eve is lost', { exact: true }).count()).toBe(0);
    await page.getByRole('slider', { name: 'Moment of the history' }).focus();
    await page.keyboard.press('End');
    await card(shown).getByText('on adam').waitFor();
    await page.keyboard.press('ArrowLeft');
    await page.getByText('This is the past:').waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('This is the past:').waitFor({ state: 'detached' });

    // 3. Read-only until an operator signs in; then a dry run, and the switchover itself.
    await cluster.node('eve').start();
    await card(shown).getByText('in sync', { exact: true }).nth(1).waitFor();
    await shown.go(`/resource/${tag}`);
    await page.getByText('This page is read-only').waitFor();
    await page.getByRole('button', { name: 'Read-only: sign in' }).click();
    await page.getByLabel('Token').fill('not the token of an operator');
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByText('this is not the token of one').waitFor();
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByText('operator ann').waitFor();
    await page.getByRole('combobox', { name: 'Command', exact: true }).selectOption('Switch over');
    await page.getByRole('combobox', { name: 'Node' }).selectOption('eve');
    await page.getByLabel('Reason').fill('back to the larger machine');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByText('switchover.started').waitFor();
    expect(await page.getByText(/partial resync of adam from eve/).count()).toBe(1);
    expect((await cluster.status('eve', tag)).source).toBe('adam');
    await page.getByRole('button', { name: 'Carry out: Switch over' }).click();
    await page.getByText('Switch over, as operator ann').waitFor();
    expect((await cluster.status('adam', tag)).source).toBe('eve');
    const started = page.getByRole('listitem').filter({ hasText: 'the switchover from adam to eve began' });
    await started.getByText('by ann (web)').waitFor();
    await started.getByText('because “back to the larger machine”').waitFor();
    expect(await shown.seriousFindings()).toEqual([]);

    expect(shown.complaints).toEqual([]);
    expect(shown.strayed).toEqual([]);
  });

  it('a page whose agent was away misses nothing; every page can be read by all, and on a phone', async () => {
    const cluster = await mirrored();
    const node = cluster.node('adam');
    const shown = await PageUnderTest.open(node.dashboard, phone);
    const { page } = shown;
    await card(shown).getByText('in service, protected').waitFor();
    await node.stopAgent();
    await page.getByText('no answer; trying again').waitFor();
    await cluster.order('eve', 'pause', { tag, targets: ['sophocles'], reason: 'a backup' });
    await node.start();
    await card(shown).getByText('paused', { exact: true }).waitFor();
    await page.getByText('live, told by adam').waitFor();

    await shown.go('/capacity');
    await page.getByLabel('Recording').setInputFiles(recordingFile(cluster.folder));
    await page.getByLabel('Bandwidth').fill('8Mb');
    await page.getByRole('img', { name: 'bytes written per second by total: peak 2.0 MB' }).waitFor();
    await page.getByText('8Mb does not keep up with the peaks').waitFor();
    expect(await shown.overflow()).toBe(0);
    expect(await shown.seriousFindings()).toEqual([]);

    for (const path of ['/', '/history', `/resource/${tag}`, `/split-brain/${tag}`]) {
      await shown.go(path);
      expect(await shown.overflow(), path).toBe(0);
      expect(await shown.seriousFindings(), path).toEqual([]);
    }
    await page.getByRole('button', { name: 'one event back' }).click();
    await page.getByText('This is the past:').waitFor();
    expect(await shown.overflow()).toBe(0);
    expect(await shown.seriousFindings()).toEqual([]);
    expect(shown.complaints).toEqual([]);
  });

  it('both branches of a split are shown before a victim can be chosen, and what is lost has to be typed', async () => {
    const folder = emptyFolder();
    const lab = new Terminal(folder);
    await lab.until('Ctrl-C stops everything');
    const [, origin = '', fragment = ''] = /eve +(http:\/\/[\d.:]+)\/(#operator=\S+)/.exec(lab.out) ?? [];
    await done(folder, `wait ${tag} --for in-sync --timeout 60`);
    await done(folder, 'lab write 1M');
    await done(folder, 'lab partition eve');
    await done(folder, `wait ${tag} --for in-service --target adam --timeout 60`);
    await done(folder, 'lab write 1M');
    await done(folder, 'lab heal eve');

    // The address that the lab prints signs its operator in, and is not seen any more then.
    const shown = await PageUnderTest.open(origin, desk, fragment);
    const { page } = shown;
    await page.getByText('operator lab').waitFor();
    expect(page.url()).toBe(`${origin}/#/`);
    await page.getByRole('link', { name: `Compare both branches of ${tag}` }).click();
    for (const node of ['eve', 'adam']) {
      const side = page.getByRole('article', { name: node });
      await side.getByText(/at most [\d.]+ [kM]B, in \d+ regions/).waitFor();
      await side.getByText(/^since /).waitFor();
      expect(await side.getByText(/put datarep-ext3 in service/).count()).toBeGreaterThan(0);
    }
    expect(await shown.seriousFindings()).toEqual([]);
    await page.getByRole('combobox', { name: 'Victim' }).selectOption('eve');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByText('this would be lost').waitFor();
    const carryOut = page.getByRole('button', { name: 'Carry out' });
    expect(await carryOut.isDisabled()).toBe(true);
    const phrase = await page.getByText(/^lose .* of datarep-ext3$/).textContent();
    await page.getByLabel('To accept that, type').fill(phrase ?? '');
    await carryOut.click();
    await page.getByText('is not split now').waitFor();
    await done(folder, `wait ${tag} --for in-sync --timeout 60`);
    expect(await done(folder, 'lab verify')).toContain('the copy on eve');
    lab.child.kill('SIGINT');
    expect((await lab.ended).code).toBe(0);
  });

  it('a command without the token of an operator, from another page or under another name is refused', async () => {
    const cluster = await Cluster.start(['eve'], new Loopback(), 200, `ann ${token}`);
    const { dashboard } = cluster.node('eve');
    const { host } = new URL(dashboard);
    const body = JSON.stringify({ command: 'delete', body: { id: 'web-1', tag } });
    const ask = (headers: Record<string, string>, path = '/api/command', method = 'POST') =>
      answered(dashboard + path, method, { 'content-type': 'application/json', ...headers }, body);
    const authorization = `Bearer ${token}`;
    expect(await ask({})).toBe(401);
    expect(await ask({ authorization: `Bearer ${token.replace(/./, 'x')}` })).toBe(401);
    expect(await ask({ authorization, origin: 'http://evil.example' })).toBe(403);
    expect(await ask({ authorization, 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await ask({ authorization, host: 'evil.example' })).toBe(421);
    expect(await ask({ authorization, 'content-type': 'text/plain' })).toBe(415);
    expect(await ask({ authorization, origin: `http://${host}` })).toBe(200); // decided: there is no such resource
    expect(await ask({ host: 'evil.example' }, '/events', 'GET')).toBe(421);
    expect(await ask({ host: 'evil.example' }, '/metrics', 'GET')).toBe(200); // monitoring may call it as it likes
    expect(await ask({}, '/../../etc/passwd', 'GET')).toBe(404);
    const history = await cluster.ask('eve', 'timeline', {});
    const refused = history.timeline?.filter(({ type }) => type === 'command.refused');
    expect(refused?.map(({ actor }) => actor)).toEqual([{ id: 'ann', via: 'web', verified: true }]);
  });
});

/** Three copies of /proc/diskstats, two minutes apart: 1.0 MB/s were written, then 2.0 MB/s. */
function recordingFile(folder: string): string {
  const sectors = (seconds: number) => Math.round((seconds * 1_000_000) / 512);
  const copies = [0, sectors(120), sectors(120) + sectors(240)].map(
    (count, at) =>
      `Fri Nov 20 12:0${2 * at}:00 UTC 2026\n   8       0 sda 0 0 0 0 0 0 ${count} 0 0 0 0 0 0 0 0 0 0\n`,
  );
  const file = join(folder, 'recording');
  writeFileSync(file, copies.join(''));
  return file;
}

/** The status of the answer. */
function answered(
  url: string,
  method: string,
  headers: Record<string, string>,
  body: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers }, (response) => {
      response.resume();
      response.once('close', () => resolve(response.statusCode ?? 0));
      response.destroy();
    });
    asked.once('error', reject);
    asked.end(method === 'POST' ? body : undefined);
  });
}
