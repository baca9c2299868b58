import { isOperatorCommand } from '../commands.ts';
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

/** Two creations of one tag (rule 1) stand in the way of everything but the deletion of one. */
export const rivalCreations: Rule = ({ resource, command }) =>
  resource.rivals.length > 0 && isOperatorCommand(command.command) && command.command !== 'delete'
    ? refuse(
        'tag-exists',
        `${resource.tag} was created ${resource.rivals.length + 1} times by nodes that did not see each other`,
        {
          because: [resource.id, ...resource.rivals.map(({ id }) => id)],
          allowed: [`delete ${resource.tag}, on the node whose creation is to go`],
        },
      )
    : undefined;
