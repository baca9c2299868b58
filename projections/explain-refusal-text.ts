import type { RefusalExplanation } from './explain-refusal.ts';
import { linesMax } from './explain-text.ts';
import type { TimelineEntry } from './timeline.ts';

/** `journal explain --refusal ID` for people, at most 24 lines: the rule, what it used, and what would let it pass. */
export function refusalText(explanation: RefusalExplanation): string[] {
  const { entry, asked, code, rule, message, facts, because, allowed, ifOnly, again } = explanation;
  const { command, ...args } = asked;
  const fixed = [
    `${command} was refused (${code}) at ${entry.time} by ${entry.node}, ${entry.event}`,
    `  asked by ${whoOf(entry)}: ${[command, ...Object.entries(args).map(argumentText)].join(' ')}`,
    `  ${message}`,
    `${rule.rule === null ? 'of every command' : `rule ${rule.rule}`}: ${rule.says}`,
  ];
  const conclusion = [
    ...section(
      'it would have been allowed if',
      ifOnly.map((all) => all.join(', and ')),
    ),
    ...section('what would be allowed instead:', allowed),
    ...(again === 'otherwise'
      ? ['decided again from what is recorded it comes out otherwise: journal verify --decisions']
      : []),
  ];
  const grounds = [
    ...section('known then:', facts),
    ...section(
      'what led there:',
      because.map(({ time, event, sentence }) => `${time}  ${event}  ${sentence}`),
    ),
  ];
  const room = linesMax - fixed.length;
  const shown = conclusion.slice(0, room);
  return [...fixed, ...grounds.slice(0, Math.max(0, room - shown.length)), ...shown];
}

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];

function whoOf({ actor, reason, command }: TimelineEntry): string {
  const why = reason === null ? '' : `, because "${reason}"`;
  return `${actor.id} (${actor.via}${actor.verified ? '' : ', not verified'}) as ${command}${why}`;
}

const argumentText = ([name, value]: [string, unknown]): string =>
  `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
