import type { CommandOf } from '../commands.ts';
import { event, type NewEvent } from '../events.ts';
import type { Facts } from '../facts.ts';
import { Tag } from '../vocabulary.ts';
import { completed } from './outcome.ts';

export function acknowledgeAlarm(command: CommandOf<'alarms-ack'>, { alarm }: Facts): NewEvent[] {
  if (!alarm) return [];
  const { tag, because, since } = alarm;
  const resource = tag === null ? null : Tag.parse(tag);
  return [
    event('alarm.acknowledged', resource, { alarm: command.alarm, raisedBy: because, since }),
    completed(command, null),
  ];
}
