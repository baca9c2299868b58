import { candidates } from '../domain/eligibility.ts';
import type { Facts } from '../domain/facts.ts';
import { confirmation, scopeInForce, settingDefaults, settingOf } from '../domain/settings.ts';
import type { ResourceState } from '../domain/state.ts';
import type { NodeName } from '../domain/vocabulary.ts';
import { type BacktestPolicy, priorityUnder, settingsUnder } from './backtest-policy.ts';
import { type FailoverIncident, failoverIncidents, type KnownHistory } from './failover-incidents.ts';
import { isoTime } from './iso-time.ts';

/**
 * `journal backtest --policy FILE`: what other settings of heartbeat, lost-after, confirmation and priority would have
 * made of the failovers of a history. Each is judged by itself, upon the history that really came before it; operators
 * are taken to answer as fast as they did. A function of the events and the policy.
 */
export interface Backtest {
  readonly incidents: readonly JudgedIncident[];
  readonly summary: Readonly<Record<Verdict, number>>;
  /** What the history cannot tell. */
  readonly notes: readonly string[];
}

/** `new`: it did not happen, and would have. `neither`: it did not, and would not have. */
export const verdicts = ['not', 'sooner', 'later', 'same', 'new', 'neither'] as const;
export type Verdict = (typeof verdicts)[number];

export interface JudgedIncident {
  readonly tag: string;
  readonly lost: string;
  readonly event: string;
  readonly time: string;
  readonly verdict: Verdict;
  /** How much later; negative: sooner. Null unless it happened in both. */
  readonly byMs: number | null;
  readonly candidate: { readonly was: string | null; readonly would: string | null };
  /** From the first silence until somebody served again; null where that is not known. */
  readonly outageMs: { readonly was: number | null; readonly would: number | null };
  readonly because: string;
}

export function backtest(history: KnownHistory, policy: BacktestPolicy, tag?: string): Backtest {
  const found = failoverIncidents(history).filter((incident) => tag === undefined || incident.tag === tag);
  const judged = found.map((incident) => judge(incident, policy));
  const summary = Object.fromEntries(
    verdicts.map((verdict) => [verdict, judged.filter((one) => one.verdict === verdict).length]),
  ) as Record<Verdict, number>;
  return { incidents: judged, summary, notes: notesOf(found, policy) };
}

/** What would have come of it: when a candidate would have begun, or why none would have. */
type Course =
  | { readonly starts: true; readonly at: number; readonly candidate: NodeName; readonly because: string }
  | { readonly starts: false; readonly backAt: number | null; readonly because: string };

function judge(incident: FailoverIncident, policy: BacktestPolicy): JudgedIncident {
  const { tag, lost, first, started, entered } = incident;
  const course = courseUnder(incident, policy);
  const silentSince = silentSinceOf(incident);
  const startedAt = entered === null ? null : (started ?? first).time;
  const byMs = course.starts && startedAt !== null ? course.at - startedAt : null;
  const tookMs = entered === null || startedAt === null ? 0 : entered.time - startedAt;
  const backAt = course.starts ? course.at + tookMs : course.backAt;
  return {
    tag,
    lost,
    event: (started ?? first).id,
    time: isoTime((started ?? first).time),
    verdict: verdictOf(entered !== null, course.starts, byMs),
    byMs,
    candidate: { was: entered?.data.node ?? null, would: course.starts ? course.candidate : null },
    outageMs: {
      was: entered === null ? null : entered.time - silentSince,
      would: backAt === null ? null : backAt - silentSince,
    },
    because: course.because,
  };
}

function verdictOf(did: boolean, would: boolean, byMs: number | null): Verdict {
  if (!did) return would ? 'new' : 'neither';
  if (!would || byMs === null) return 'not';
  if (byMs === 0) return 'same';
  return byMs < 0 ? 'sooner' : 'later';
}

function courseUnder(incident: FailoverIncident, policy: BacktestPolicy): Course {
  const { tag, lost, first, loss, returned } = incident;
  const settings = settingsUnder(policy, incident.settings);
  const since = silentSinceOf(incident);
  const backAt = returned === null || loss === null ? null : since + silenceMsOf(incident);

  // 1. Whether it would have been lost, and when.
  const patience = patienceUnder(incident, policy);
  const lostAt = loss === null ? first.time : loss.time + patience.is - patience.was;
  if (loss !== null && backAt !== null && backAt <= lostAt) {
    const because = `${lost} was heard again after ${secondsText(backAt - since)} of silence, and lost only after ${secondsText(patience.is)}`;
    return { starts: false, backAt, because };
  }
  const isOperators = first.actor.via !== 'policy';
  const at = isOperators ? Math.max(first.time, lostAt) : lostAt + (first.time - (loss?.time ?? first.time));

  // 2. Who would have been the best.
  const candidate = candidateUnder(incident, policy);
  if (candidate === undefined) return { starts: false, backAt, because: 'no target could have taken over' };

  // 3. Whether it would have waited, and for what (rule 14).
  const wait = isOperators ? undefined : confirmation(settings, tag, lost, candidate);
  const lostText =
    loss === null
      ? `${lost} failed locally`
      : `${lost} would have been lost after ${secondsText(patience.is)}`;
  if (wait === undefined) return { starts: true, at, candidate, because: lostText };
  return confirmed(incident, { at, candidate, backAt, wait, lostText });
}

