import type { AgentContext } from './context.ts';
import type { Change, History } from './history.ts';
export class ViewPublisher {
  constructor(_history: History, _context: AgentContext) {}
  changed(_change: Change): void {}
}
