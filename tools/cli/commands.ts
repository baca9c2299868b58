import type { Command } from 'commander';
import { checkCommand } from './check-command.ts';
import { clusterCommands } from './cluster-commands.ts';
import { drainCommand } from './drain-command.ts';
import { keygenCommand } from './keygen-command.ts';
import { mirrorCommands } from './mirror-commands.ts';
import { resourceCommands } from './resource-commands.ts';
import { serviceCommands } from './service-commands.ts';
import { settingsCommand } from './settings-command.ts';
import { statusCommand } from './status-command.ts';
import type { Terminal } from './terminal.ts';
import { waitCommand } from './wait-command.ts';

/** What an operator types, in the order of the help. */
export const operatorCommands = (terminal: Terminal): Command[] => [
  statusCommand(terminal),
  ...clusterCommands(terminal),
  ...resourceCommands(terminal),
  ...serviceCommands(terminal),
  drainCommand(terminal),
  ...mirrorCommands(terminal),
  settingsCommand(terminal),
  waitCommand(terminal),
  keygenCommand(terminal),
  checkCommand(terminal),
];
