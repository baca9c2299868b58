import { type Backtest, type JudgedIncident, secondsText, type Verdict, verdicts } from './backtest.ts';

/** `journal backtest` for people: a line for each failover, why, and how many of each kind. */
export function backtestText({ incidents, summary, notes }: Backtest): string[] {
  const counts = verdicts
    .filter((verdict) => summary[verdict] > 0)
    .map((verdict) => `${summary[verdict]} ${counted[verdict]}`);
  return [
    ...incidents.flatMap(incidentLines),
    incidents.length === 0 ? 'no source was ever lost in this history' : counts.join(', '),
    ...notes.map((note) => `note: ${note}`),
  ];
}

const counted: Readonly<Record<Verdict, string>> = {
  not: 'would not have happened',
  sooner: 'would have come sooner',
  later: 'would have come later',
  same: 'would have been the same',
  new: 'would have happened that did not',
  neither: 'would not have happened either',
};

function incidentLines(incident: JudgedIncident): string[] {
  const { time, tag, lost, event, because } = incident;
  return [
    `${time}  ${tag}: ${lost} lost (${event}): ${verdictText(incident)}`,
    `  because ${because}`,
    ...outageText(incident),
  ];
}

function verdictText({ verdict, byMs, candidate }: JudgedIncident): string {
  const { was, would } = candidate;
  const elsewhere = was !== null && would !== null && was !== would ? `, on ${would} instead of ${was}` : '';
  switch (verdict) {
    case 'not':
      return `the failover to ${was} would not have happened`;
    case 'sooner':
    case 'later':
      return `the failover would have come ${secondsText(Math.abs(byMs ?? 0))} ${verdict}${elsewhere}`;
    case 'same':
      return `the same${elsewhere}`;
    case 'new':
      return `a failover to ${would} would have happened`;
    case 'neither':
      return 'no failover then, and none now';
    default:
      return verdict satisfies never;
  }
}

function outageText({ outageMs: { was, would } }: JudgedIncident): string[] {
  if (was === would) return [];
  const text = (ms: number | null) => (ms === null ? 'not known how long' : secondsText(ms));
  return [`  out of service: ${text(would)} instead of ${text(was)}`];
}
