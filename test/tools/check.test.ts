import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Found } from '../../adapters/host/preflight.ts';
import { judge } from '../../tools/cli/check-command.ts';
import { mirrorkeeper } from './fake-terminal.ts';

const ready: Found = {
  nodeVersion: '24.1.0',
  processors: 4,
  programs: new Set(['nbdfuse', 'losetup', 'fusermount3', 'mkfs.ext4', 'mkfs.xfs', 'nats-server']),
  kernel: new Set(['fuse', 'loop']),
  isRoot: true,
  memoryAvailableBytes: 8e9,
  diskFreeBytes: 50e9,
  isClockSynchronised: true,
  portsTaken: [],
  addressFailure: null,
};
const verdicts = (found: Partial<Found>) =>
  Object.fromEntries(
    judge({ ...ready, ...found }, '/srv')
      .filter(({ verdict }) => verdict !== 'good')
      .map(({ what, verdict }) => [what, verdict]),
  );

describe('check', () => {
  it('finds nothing wrong with a server that has everything', () => {
    expect(verdicts({})).toEqual({});
    expect(
      verdicts({ kernel: new Set(['nbd']), programs: new Set([...ready.programs, 'nbd-client']) }),
    ).toEqual({});
  });

  it.each([
    [{ nodeVersion: '20.18.3' }, { 'Node.js': 'bad' }],
    [{ kernel: new Set(['loop']) }, { 'block device': 'poor' }],
    [{ programs: new Set<string>() }, { 'block device': 'poor', 'file systems': 'poor', bus: 'poor' }],
    [{ isRoot: false }, { root: 'poor' }],
    [{ memoryAvailableBytes: 1e8 }, { memory: 'poor' }],
    [{ diskFreeBytes: 1e8 }, { room: 'poor' }],
    [{ diskFreeBytes: null }, { room: 'bad' }],
    [{ isClockSynchronised: null }, { clock: 'poor' }],
    [{ isClockSynchronised: false }, { clock: 'poor' }],
    [{ portsTaken: [7800] }, { ports: 'poor' }],
    [{ addressFailure: '10.9.9.9: EADDRNOTAVAIL' }, { ports: 'bad' }],
  ] as const)('says what is missing: %j', (found, expected) => {
    expect(verdicts(found)).toEqual(expected);
  });

  it('looks at this server: ports that are taken, addresses that it does not have', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const json = async (host: string) => {
      const { out } = await mirrorkeeper(
        ['check', '--json', '--data', '/tmp', '--replicate', `${host}:${port}-${port}`],
        () => ({ ok: true }),
      );
      return (JSON.parse(out) as { what: string; verdict: string; text: string }[]).find(
        ({ what }) => what === 'ports',
      );
    };
    expect(await json('127.0.0.1')).toEqual({
      what: 'ports',
      verdict: 'poor',
      text: `${port} taken, by engines or by others`,
    });
    expect(await json('192.0.2.1')).toMatchObject({ verdict: 'bad' });
    await new Promise((resolve) => server.close(resolve));
  });
});
