import { randomBytes } from 'node:crypto';
import { lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineProcess, introduce, openEngine } from './engine-process.ts';
import type { NbdClient } from './nbd-client.ts';

const volumeBytes = 8 * 1024 * 1024;
const page = (label: number) => Buffer.alloc(4096, label);

const write = (client: NbdClient, offset: number, bytes: Buffer): Promise<number | null> =>
  new Promise((resolve) => client.write(offset, bytes, false, resolve));

describe('an engine process', () => {
  let folder: string;
  let keyFile: string;
  let engines: EngineProcess[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mk-proc-'));
    keyFile = join(folder, 'key');
    writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    engines = [];
  });
  afterEach(async () => {
    await Promise.all(engines.map((engine) => engine.kill()));
    rmSync(folder, { recursive: true, force: true });
  });

  async function started(name: string, more: Record<string, unknown> = {}): Promise<EngineProcess> {
    const engine = new EngineProcess(folder, name, volumeBytes);
    engines.push(engine);
    await engine.start();
    await openEngine(engine, keyFile, more);
    return engine;
  }

  async function pair(): Promise<readonly [EngineProcess, EngineProcess]> {
    const adam = await started('adam', { isFirst: true });
    const eve = await started('eve');
    await adam.ordered({ order: 'serve', epoch: 1 });
    await introduce([adam, eve]);
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.inSync('eve');
    return [adam, eve];
  }

  it('serves on without its controller, and is adopted again with what it has observed (FAULTS 35)', async () => {
    const [adam, eve] = await pair();
    adam.leave();
    await eve.kill();
    const client = await adam.nbd(1);
    expect(await write(client, 0, page(1))).toBe(0);
    adam.observations.length = 0;
    await adam.control();
    await adam.until('the missed observation', async () =>
      adam.observations.some(({ type }) => type === 'generation-started'),
    );
    const numbers = adam.observations.map(({ observation }) => observation);
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
    await adam.ordered({ order: 'acknowledge', observation: numbers.at(-1) });
    expect((await adam.status()).observations.pending).toBe(0);
    client.close();
  });

  it('FAULTS 27: a target that is stopped stalls writes, is lost, and comes back out of sync', async () => {
    const [adam, eve] = await pair();
    const client = await adam.nbd(1);
    eve.signal('SIGSTOP');
    expect(await write(client, 0, page(1))).toBe(0);
    expect(await write(client, 65_536, page(2))).toBe(0);
    eve.signal('SIGCONT');
    await adam.inSync('eve');
    expect(eve.image().equals(adam.image())).toBe(true);
    client.close();
  });

  it('FAULTS 27: a source that is stopped and continues goes on; its target had recorded nothing wrong', async () => {
    const [adam, eve] = await pair();
    const client = await adam.nbd(1);
    adam.signal('SIGSTOP');
    await eve.until('the end of the session', async () => !(await eve.peer('adam')).connected);
    adam.signal('SIGCONT');
    expect(await write(client, 0, page(3))).toBe(0);
    await adam.inSync('eve');
    expect(eve.image().equals(adam.image())).toBe(true);
    client.close();
  });

  it('FAULTS 34: a client of an earlier reign is refused', async () => {
    const [adam] = await pair();
    const early = await adam.nbd(1);
    await adam.ordered({ order: 'leave-service' });
    expect(await write(early, 0, page(9))).not.toBe(0);
    await adam.ordered({ order: 'serve', epoch: 2 });
    await expect(adam.nbd(1)).rejects.toThrow();
    const client = await adam.nbd(2);
    expect(await write(client, 0, page(1))).toBe(0);
    expect((await client.read(0, 4096)).equals(page(1))).toBe(true);
    client.close();
  });

  it('answers bad input by code and goes on; its socket is for its owner only', async () => {
    const adam = await started('adam', { isFirst: true });
    for (const line of [
      'nonsense',
      '[]',
      '{}',
      '{"id":"x","order":"explode"}',
      '{"id":-1,"order":"serve"}',
    ]) {
      expect(await adam.raw(line)).toMatchObject({ ok: false, code: 'invalid-request' });
    }
    expect(await adam.order({ order: 'open', epoch: 1 })).toMatchObject({ code: 'invalid-request' });
    expect(await adam.order({ order: 'pause', peer: 'nobody', reason: 'x' })).toMatchObject({
      code: 'unknown-peer',
    });
    expect(lstatSync(join(adam.dir, 'ctl.sock')).mode & 0o777).toBe(0o600);
    expect((await adam.status()).open).toBe(true);
  });

  it('refuses a replica of another resource, and one that another engine has open', async () => {
    const adam = await started('adam', { isFirst: true });
    const other = new EngineProcess(folder, 'other', volumeBytes);
    engines.push(other);
    await other.start();
    const reply = await other.order({
      order: 'open',
      cluster: 'test',
      tag: 'data',
      resource: 'eve-1-1',
      node: 'adam',
      volumes: [{ name: 'v0', path: other.volumePath }],
      folder: adam.dir,
      intentLogs: adam.dir,
      keyFile,
      listen: { host: '127.0.0.1', port: 0 },
    });
    expect(reply).toMatchObject({ ok: false, code: 'path-in-use' });
    await adam.ordered({ order: 'stop' });
    await adam.start();
    await expect(openEngine(adam, keyFile, { resource: 'eve-1-2' })).rejects.toThrow('foreign-replica');
  });

  it('stops in order: exit code 0, and nothing to resync afterwards', async () => {
    const [adam, eve] = await pair();
    const client = await adam.nbd(1);
    expect(await write(client, 0, page(1))).toBe(0);
    const exited = adam.exited;
    await adam.ordered({ order: 'stop' });
    expect(await exited).toBe(0);
    expect(eve.image().equals(adam.image())).toBe(true);
    await adam.start();
    await openEngine(adam, keyFile, { create: false });
    await adam.ordered({ order: 'serve', epoch: 2 });
    await introduce([adam, eve]);
    await adam.inSync('eve');
    const last = adam.observations.findLast(({ type }) => type === 'resync-completed');
    expect(last).toMatchObject({ bytes: 0 });
    client.close();
  });
});
