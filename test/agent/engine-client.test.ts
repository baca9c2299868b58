import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineClient } from '../../adapters/agent/engine-client.ts';

/** What the client told its listener, and a way to wait for the next of it. */
class Heard {
  readonly told: unknown[] = [];
  #next: () => void = () => {};
  note(what: unknown): void {
    this.told.push(what);
    this.#next();
  }
  async until(count: number): Promise<unknown[]> {
    while (this.told.length < count)
      await new Promise<void>((resolve) => {
        this.#next = resolve;
      });
    return this.told;
  }
}

let folder = '';
let server: Server;
let client: EngineClient;
let engine: Socket;
let heard: Heard;
let orders: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mk-client-'));
  const mine = new Heard();
  heard = mine;
  orders = [];
  const path = join(folder, 'ctl.sock');
  const accepted = new Promise<Socket>((resolve) => {
    server = createServer(resolve);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  client = await EngineClient.connect(path, {
    observed: ({ observation }) => mine.note(observation),
    noticed: ({ notice }) => mine.note(notice),
    gone: () => mine.note('gone'),
  });
  engine = await accepted;
  engine.on('data', (data) => orders.push(...data.toString().trim().split('\n')));
});

afterEach(() => {
  client.close();
  engine.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

const observation = (number: number) =>
  `${JSON.stringify({ observation: number, at: 0, type: 'left-service', epoch: 1 })}\n`;
const notice = `${JSON.stringify({ notice: 'connected', peer: 'adam' })}\n`;

describe('the control socket of an engine', () => {
  it('delivers lines that come in pieces, in order', async () => {
    const text = observation(1) + notice + observation(2);
    for (const piece of text.match(/.{1,7}/gs) ?? []) engine.write(piece);
    expect(await heard.until(3)).toEqual([1, 'connected', 2]);
  });

  it('gives each order its own answer, in whatever order they end', async () => {
    const first = client.order({ order: 'ping' });
    const second = client.order({ order: 'leave-service' });
    engine.write(
      '{"id":2,"ok":false,"code":"not-source","message":"it does not serve"}\n{"id":1,"ok":true}\n',
    );
    await expect(second).rejects.toMatchObject({ code: 'not-source', message: 'it does not serve' });
    await expect(first).resolves.toMatchObject({ ok: true });
  });

  it('an answer nobody waits for, and a notice nobody knows, are passed over', async () => {
    engine.write(`{"id":99,"ok":true}\n{"notice":"unheard-of"}\n${notice}`);
    expect(await heard.until(1)).toEqual(['connected']);
  });

  it.each([
    '{"observation":7,"at":0,"type":"unheard-of"}\n',
    '{"observation":7,"at":0,"type":"left-service"}\n',
  ])('an observation of a newer engine keeps its number and ends nothing: %s', async (line) => {
    engine.write(line + notice);
    expect(await heard.until(2)).toEqual([7, 'connected']);
  });

  it.each([
    ['garbage', 'no json\n'],
    ['an observation without a number', '{"observation":"first","type":"left-service"}\n'],
    ['a line without an end', 'x'.repeat(1_100_000)],
  ])('%s ends the session, and every order with it', async (_, text) => {
    const order = client.order({ order: 'ping' });
    engine.write(text);
    await expect(order).rejects.toMatchObject({ code: 'engine-gone' });
    expect(await heard.until(1)).toEqual(['gone']);
    await expect(client.order({ order: 'ping' })).rejects.toMatchObject({ code: 'engine-gone' });
  });

  it('an engine that dies is gone once, and its orders fail', async () => {
    const order = client.order({ order: 'ping' });
    engine.destroy();
    await expect(order).rejects.toMatchObject({ code: 'engine-gone' });
    expect(heard.told).toEqual(['gone']);
  });

  it('a status that is none is an error, not a status', async () => {
    const status = client.status();
    engine.write('{"id":1,"ok":true,"status":{"open":"perhaps"}}\n');
    await expect(status).rejects.toThrow();
  });
});
