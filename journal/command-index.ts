import type { EventEnvelope } from '../domain/envelope.ts';
import type { EventStore, StoreWrite } from './event-store.ts';
import { commandBounds, commandKey, parseCommandKey } from './keys.ts';
import { readEvent } from './log-scan.ts';

/**
 * Which events a command brought about, by its id, for ever: an id means one command, however old (rule 22, I11). Written
 * in one batch with the event. What an engine observes has an id of its own each time, which nobody sends again.
 */
export function indexWrites(event: EventEnvelope): StoreWrite[] {
  const { command, actorvia } = event;
  const ended = event.data['commandId'];
  const ids = new Set(typeof ended === 'string' ? [ended] : []);
  if (command !== undefined && !(actorvia === 'engine' && command.startsWith('engine/'))) ids.add(command);
  return [...ids].map((id) => ({ type: 'put', key: commandKey(id, event), value: '' }));
}

/** By node, then in the order of its log. What an index names and is no more there is left out. */
export async function eventsOfCommand(store: EventStore, command: string): Promise<EventEnvelope[]> {
  const events: EventEnvelope[] = [];
  for await (const batch of store.entries(commandBounds(command)))
    for (const [key] of batch) {
      const position = parseCommandKey(key);
      if (position === undefined) continue;
      const event = await readEvent(store, position.node, position.incarnation, position.sequence);
      if (event?.command === command || event?.data['commandId'] === command) events.push(event);
    }
  return events;
}
