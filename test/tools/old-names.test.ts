import { describe, expect, it } from 'vitest';
import {
  mirrorActionCommand,
  mirrorSettingsCommand,
  mirrorStatusCommand,
} from '../../tools/cli/old-names.ts';
import { type Answers, oldName } from './fake-terminal.ts';
import { sample } from './status-sample.ts';

const answers: Answers = ({ command }) =>
  command === 'status' ? { ok: true, status: [sample] } : { ok: true, events: [] };

/** Without the ids. */
async function orders(...args: string[]) {
  const { sent, code } = await oldName(mirrorActionCommand, args, answers);
  expect(code).toBe(0);
  return sent
    .filter(({ command }) => command !== 'status')
    .map(({ command, body: { id: _, ...rest } }) => ({ command, ...rest }));
}

describe('the old names', () => {
  it('mirror_status looks as it always did', async () => {
    const { out, code } = await oldName(mirrorStatusCommand, ['datarep-ext3'], answers);
    expect(code).toBe(0);
    expect(out).toBe(`[-] eve -> adam

  Status: Fully Operational

  Type: Synchronous

[-] eve -> sophocles

  Status: Resynchronizing

    [=>   ] 11%

    Resync Speed: 46875K/sec

  Type: Asynchronous

Bitmap: 4895 bits (chunks), 4356 dirty (89.0%)
`);
  });

  it('mirror_action TAG ACTION SOURCE [TARGET…], as in the admin guide', async () => {
    expect(await orders('datarep-ext3', 'pause', 'eve', 'adam')).toEqual([
      { command: 'pause', tag: 'datarep-ext3', targets: ['adam'] },
    ]);
    expect(await orders('datarep-ext3', 'resume', 'eve', 'adam', 'sophocles')).toEqual([
      { command: 'resume', tag: 'datarep-ext3', targets: ['adam', 'sophocles'] },
    ]);
    expect(await orders('datarep-ext3', 'force', 'adam')).toEqual([
      { command: 'force-online', tag: 'datarep-ext3', node: 'adam' },
    ]);
    expect(await orders('datarep-ext3', 'fullresync', 'eve', 'sophocles')).toEqual([
      { command: 'full-resync', tag: 'datarep-ext3', targets: ['sophocles'] },
    ]);
  });

  it('a source that is not the source means another mirror: nothing is done', async () => {
    const { sent, code, err } = await oldName(
      mirrorActionCommand,
      ['datarep-ext3', 'pause', 'adam', 'eve'],
      answers,
    );
    expect(code).toBe(1);
    expect(err).toBe('mirror_action: datarep-ext3 is in service on eve: there is no mirror from adam\n');
    expect(sent.map(({ command }) => command)).toEqual(['status']);
  });

  it('a loss is accepted under the name that was typed', async () => {
    const refusal = { id: 'x', code: 'loss-not-accepted', message: 'all of it', allowed: [], because: [] };
    const loss = { text: 'all of it', writes: null, bytes: null, since: null };
    const { out } = await oldName(mirrorActionCommand, ['t', 'force', 'eve'], () => ({
      ok: false,
      refusal,
      loss,
      token: '12ab',
    }));
    expect(out).toContain('to accept that: mirror_action t force eve --accept-loss 12ab');
  });

  it('mirror_settings TAG SETTING VALUE', async () => {
    const set = async (...args: string[]) => {
      const { sent } = await oldName(mirrorSettingsCommand, args, answers);
      return sent[0]?.body;
    };
    expect(await set('t', 'logdir', '')).toMatchObject({ tag: 't', key: 'logdir', value: '' });
    expect(await set('t', 'logmax', '1073741824')).toMatchObject({ key: 'logmax', value: '1073741824' });
    expect(await oldName(mirrorSettingsCommand, ['t', 'color', 'red'], answers)).toMatchObject({ code: 2 });
  });
});
