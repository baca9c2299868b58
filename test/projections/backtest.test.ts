import { describe, expect, it } from 'vitest';
import { type Backtest, backtest } from '../../projections/backtest.ts';
import { BacktestPolicy } from '../../projections/backtest-policy.ts';
import { backtestText } from '../../projections/backtest-text.ts';
import { Stage } from '../scenarios/stage.ts';

/** What a history comes to under a policy; adam's and sophocles' agents find eve lost after 6 s of silence. */
async function judged(lines: readonly string[], ...settings: readonly object[]): Promise<Backtest> {
  const stage = new Stage();
  await stage.play([
    'start eve adam sophocles',
    'eve: create eve data=/srv/a',
    'eve: extend adam data=/srv/a',
    'eve: extend sophocles data=/srv/a',
    'pass 5s',
    ...lines,
  ]);
  const history = stage.history();
  stage.close();
  return backtest(history, BacktestPolicy.parse({ settings }));
}

const outage = (seconds: number) => ['isolate eve', `pass ${seconds}s`, 'heal', 'pass 30s'];
const pair = { tag: 'datarep', node: 'adam', peer: 'eve' };
const asItWas = { key: 'lost-after', value: 5 };

describe('a policy that is the one that was', () => {
  it('changes nothing', async () => {
    const { incidents, notes } = await judged(['kill eve', 'pass 15s'], asItWas);
    expect(incidents).toMatchObject([
      { verdict: 'same', byMs: 0, lost: 'eve', candidate: { was: 'adam', would: 'adam' } },
    ]);
    expect(incidents[0]?.outageMs.was).toBe(incidents[0]?.outageMs.would);
    expect(notes).toHaveLength(1);
  });
});

describe('more patience', () => {
  it('spares a failover from a source that came back in that time', async () => {
    const result = await judged(outage(9), { key: 'lost-after', value: 12 });
    expect(result.incidents).toMatchObject([
      { verdict: 'not', byMs: null, candidate: { was: 'adam', would: null } },
    ]);
    expect(result.incidents[0]?.because).toMatch(
      /^eve was heard again after \d+(\.\d)? s of silence, and lost only after 12 s$/,
    );
    expect(backtestText(result)).toContain('1 would not have happened');
  });

  it('delays one from a source that did not, by the difference', async () => {
    const { incidents } = await judged(['kill eve', 'pass 15s'], { key: 'heartbeat', value: 3 });
    expect(incidents).toMatchObject([{ verdict: 'later', byMs: 10_000 }]);
    expect((incidents[0]?.outageMs.would ?? 0) - (incidents[0]?.outageMs.was ?? 0)).toBe(10_000);
  });
});

it('less patience hastens it, and says what the history cannot tell', async () => {
  const { incidents, notes } = await judged(['kill eve', 'pass 15s'], { key: 'lost-after', value: 2 });
  expect(incidents).toMatchObject([{ verdict: 'sooner', byMs: -3000 }]);
  expect(notes[1]).toContain('silences shorter than 5 s were never recorded');
});

describe('confirmation (rule 14)', () => {
  const confirm = (value: unknown) => ({ ...pair, key: 'confirm-failover', value });

  it('would have delayed what nobody answers, and spared what came back meanwhile', async () => {
    expect((await judged(['kill eve', 'pass 15s'], confirm(60))).incidents).toMatchObject([
      { verdict: 'later', byMs: 60_000 },
    ]);
    expect((await judged(outage(9), confirm(60))).incidents).toMatchObject([
      { verdict: 'not', because: 'eve would have been back before the failover was confirmed' },
    ]);
  });

  it('with the default to block, would have left it to a person', async () => {
    const block = { key: 'confirm-failover-default', value: 'block' };
    const { incidents } = await judged(['kill eve', 'pass 15s'], confirm(60), block);
    expect(incidents).toMatchObject([{ verdict: 'not', outageMs: { would: null } }]);
    expect(incidents[0]?.because).toContain('it would have been blocked: nobody answered in 60 s');
  });

  it('off, would have come as much sooner as was waited, also where the source came back while it waited', async () => {
    const waiting = ['eve: settings --node adam --peer eve --key confirm-failover --value 60', 'pass 2s'];
    const answered = ['kill eve', 'pass 15s', 'adam: confirm-failover', 'pass 5s'];
    const sooner = await judged([...waiting, ...answered], confirm('off'));
    expect(sooner.incidents).toMatchObject([{ verdict: 'sooner' }]);
    expect(sooner.incidents[0]?.byMs).toBeLessThan(-5000);
    expect((await judged([...waiting, ...outage(9)], confirm('off'))).incidents).toMatchObject([
      { verdict: 'new', candidate: { was: null, would: 'adam' } },
    ]);
    expect((await judged([...waiting, ...outage(9)], asItWas)).incidents).toMatchObject([
      { verdict: 'neither' },
    ]);
  });
});

it('other priorities would have chosen another target', async () => {
  const first = { node: 'sophocles', key: 'priority', value: 1 };
  expect((await judged(['kill eve', 'pass 15s'], first)).incidents).toMatchObject([
    { verdict: 'same', candidate: { was: 'adam', would: 'sophocles' } },
  ]);
});

describe('a policy file', () => {
  it.each([
    [{ settings: [] }],
    [{ settings: [{ key: 'quorum', value: 'none' }] }],
    [{ settings: [{ key: 'lost-after', value: 1 }] }],
    [{ settings: [{ key: 'priority', value: 1 }] }],
    [{ settings: [{ key: 'lost-after', value: 5, resource: 't' }] }],
    [{ policies: [] }],
  ])('%j is refused', (file) => {
    expect(BacktestPolicy.safeParse(file).success).toBe(false);
  });
});
