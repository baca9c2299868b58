import { describe, expect, it } from 'vitest';
import { Exit, exitCodes } from '../../tools/program.ts';
import { type Answers, mirrorkeeper } from './fake-terminal.ts';
import { inSync, sample } from './status-sample.ts';

const entry = (event: string, sentence: string, type = 'resync.started') => ({
  event,
  time: '2026-11-20T18:54:16.000Z',
  node: 'eve',
  tag: 'datarep-ext3',
  type,
  sentence,
  actor: { id: 'anna', via: 'bus', verified: true },
  reason: null,
  command: null,
  cause: null,
});

const timeline = [
  entry('eve/1/40', 'a full resync of adam from eve began'),
  entry('eve/1/41', 'command x completed', 'command.completed'),
];

/** `reply` to whatever is ordered, and the history to whoever asks. */
const says =
  (reply: object): Answers =>
  ({ command }) =>
    command === 'timeline' ? { ok: true, timeline } : reply;

const refusal = {
  id: 'eve/1/42',
  code: 'target-resyncing',
  message: 'the target is being resynced: adam is 11% resynced',
  allowed: ['wait datarep-ext3 --for in-sync --target adam'],
  because: ['eve/1/40', 'eve/1/9'],
};

const lossRefusal = {
  ok: false,
  decider: 'eve',
  refusal: {
    id: 'eve/1/42',
    code: 'loss-not-accepted',
    message: 'data would be lost, and nobody has accepted that: 212 writes',
    allowed: ['the same command with --accept-loss 4f0c61a2b7d93e58'],
    because: [],
  },
  loss: { text: '212 writes', writes: 212, bytes: 1_700_000, since: null },
  token: '4f0c61a2b7d93e58',
};

const force = ['force-online', 'datarep-ext3', 'adam'];

describe('what is printed', () => {
  it('done: who decided, and what the events say', async () => {
    const { code, out } = await mirrorkeeper(
      ['resume', 'datarep-ext3', 'adam'],
      says({ ok: true, decider: 'eve', events: ['eve/1/40', 'eve/1/41'] }),
    );
    expect(code).toBe(0);
    expect(out).toBe(
      'done: resume datarep-ext3 adam (decided by eve)\n  eve/1/40  a full resync of adam from eve began\n',
    );
  });

  it('refused: code, sentence, what would be allowed, and the events that led there', async () => {
    const { code, out } = await mirrorkeeper(
      ['switchover', 'datarep-ext3', 'adam'],
      says({ ok: false, decider: 'eve', refusal }),
    );
    expect(code).toBe(1);
    expect(out).toBe(`refused: target-resyncing
  the target is being resynced: adam is 11% resynced
  allowed: wait datarep-ext3 --for in-sync --target adam
  because: eve/1/40  a full resync of adam from eve began
  because: eve/1/9
`);
  });

  it('a loss: what, and the exact command that accepts it', async () => {
    const { code, out } = await mirrorkeeper(
      [...force, '--reason', "eve's disk burnt", '--command-id', 'old', '--accept-loss', 'stale'],
      says(lossRefusal),
    );
    expect(code).toBe(1);
    expect(out).toBe(`refused: loss-not-accepted
  data would be lost, and nobody has accepted that: 212 writes
  to accept that: mirrorkeeper force-online datarep-ext3 adam --reason 'eve'\\''s disk burnt' --accept-loss 4f0c61a2b7d93e58
`);
  });

  it('a dry run: what would follow as sentences, and how to accept the loss without the dry run', async () => {
    const plan = [
      { source: 'adam', target: 'eve', kind: 'partial', bytes: 1_310_720 },
      { source: 'adam', target: 'sophocles', kind: 'full', bytes: null },
    ];
    const { code, out } = await mirrorkeeper(
      [...force, '--dry-run'],
      says({
        ok: true,
        decider: 'adam',
        events: ['resource.forced-online'],
        plan,
        loss: lossRefusal.loss,
        token: 'abc',
      }),
    );
    expect(code).toBe(0);
    expect(
      out,
    ).toBe(`would be allowed: force-online datarep-ext3 adam, adam would decide it; nothing has been done
  resource.forced-online would be journaled
  a partial resync adam -> eve would follow: 1.3 MB
  a full resync adam -> sophocles would follow: what the two have changed since
  would be lost: 212 writes
  to accept that: mirrorkeeper force-online datarep-ext3 adam --accept-loss abc
`);
  });

  it('--json prints the reply as it came', async () => {
    const { code, out } = await mirrorkeeper([...force, '--json'], says(lossRefusal));
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual(lossRefusal);
  });

  it('a question that is refused is JSON too with --json', async () => {
    const reply = { ok: false, refusal: { ...refusal, code: 'unknown-tag' } };
    const { code, out, err } = await mirrorkeeper(['status', 'datarep-ext3', '--json'], says(reply));
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual(reply);
    expect(err).toBe('');
  });
});