function confirmed(
  { lost, requested, confirmed: answered }: FailoverIncident,
  {
    at,
    candidate,
    backAt,
    wait,
    lostText,
  }: {
    readonly at: number;
    readonly candidate: NodeName;
    readonly backAt: number | null;
    readonly wait: { readonly seconds: number; readonly default: 'proceed' | 'block' };
    readonly lostText: string;
  },
): Course {
  const runsOut = at + wait.seconds * 1000;
  const isPersons = answered !== null && answered.actor.via !== 'policy';
  const answerAt = requested === null || !isPersons ? null : at + (answered.time - requested.time);
  const answersFirst = answerAt !== null && answerAt <= runsOut;
  const decidedAt = answersFirst ? answerAt : runsOut;
  if (backAt !== null && backAt < decidedAt)
    return {
      starts: false,
      backAt,
      because: `${lost} would have been back before the failover was confirmed`,
    };
  const answer = answersFirst && answered !== null ? answered.data.answer : wait.default;
  const how = answersFirst
    ? `${answered?.actor.id} answered after ${secondsText(answerAt - at)}`
    : `nobody answered in ${wait.seconds} s, and the default is to ${wait.default}`;
  return answer === 'proceed'
    ? { starts: true, at: decidedAt, candidate, because: `${lostText}; ${how}` }
    : { starts: false, backAt, because: `${lostText}; it would have been blocked: ${how}` };
}

/** When the lost node was last heard, by the clock of the one that found it lost. */
const silentSinceOf = ({ loss, first }: FailoverIncident): number =>
  loss === null ? first.time : loss.time - loss.data.silentMs;

const silenceMsOf = (incident: FailoverIncident): number =>
  (incident.returned?.time ?? 0) - silentSinceOf(incident);

/** Milliseconds of silence that mean a loss: under the policy, and as it was (how the agents were started). */
function patienceUnder(
  { loss, facts }: FailoverIncident,
  policy: BacktestPolicy,
): { is: number; was: number } {
  const then = facts?.patience ?? {
    heartbeatMs: settingDefaults.heartbeat * 1000,
    lostAfter: settingDefaults['lost-after'],
  };
  const own = settingsUnder(policy, {});
  const scope = { node: loss?.node };
  const isSet = (key: 'heartbeat' | 'lost-after') => scopeInForce(own, scope, key) !== undefined;
  const heartbeatMs = isSet('heartbeat')
    ? (settingOf(own, scope, 'heartbeat') ?? 1) * 1000
    : then.heartbeatMs;
  const lostAfter = isSet('lost-after') ? (settingOf(own, scope, 'lost-after') ?? 5) : then.lostAfter;
  return { is: heartbeatMs * lostAfter, was: then.heartbeatMs * then.lostAfter };
}

/** The best eligible target with the policy's priorities, by the facts of then. */
function candidateUnder(incident: FailoverIncident, policy: BacktestPolicy): NodeName | undefined {
  const { tag, resource, first } = incident;
  const named = first.actor.via === 'policy' ? undefined : candidateOf(first);
  if (named !== undefined) return named;
  const replicas = Object.fromEntries(
    Object.entries(resource.replicas).map(([node, replica]) => [
      node,
      { ...replica, priority: priorityUnder(policy, tag, node) ?? replica.priority },
    ]),
  );
  const ranked: ResourceState = { ...resource, replicas };
  return incident.facts === undefined ? candidateOf(first) : candidates(ranked, incident.facts as Facts)[0];
}

function candidateOf(first: FailoverIncident['first']): NodeName | undefined {
  if (first.type === 'failover.started' || first.type === 'failover.confirmation-requested')
    return first.data.candidate;
  return first.type === 'failover.blocked' ? (first.data.candidate ?? undefined) : undefined;
}

function notesOf(found: readonly FailoverIncident[], policy: BacktestPolicy): string[] {
  const shorter = found
    .filter(({ loss }) => loss !== null)
    .map((incident) => patienceUnder(incident, policy))
    .filter(({ is, was }) => is < was);
  const shortest = shorter[0];
  return [
    'each failover is judged by itself, upon the history that really came before it',
    ...(shortest === undefined
      ? []
      : [
          `silences shorter than ${secondsText(shortest.was)} were never recorded: with ${secondsText(shortest.is)} there may have been failovers that this history knows nothing of`,
        ]),
  ];
}

export const secondsText = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
