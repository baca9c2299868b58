import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { operatorCommandNames, operatorCommands } from '../../domain/commands.ts';
import { mirrorkeeper } from './fake-terminal.ts';

/** Of the first command that is sent, without its id. */
async function sent(line: string) {
  const { sent: all } = await mirrorkeeper(line.split(' '));
  const { id, ...args } = all[0]?.body ?? { id: '' };
  return { command: all[0]?.command, ...args };
}

describe('the grammar of REQUIREMENTS 5', () => {
  it('create names its volumes, or they name themselves', async () => {
    expect(await sent('create t eve /dev/sdb1')).toMatchObject({
      command: 'create',
      tag: 't',
      node: 'eve',
      volumes: [{ name: 'data', path: '/dev/sdb1' }],
    });
    expect(await sent('create t eve wal=/w /d')).toMatchObject({
      volumes: [
        { name: 'wal', path: '/w' },
        { name: 'data2', path: '/d' },
      ],
    });
    expect(await sent('create t eve /odd=name')).toMatchObject({
      volumes: [{ name: 'data', path: '/odd=name' }],
    });
  });

  it('every option of create and extend arrives under its camelCase name', async () => {
    expect(
      await sent(
        'create t eve /v --content new-filesystem --fstype xfs --mount /mnt --size 2G --bitmap none --allow-async --priority 7 --srl /srl',
      ),
    ).toEqual({
      command: 'create',
      tag: 't',
      node: 'eve',
      volumes: [{ name: 'data', path: '/v' }],
      content: 'new-filesystem',
      fstype: 'xfs',
      mount: '/mnt',
      size: 2 * 1024 ** 3,
      bitmap: 'none',
      allowAsync: true,
      priority: 7,
      srl: '/srl',
    });
    expect(
      await sent(
        'extend t adam /v --mode async --priority 9 --compress 5 --mount /mnt --bitmap /b --pair sophocles=async --pair cain=sync --no-full-sync',
      ),
    ).toEqual({
      command: 'extend',
      tag: 't',
      node: 'adam',
      volumes: [{ name: 'data', path: '/v' }],
      mode: 'async',
      priority: 9,
      compress: 5,
      mount: '/mnt',
      bitmap: '/b',
      pair: { sophocles: 'async', cain: 'sync' },
      fullSync: false,
    });
  });

  it.each([
    ['unextend t adam', { tag: 't', node: 'adam' }],
    ['delete t', { tag: 't' }],
    ['in-service t', { tag: 't' }],
    ['in-service t adam', { tag: 't', node: 'adam' }],
    ['out-of-service t', { tag: 't' }],
    ['switchover t adam', { tag: 't', node: 'adam' }],
    ['failover t', { tag: 't' }],
    ['failover t adam', { tag: 't', node: 'adam' }],
    ['confirm-failover t', { tag: 't' }],
    ['confirm-failover t --block', { tag: 't', block: true }],
    ['force-online t adam', { tag: 't', node: 'adam' }],
    ['resolve-split-brain t --victim adam', { tag: 't', victim: 'adam' }],
    ['pause t', { tag: 't' }],
    ['pause t adam sophocles', { tag: 't', targets: ['adam', 'sophocles'] }],
    ['resume t adam', { tag: 't', targets: ['adam'] }],
    ['full-resync t', { tag: 't' }],
    ['settings --tag t compress 5', { tag: 't', key: 'compress', value: 5 }],
    [
      'settings --node eve --peer adam mode async',
      { node: 'eve', peer: 'adam', key: 'mode', value: 'async' },
    ],
  ])('%s', async (line, args) => {
    expect(await sent(line)).toEqual({ command: line.split(' ')[0], ...args });
  });

  it('bitmap sends what it does to which pair', async () => {
    expect(await sent('bitmap mark-clean t eve adam')).toEqual({
      command: 'bitmap-mark-clean',
      tag: 't',
      node: 'eve',
      peer: 'adam',
    });
    expect(await sent('bitmap mark-dirty t eve')).toEqual({
      command: 'bitmap-mark-dirty',
      tag: 't',
      node: 'eve',
    });
    expect(await sent('bitmap examine t eve')).toMatchObject({ command: 'bitmap-examine', node: 'eve' });
  });

  it('what every command carries arrives beside its arguments', async () => {
    const line =
      'switchover t adam --reason why --command-id mine/1 --dry-run --as-of eve#7 --accept-loss 12ab';
    const { sent: all } = await mirrorkeeper(line.split(' '));
    expect(all[0]?.body).toEqual({
      id: 'mine/1',
      tag: 't',
      node: 'adam',
      reason: 'why',
      dryRun: true,
      asOf: 'eve#7',
      acceptLoss: '12ab',
    });
  });

  it('each command without an id of its own gets another one', async () => {
    const ids = await Promise.all(
      [1, 2].map(async () => (await mirrorkeeper(['delete', 't'])).sent[0]?.body.id),
    );
    expect(new Set(ids).size).toBe(2);
  });

  it('every command of the domain can be typed, and what is sent fits its schema', async () => {
    const lines: Record<(typeof operatorCommandNames)[number], string> = {
      create: 'create t eve /v',
      extend: 'extend t adam /v',
      unextend: 'unextend t adam',
      delete: 'delete t',
      'in-service': 'in-service t',
      'out-of-service': 'out-of-service t',
      switchover: 'switchover t adam',
      failover: 'failover t',
      'confirm-failover': 'confirm-failover t',
      'force-online': 'force-online t adam',
      'resolve-split-brain': 'resolve-split-brain t --victim adam',
      pause: 'pause t',
      resume: 'resume t',
      'full-resync': 'full-resync t',
      verify: 'verify t adam',
      settings: 'settings --tag t priority 3',
      'alarms-ack': 'alarms ack node-lost.eve',
      'bitmap-mark-clean': 'bitmap mark-clean t eve',
      'bitmap-mark-dirty': 'bitmap mark-dirty t eve',
    };
    for (const name of operatorCommandNames) {
      const { command, ...args } = await sent(lines[name]);
      expect(command).toBe(name);
      expect(operatorCommands[name].safeParse(args).success, name).toBe(true);
    }
  });
});

