import { type CommandName, isOperatorCommand, observationsOfMirrors, tagOf } from '../commands.ts';
import { refuse } from '../refusals.ts';
import type { Question, Rule, Verdict } from './question.ts';

export const journalDamaged = ({ facts }: Question): Verdict =>
  facts.journalDamaged
    ? refuse('journal-damaged', `${facts.self} decides nothing until its journal is repaired`)
    : undefined;

/** Rule 22: an id means one command for ever. */
export const commandIdReused = ({ state, command }: Question): Verdict => {
  const known = state.commands[command.id];
  if (!known || known.digest === command.digest) return undefined;
  return refuse('command-id-reused', `${command.id} was another command, which is ${known.outcome}`, {
    allowed: ['the same command with a new id'],
  });
};

/** Rule 22: a command that comes too late does nothing. */
export const pastDeadline = ({ command, facts }: Question): Verdict =>
  command.deadline !== undefined && command.deadline < facts.now
    ? refuse('stale-command', `its deadline passed ${facts.now - command.deadline} ms ago`)
    : undefined;

export const unknownEvent: Rule = ({ resource, command }) =>
  resource.unknownEvent !== null && isOperatorCommand(command.command)
    ? refuse('unknown-event', `${resource.tag} holds ${resource.unknownEvent}`, {
        because: [resource.unknownEvent],
        allowed: ['upgrade this node'],
      })
    : undefined;

/** What may still be said of each of two rivals: how its engine fares, and that one of them is to go. */
const despiteRivals: ReadonlySet<CommandName> = new Set<CommandName>([
  'delete',
  'served',
  'generation-started',
  'bitmap-invalidated',
  'link-corruption',
  'disk-failed',
  'local-failure',
  'file-system-made',
  'file-system-mounted',
  'file-system-unmounted',
  'file-system-failed',
  ...observationsOfMirrors,
]);

/** Rule 1: two creations of one tag stand in the way of everything that changes roles, until one is deleted. */
export const rivalCreations = ({ state, command }: Question): Verdict => {
  const tag = tagOf(command);
  const known = tag === null ? undefined : state.resources[tag];
  if (!known || known.rivals.length === 0 || despiteRivals.has(command.command)) return undefined;
  return refuse(
    'tag-exists',
    `${tag} was created ${known.rivals.length + 1} times by nodes that did not see each other`,
    {
      because: [known.id, ...known.rivals.map(({ id }) => id)],
      allowed: [`delete ${tag}, on the node whose creation is to go`],
    },
  );
};
