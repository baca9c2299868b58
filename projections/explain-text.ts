import type { ExplainedMirror, ExplainedStep, Explanation } from './explain.ts';
import type { AppliedPolicy } from './explain-policies.ts';
import type { TimelineEntry } from './timeline.ts';

/** What fits on one screen of a terminal. */
export const linesMax = 24;

/** `journal explain TAG` for people, at most 24 lines: actor, cause, time and policy of how it came to be so. */
export function explainText(explanation: Explanation): string[] {
  const { steps, facts, policies, mirrors, open } = explanation;
  const fixed = [headline(explanation), 'how it came about:'];
  const policyLines = section('policy then:', policies.map(policyText));
  const told = new Set(steps.map(({ event }) => event));
  const mirrorLines = mirrors.map((mirror) => mirrorText(mirror, told));
  const openLines = open.map((sentence) => `  now: ${sentence}`);
  const factLines = section('known then:', facts);
  // Of what does not fit the chain is told first, then what applied, then what was known.
  const room = linesMax - fixed.length - openLines.length;
  const stepLines = stepTexts(steps, Math.max(4, room - policyLines.length - mirrorLines.length - 3));
  const left = Math.max(0, room - stepLines.length - policyLines.length - mirrorLines.length);
  return [
    ...fixed,
    ...stepLines,
    ...cut(policyLines, room - stepLines.length),
    ...cut(factLines, left),
    ...cut(mirrorLines, room - stepLines.length - policyLines.length),
    ...openLines,
  ];
}

function headline({ tag, state, sources, epoch, lastOwner, since }: Explanation): string {
  const on = sources.length === 0 || state === 'out-of-service' ? '' : ` on ${sources.join(' and ')}`;
  const began = since === null ? '' : ` since ${since}`;
  return `${tag} is ${state.replaceAll('-', ' ')}${on}${began}; last owner ${lastOwner ?? 'none'}, epoch ${epoch}`;
}

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];

/** Two lines a step; where they are too many, the first cause and the last effects. */
function stepTexts(steps: readonly ExplainedStep[], room: number): string[] {
  if (steps.length * 2 <= room) return steps.flatMap(stepLines);
  const [first, ...rest] = steps;
  const last = rest.slice(1 - Math.max(2, Math.floor((room - 1) / 2)));
  const between = rest.length - last.length;
  return [
    ...(first === undefined ? [] : stepLines(first)),
    `  … ${between} more in between: journal list`,
    ...last.flatMap(stepLines),
  ];
}

const stepLines = (step: ExplainedStep): string[] => [
  `  ${clock(step)}  ${step.sentence}`,
  `      ${step.event}, ${byWhom(step)}`,
];

/** The day stands in the headline; what matters here is how long one thing came after another. */
const clock = ({ time }: TimelineEntry): string => time.slice(0, -1).replace('T', ' ');

function byWhom({ actor, reason, issued }: ExplainedStep): string {
  const what = issued === null ? '' : `, ${issued.command}`;
  if (actor.via === 'policy') return `by the policy of ${actor.id}${what}`;
  if (actor.via === 'engine') return `seen by ${actor.id}${what}`;
  const who = `by ${actor.id} (${actor.via}${actor.verified ? '' : ', not verified'})`;
  const why = reason === null ? '' : `: "${reason}"`;
  return `${who}${what}${issued === null ? '' : ` (${issued.id})`}${why}`;
}

function policyText({ policy, value, setBy }: AppliedPolicy): string {
  const by = setBy === null ? '' : ` (set by ${setBy.actor}, ${setBy.event})`;
  return `${policy}: ${value}${by}`;
}

function mirrorText(
  { target, status, notEligibleBecause, because }: ExplainedMirror,
  told: ReadonlySet<string>,
): string {
  const state = `mirror to ${target}: ${status}, ${notEligibleBecause ?? 'disconnected'}`;
  if (because === null) return state;
  return told.has(because.event)
    ? `${state}, since ${because.event}`
    : `${state}, since ${clock(because)} (${because.event}): ${because.sentence}`;
}

const cut = (lines: readonly string[], room: number): readonly string[] =>
  lines.length <= room ? lines : [...lines.slice(0, Math.max(0, room - 1)), ...(room > 0 ? ['  …'] : [])];
