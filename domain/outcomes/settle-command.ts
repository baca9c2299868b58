import { type ResourceState, sourceOf } from '../state.ts';
import { failedCommand, type Outcome } from './outcome.ts';

/** I11: its switchover or takeover was overtaken; it ends as failed, whoever serves now. */
export const settleCommand: Outcome<'settle-command'> = ({ state, resource, command }) =>
  failedCommand(state, command.settles, resource, `it was overtaken: ${standsAs(resource)}`);

function standsAs(resource: ResourceState): string {
  const { tag, phase, epoch } = resource;
  const source = sourceOf(resource);
  return source === null ? `${tag} is ${phase}` : `${source} serves ${tag} at epoch ${epoch}`;
}
