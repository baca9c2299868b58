import { describe, expect, it } from 'vitest';
import { linesMax } from '../../projections/explain-text.ts';
import { Stage } from '../scenarios/stage.ts';

const columns = 80;
const rowsOf = (lines: readonly string[]) =>
  lines.reduce((rows, line) => rows + Math.max(1, Math.ceil(line.length / columns)), 0);

async function explained(...lines: string[]): Promise<string[]> {
  const stage = new Stage();
  const before = ['start eve adam', 'eve: create eve data=/srv/a', 'eve: extend adam data=/srv/a', 'pass 5s'];
  await stage.play([...before, ...lines]);
  const explanation = stage.explanation();
  stage.close();
  return explanation;
}

describe('why did it fail over?', () => {
  it('fits on one screen and names actor, cause, time and policy', async () => {
    const lines = await explained('kill eve', 'pass 15s');
    expect(rowsOf(lines)).toBeLessThanOrEqual(linesMax);
    const text = lines.join('\n');
    expect(text).toMatch(
      /^datarep is degraded on adam since 2023-11-14T22:13:\d\d\.\d{3}Z; last owner adam, epoch 2\n/,
    );
    expect(text).toMatch(/eve is lost: silent for \d+(\.\d)? s\n {6}adam\/1\/\d+, seen by adam/);
    expect(text).toMatch(/adam begins to take over\n {6}adam\/1\/\d+, by the policy of adam, failover/);
    expect(text).toContain('lost when: silent for heartbeat 1 s × lost-after 5 = 5 s');
    expect(text).toContain('confirm-failover eve -> adam: off: it starts at once (default)');
    expect(text).toContain('eve was heard by nobody');
  });

  it('names who set the policy that applied, and who confirmed and why', async () => {
    const lines = await explained(
      'eve: settings --node adam --peer eve --key confirm-failover --value 60',
      'pass 2s',
      'kill eve',
      'pass 15s',
      'adam: confirm-failover --reason seen-the-smoke',
      'pass 2s',
    );
    const text = lines.join('\n');
    expect(text).toMatch(/confirm-failover eve -> adam: 60 s, then it proceeds \(set by root, eve\/1\/\d+\)/);
    expect(text).toMatch(
      /by root \(socket, not verified\), confirm-failover \(command-\d+\): "seen-the-smoke"/,
    );
    expect(text.indexOf('eve is lost')).toBeLessThan(text.indexOf('waits 60 s for confirmation'));
    expect(text.indexOf('waits 60 s')).toBeLessThan(text.indexOf('begins to take over'));
  });

  it('says what waits for whom while nothing is decided', async () => {
    const lines = await explained(
      'eve: settings --node adam --peer eve --key confirm-failover --value 60',
      'pass 2s',
      'kill eve',
      'pass 15s',
    );
    expect(lines.at(-1)).toBe(
      '  now: adam waits 60 s for confirmation, then it proceeds: confirm-failover datarep [--block]',
    );
  });

  it('after a switchover names the operator who wanted it', async () => {
    const text = (await explained('eve: switchover adam --reason maintenance', 'pass 5s')).join('\n');
    expect(text).toMatch(
      /switchover from eve to adam began\n.*by root \(socket, not verified\), switchover .*"maintenance"/,
    );
    expect(text).not.toContain('lost');
  });
});
