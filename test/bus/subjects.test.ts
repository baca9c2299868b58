import { describe, expect, it } from 'vitest';
import {
  ActorName,
  ClusterName,
  CommandToken,
  commandSubject,
  heartbeatSubject,
  inboxSubject,
  journalSubject,
  parseCommandSubject,
  parseHeartbeatSubject,
  parseInboxSubject,
  parseJournalSubject,
} from '../../adapters/bus/subjects.ts';
import { actor, cluster, command, node } from './names.ts';

describe('the table of subjects', () => {
  it('says who sent a message, as it was put in', () => {
    const sent = commandSubject(cluster, actor('anna'), command('in-service'));
    expect(sent).toBe('mk.demo.cmd.anna.in-service');
    expect(parseCommandSubject(cluster, sent)).toEqual({ actor: 'anna', command: 'in-service' });
    expect(parseJournalSubject(cluster, journalSubject(cluster, node('eve')))).toBe('eve');
    expect(parseHeartbeatSubject(cluster, heartbeatSubject(cluster, node('eve')))).toBe('eve');
    expect(parseInboxSubject(cluster, inboxSubject(cluster, node('eve'), 'ask', node('adam')))).toBe('adam');
  });

  it.each([
    'mk.other.cmd.anna.pause',
    'mk.demo.cmd.anna',
    'mk.demo.cmd.anna.pause.now',
    'mk.demo.cmd.-x.pause',
  ])('takes nothing from %s', (subject) => {
    expect(parseCommandSubject(cluster, subject)).toBeUndefined();
  });

  it('does not mix up what is below a node', () => {
    expect(parseHeartbeatSubject(cluster, 'mk.demo.agent.eve.inbox')).toBeUndefined();
    expect(parseInboxSubject(cluster, 'mk.demo.agent.eve.outbox.ask.adam')).toBeUndefined();
    expect(parseJournalSubject(cluster, 'mk.demo.journal.eve.adam')).toBeUndefined();
  });

  it.each(['', 'a.b', '*', '>', 'a b', '-a', 'ä', 'x'.repeat(64)])('no name becomes a token: %j', (name) => {
    expect(ActorName.safeParse(name).success).toBe(false);
    expect(ClusterName.safeParse(name).success).toBe(false);
    expect(CommandToken.safeParse(name).success).toBe(false);
  });
});
