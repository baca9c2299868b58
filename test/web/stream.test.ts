import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FeedMessage } from '../../adapters/web/feed.ts';
import { Streams } from '../../adapters/web/stream.ts';
import { SimulatedClock } from '../scenarios/simulated-clock.ts';

const silentLive = { listen: () => () => undefined, now: () => ({}), watched: () => undefined };
const message = (number: number, data = '{}'): FeedMessage => ({
  id: `run-${number}`,
  event: 'change',
  data,
});

/** A feed that a test feeds by hand, and the pages that are open to it. */
async function served() {
  const kept: FeedMessage[] = [];
  const listeners = new Set<(message: FeedMessage) => void>();
  const feed = {
    listen: (listener: (message: FeedMessage) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    picture: (): FeedMessage => ({ id: `run-${kept.length}`, event: 'picture', data: '{}' }),
    since: (position: string) => {
      const known = /^run-(\d+)$/.exec(position)?.[1];
      return known === undefined ? null : kept.slice(Number(known));
    },
  };
  const clock = new SimulatedClock();
  const streams = new Streams({ feed, live: silentLive, clock, wallNow: () => 42 });
  const server = createServer((request, response) =>
    streams.open(request, response, request.headers['last-event-id']?.toString()),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    streams.close();
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const tell = (next: FeedMessage) => {
    kept.push(next);
    for (const listener of listeners) listener(next);
  };
  const open = async (position?: string): Promise<IncomingMessage> => {
    const headers = position === undefined ? {} : { 'last-event-id': position };
    const asked = get({ host: '127.0.0.1', port, headers });
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    return response;
  };
  return { streams, clock, tell, open };
}

/** Reads until that many blocks (`id: …` and `event: …`) have come. */
async function blocks(response: IncomingMessage, count: number): Promise<string[]> {
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    const whole = text.split('\n\n').slice(0, -1);
    if (whole.length >= count) return whole.map((block) => block.replace(/^data: /m, ''));
  }
  return [];
}

describe('server-sent events', () => {
  it('a new page gets the present picture first, and what is measured', async () => {
    const { open, tell } = await served();
    tell(message(1));
    expect(await blocks(await open(), 4)).toEqual([
      'retry: 1000',
      'id: run-1\nevent: picture\n{}',
      'event: live\n{}',
      'event: tick\n{"now":42}',
    ]);
  });

  it('a page that comes back gets what it missed and nothing twice; one from elsewhere the whole picture', async () => {
    const { open, tell } = await served();
    for (const number of [1, 2, 3]) tell(message(number));
    const missed = await blocks(await open('run-1'), 5);
    expect(missed.slice(1, 3)).toEqual(['id: run-2\nevent: change\n{}', 'id: run-3\nevent: change\n{}']);
    expect((await blocks(await open('another-7'), 4))[1]).toBe('id: run-3\nevent: picture\n{}');
  });

  it('a page that reads nothing is cut off, and the others go on', async () => {
    const { streams, open, tell } = await served();
    const stalled = await open();
    stalled.pause();
    const reader = await open();
    const ends = reader.setEncoding('latin1')[Symbol.asyncIterator]();
    expect(streams.count).toBe(2);
    const megabyte = 'x'.repeat(1024 * 1024);
    for (let number = 1; streams.count > 1 && number < 64; number += 1) {
      tell(message(number, `${megabyte}#${number}#`));
      for (let text = ''; !text.includes(`#${number}#`); ) text += String((await ends.next()).value);
    }
    expect(streams.count).toBe(1);
    reader.destroy();
  });
});
