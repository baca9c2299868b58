import type { CommandOf } from '../commands.ts';
import { refuse } from '../refusals.ts';
import type { Question, Verdict } from './question.ts';

/** What is over, or never was, cannot be acknowledged. */
export const alarmRaised = ({ command, facts }: Question<CommandOf<'alarms-ack'>>): Verdict =>
  facts.alarm
    ? undefined
    : refuse('invalid-request', `no alarm ${command.alarm} is raised`, { allowed: ['alarms'] });
