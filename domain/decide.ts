import type { Command, CommandName } from './commands.ts';
import { type CommandOf, isOperatorCommand, observationsOfMirrors, tagOf } from './commands.ts';
import type { Loss, NewEvent } from './events.ts';
import type { Facts } from './facts.ts';
import { acceptanceToken, lossOf } from './loss.ts';
import { outcomeOf } from './outcomes.ts';
import { type Refusal, refuse } from './refusals.ts';
import { machineAllows } from './resource-machine.ts';
import { refusalOf } from './rules.ts';
import { asSeenBy, type ClusterState } from './state.ts';

/** What became of a command: events to journal, or a refusal that changes nothing. */
export type Decision =
  | { readonly kind: 'accepted'; readonly events: readonly NewEvent[] }
  | {
      readonly kind: 'refused';
      readonly refusal: Refusal;
      /** With `loss-not-accepted`: what would be lost, and the token that accepts exactly that (rule 23). */
      readonly loss?: Loss;
      readonly token?: string;
    };

/** Commands whose effect a machine has a say in; the rest is history of nodes and mirrors. */
const withoutMachine: ReadonlySet<CommandName> = new Set<CommandName>([
  ...observationsOfMirrors,
  'settle-command',
  'promised',
  'file-system-made',
  'file-system-mounted',
  'file-system-unmounted',
  'file-system-failed',
  'node-joined',
  'node-heard',
  'node-key',
  'node-silent',
  'clock-skewed',
  'journal-damaged',
  'journal-repaired',
]);

/**
 * The one place where anything is allowed (DESIGN 2). Pure: state, command and facts in, events or a refusal out.
 * The events become true when they are durable in the decider's journal, and not before.
 */
export function decide(state: ClusterState, command: Command, facts: Facts): Decision {
  const tag = tagOf(command);
  const known = tag === null ? undefined : state.resources[tag];
  // What an engine or a policy says of one of two rivals is about its own.
  const resource = known && !isOperatorCommand(command.command) ? asSeenBy(known, facts.self) : known;

  // 1. The rules, in their order.
  const refusal = refusalOf({ state, resource, command, facts });
  if (refusal) return { kind: 'refused', refusal };

  // 2. The machine knows no way from here: a rule is missing, and nothing happens.
  if (
    !withoutMachine.has(command.command) &&
    tag !== null &&
    !machineAllows({ state, resource, facts }, command)
  ) {
    return {
      kind: 'refused',
      refusal: refuse(
        'stale-command',
        `${command.command} means nothing while ${tag} is ${resource?.phase ?? 'absent'}`,
      ),
    };
  }

  // 3. What would be lost is asked last.
  const loss = lossOf(resource, command, facts);
  if (loss && command.acceptLoss !== acceptanceToken(resource, command) && !command.dryRun) {
    const token = acceptanceToken(resource, command);
    if (command.acceptLoss !== undefined) {
      return {
        kind: 'refused',
        refusal: refuse('stale-command', 'the token was for another state of things'),
        loss,
        token,
      };
    }
    const allowed = [`the same command with --accept-loss ${token}`];
    return { kind: 'refused', refusal: refuse('loss-not-accepted', loss.text, { allowed }), loss, token };
  }

  // 4. What it brings about.
  return { kind: 'accepted', events: outcomeOf(state, resource, command as CommandOf<CommandName>, facts) };
}
