import type { Facts, PathFact, ReplicaFact } from '../domain/facts.ts';
import type { RecordedDecision } from '../domain/recorded-decision.ts';

/** What a decision knew beside the history, in sentences; what tells nothing about it is left out. */
export function factSentences(decision: RecordedDecision | undefined): string[] {
  if (decision === undefined) return [];
  const { command, facts } = decision;
  switch (command.command) {
    case 'promises-collected':
      return command.answers.map(
        ({ node, answer }) => `${node} answered for epoch ${command.epoch}: ${answer}`,
      );
    case 'node-silent':
      return [];
    default:
      return [
        ...hearingSentences(facts),
        ...replicaSentences(facts),
        ...promiseSentences(facts),
        ...pathSentences(facts),
        ...(facts.deviceInUse ? [`the device on ${facts.self} is in use: ${facts.deviceInUse}`] : []),
      ];
  }
}

/** Silence is a fact too: who had not been heard by anybody. */
function hearingSentences({ self, reachable, heardBy = {} }: Facts): string[] {
  const silent = Object.entries(heardBy)
    .filter(([node]) => !reachable.includes(node as never))
    .map(([node, witnesses]) =>
      witnesses.length === 0 ? `${node} was heard by nobody` : `${node} was heard by ${witnesses.join(', ')}`,
    );
  return [
    `${self} heard ${reachable.filter((node) => node !== self).join(', ') || 'no other node'}`,
    ...silent,
  ];
}

const replicaSentences = ({ replicas = {} }: Facts): string[] =>
  Object.entries(replicas).map(([node, record]) => `the replica on ${node} said: ${recordText(record)}`);

function recordText({ inSync, consistent, paused, rewound, related, epoch, promised }: ReplicaFact): string {
  return [
    consistent ? (inSync ? 'in sync' : 'out of sync') : 'inconsistent',
    ...(paused ? ['paused'] : []),
    ...(rewound ? ['rewound'] : []),
    ...(related ? [] : ['no common past']),
    `epoch ${epoch}`,
    ...(promised > epoch ? [`promised ${promised}`] : []),
  ].join(', ');
}

const promiseSentences = ({ promises }: Facts): string[] =>
  (promises?.answers ?? []).map(
    ({ node, answer, outOfSync }) =>
      `${node} answered for epoch ${promises?.epoch}: ${answer}${outOfSync ? ', out of sync' : ''}`,
  );

const pathSentences = ({ paths = {} }: Facts): string[] =>
  Object.entries(paths).map(([path, fact]) => `${path}: ${pathText(fact)}`);

function pathText({ exists, usedBy, byteSize, blank }: PathFact): string {
  if (!exists) return 'is not there';
  const use = usedBy === null ? 'free' : `used by ${usedBy}`;
  return `${use}, ${byteSize.toLocaleString('en-US')} bytes, ${blank ? 'blank' : 'not blank'}`;
}
