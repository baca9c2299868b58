import type { Journal } from '../../journal/journal.ts';
import type { CommandReply, IssuedCommand } from '../bus/messages.ts';
import type { AgentContext } from './context.ts';
import type { History } from './history.ts';
export const queryNames = ['status', 'nodes', 'command'] as const;
export function answerQuery(
  _history: History,
  _context: AgentContext,
  _journal: Journal,
  issued: IssuedCommand,
): CommandReply {
  return { ok: false, commandId: issued.body.id };
}
