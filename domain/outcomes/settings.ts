import type { CommandOf } from '../commands.ts';
import { event, type NewEvent } from '../events.ts';
import { settingSchemas } from '../settings.ts';
import type { ResourceState } from '../state.ts';
import { completed } from './outcome.ts';

export function changeSettings(
  command: CommandOf<'settings'>,
  resource: ResourceState | undefined,
): NewEvent[] {
  const { key, node, peer } = command;
  const value = settingSchemas[key].parse(command.value);
  return [
    node !== undefined && resource === undefined
      ? event('node.settings-changed', null, { node, peer: peer ?? null, key, value })
      : event('resource.settings-changed', resource?.tag ?? null, {
          node: node ?? null,
          peer: peer ?? null,
          key,
          value,
        }),
    completed(command, resource ?? null),
  ];
}