describe('exit codes', () => {
  const switchover = ['switchover', 'datarep-ext3', 'adam'];

  it.each([
    [0, { ok: true }],
    [1, { ok: false, refusal }],
    [1, { ok: false, error: 'failed', message: 'adam did not come up' }],
    [3, { ok: false, error: 'unreachable', message: 'eve decides this' }],
    [4, { ok: false, error: 'outcome-unknown', message: 'it goes on', commandId: 'mine' }],
    [5, { ok: false, refusal: { ...refusal, code: 'journal-damaged' } }],
  ])('%i for %j', async (code, reply) => {
    expect((await mirrorkeeper(switchover, says(reply))).code).toBe(code);
  });

  it('3 where nobody is reached, 4 where the answer to an order is lost, with how to ask again', async () => {
    const fails = (exitCode: 3 | 4, message: string) =>
      mirrorkeeper(switchover, () => {
        throw new Exit(exitCode, message);
      });
    expect((await fails(exitCodes.unreachable, 'no agent')).code).toBe(3);
    expect(await fails(exitCodes.unknown, 'no answer')).toMatchObject({
      code: 4,
      err: 'mirrorkeeper: no answer\n',
    });
    const unknown = await mirrorkeeper(
      switchover,
      says({ ok: false, error: 'outcome-unknown', message: 'it goes on', commandId: 'mine' }),
    );
    expect(unknown.out).toContain('mirrorkeeper command mine');
  });

  it('3 where the answer to a mere question is lost: there is no outcome to wonder about', async () => {
    const { code } = await mirrorkeeper(['nodes'], () => {
      throw new Exit(exitCodes.unknown, 'no answer');
    });
    expect(code).toBe(3);
  });

  it.each([
    ['completed', 0],
    ['failed', 1],
    ['refused', 1],
    ['running', 4],
    ['unknown', 4],
  ])('command ID of one that is %s: %i', async (outcome, code) => {
    const command = { id: 'mine', outcome, events: timeline };
    expect(await mirrorkeeper(['command', 'mine'], says({ ok: true, command }))).toMatchObject({ code });
  });
});

describe('status', () => {
  const answers = (status: object): Answers => says({ ok: true, status: [status] });

  it('is one line for the resource and one for each mirror, then its device', async () => {
    const { out } = await mirrorkeeper(['status', '--as-of', 'eve#1042'], answers(sample));
    expect(out).toBe(`datarep-ext3  in service on eve   last owner eve   epoch 3   as of eve#1042
  adam       sync   up to date                        can take over
  sophocles  async  resyncing 11%  48 MB/s  0:03:12   cannot take over: resyncing; behind 212 writes, 1.7 MB, 4 s
  device     data  nbd+unix:///data@3?socket=/var/lib/mirrorkeeper/e/cb25a0ad/nbd.sock
`);
  });

  it('--json is an array, of one resource an object', async () => {
    expect(JSON.parse((await mirrorkeeper(['status', '--json'], answers(sample))).out)).toEqual([sample]);
    const one = await mirrorkeeper(['status', 'datarep-ext3', '--json'], answers(sample));
    expect(JSON.parse(one.out)).toEqual(sample);
  });
});

describe('wait', () => {
  const statuses = (...list: object[]): Answers => {
    const left = [...list];
    return () => ({ ok: true, status: [left.length > 1 ? left.shift() : left[0]] });
  };

  it('ends when every target is in sync, or the ones that are named', async () => {
    const all = await mirrorkeeper(['wait', 't', '--for', 'in-sync'], statuses(sample, sample, inSync));
    expect(all).toMatchObject({
      code: 0,
      out: 'datarep-ext3: in service on eve, in sync: adam, sophocles\n',
    });
    expect(all.sent).toHaveLength(3);
    const one = await mirrorkeeper(
      ['wait', 't', '--for', 'in-sync', '--target', 'adam'],
      statuses(sample, inSync),
    );
    expect(one.sent).toHaveLength(1);
  });

  it('says after --timeout that it goes on (4)', async () => {
    const { code, err } = await mirrorkeeper(
      ['wait', 't', '--for', 'in-sync', '--timeout', '0.1'],
      statuses(sample),
    );
    expect(code).toBe(4);
    expect(err).toContain('not in-sync after 0.1 s');
  });

  it('extend --wait waits for the new target', async () => {
    const answers: Answers = ({ command }) =>
      command === 'status' ? { ok: true, status: [inSync] } : { ok: true, events: [] };
    const { out } = await mirrorkeeper(['extend', 'datarep-ext3', 'adam', '/v', '--wait'], answers);
    expect(out).toContain('in sync: adam');
  });
});

describe('drain', () => {
  const serving = (tag: string, source: string, ...mirrors: object[]) => ({
    ...sample,
    tag,
    sources: [source],
    mirrors,
  });
  const eligible = { target: 'adam', eligible: true, notEligibleBecause: null };
  const behind = { target: 'sophocles', eligible: false, notEligibleBecause: 'resyncing' };

  it('moves each resource of the node to the first target that may take it, and says what stays and why', async () => {
    const status = [
      serving('mail', 'eve', behind, eligible),
      serving('pg', 'adam', eligible),
      serving('www', 'eve', behind),
    ];
    const { code, out, err, sent } = await mirrorkeeper(
      ['drain', 'eve', '--reason', 'new memory'],
      ({ command }) =>
        command === 'status' ? { ok: true, status } : { ok: true, decider: 'eve', events: [] },
    );
    expect(sent.filter(({ command }) => command === 'switchover')).toMatchObject([
      { body: { tag: 'mail', node: 'adam', reason: 'new memory' } },
    ]);
    expect(code).toBe(1);
    expect(out).toBe(
      'done: switchover mail adam (decided by eve)\nwww: no target may take it (sophocles: resyncing)\n',
    );
    expect(err).toContain('still in service on eve: www');
  });
});