describe('what cannot be meant is a usage error, and nothing is sent', () => {
  it.each([
    'create',
    'create t',
    'create t eve',
    'create ../t eve /v',
    'create t eve b*d=/v',
    'create t eve =/v',
    'create t eve x=',
    'create t eve /v --size 2X',
    'create t eve /v --priority 0',
    'create t eve /v --priority 1000',
    'create t eve /v --content nothing',
    'extend t adam /v --mode fast',
    'extend t adam /v --pair adam',
    'extend t adam /v --pair adam=fast',
    'extend t adam /v --compress 10',
    'switchover t',
    'switchover t adam eve',
    'switchover t a.b',
    'switchover t adam --as-of eve#1',
    'switchover t adam --command-id',
    'switchover t adam --timeout soon',
    'resolve-split-brain t',
    'pause',
    'settings nonsense 5',
    'settings compress 5',
    'settings --tag t compress 12',
    'settings --tag t --peer adam mode sync',
    'settings --tag t mode fast',
    'wait t',
    'wait t --for rain',
    'status t --watch --as-of eve#1',
    'bitmap examine t',
    'no-such-command',
    'status --no-such-option',
  ])('%s', async (line) => {
    const { code, sent: all, err } = await mirrorkeeper(line.split(' '));
    expect(code).toBe(2);
    expect(all).toEqual([]);
    expect(err).not.toBe('');
    expect(err).not.toMatch(/^\s+at /m);
  });

  it('whatever is typed ends with an exit code of the table and no stack trace', async () => {
    const words = fc.constantFrom(
      ...['create', 'extend', 'status', 'wait', 'settings', 'bitmap', 'examine', 'pause'],
      ...[
        't',
        'eve',
        '/v',
        'x=/v',
        '--json',
        '--tag',
        '--for',
        'in-sync',
        '--pair',
        'adam=sync',
        '',
        '\u0000',
      ],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(words, { maxLength: 6 }), async (args) => {
        const { code, err } = await mirrorkeeper(args, () => ({ ok: false, error: 'failed', message: 'no' }));
        expect([0, 1, 2, 3]).toContain(code);
        expect(err).not.toMatch(/^\s+at /m);
      }),
      { numRuns: 200 },
    );
  });
});

describe('sizes', () => {
  it('K, M, G and T are powers of 1024', async () => {
    const size = async (text: string) =>
      (await mirrorkeeper(['create', 't', 'eve', '/v', '--size', text])).sent[0]?.body['size'];
    expect(await Promise.all(['4096', '64K', '512m', '2G', '1T'].map(size))).toEqual([
      4096,
      65_536,
      512 * 2 ** 20,
      2 ** 31,
      2 ** 40,
    ]);
  });
});
