import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { AnyStateMachine } from 'xstate';
import { mirrorMachine } from '../domain/mirror-machine.ts';
import { resourceMachine } from '../domain/resource-machine.ts';

/**
 * The state diagrams of ARCHITECTURE.md, drawn from the machines: `npm run diagrams` writes them anew, a test fails
 * when they are stale. What leaves a state as it is, is left out.
 */
const begin = '<!-- state diagrams: written by tools/diagrams.ts -->';
const end = '<!-- end of the state diagrams -->';

const drawn = [
  ['A resource: which command leads from phase to phase', resourceMachine],
  ['A mirror: which event leads from status to status', mirrorMachine],
] as const;

export function mermaid(machine: AnyStateMachine): string {
  const labels = new Map<string, string[]>();
  for (const state of Object.values(machine.states)) {
    for (const [event, transitions] of state.transitions) {
      for (const { target } of transitions) {
        const to = target?.[0]?.key;
        if (to === undefined || to === state.key) continue;
        const edge = `${idOf(state.key)} --> ${idOf(to)}`;
        const events = labels.get(edge) ?? [];
        if (!events.includes(event)) labels.set(edge, [...events, event]);
      }
    }
  }
  const names = Object.keys(machine.states).map((key) => `  state "${key}" as ${idOf(key)}`);
  const edges = [...labels].map(([edge, events]) => `  ${edge}: ${events.join(', ')}`);
  const initial = Object.values(machine.states).find(({ key }) => key === machine.config.initial)?.key;
  const first = initial === undefined ? [] : [`  [*] --> ${idOf(initial)}`];
  return ['```mermaid', 'stateDiagram-v2', ...names, ...first, ...edges, '```'].join('\n');
}

const idOf = (key: string) => key.replaceAll('-', '_');

/** The text with its diagrams drawn anew. Throws where it has no place for them. */
export function withDiagrams(text: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error('ARCHITECTURE.md has no place for the state diagrams');
  const diagrams = drawn.map(([title, machine]) => `### ${title}\n\n${mermaid(machine as AnyStateMachine)}`);
  return `${text.slice(0, from)}${begin}\n\n${diagrams.join('\n\n')}\n\n${text.slice(to)}`;
}

/** Below the folder that npm runs scripts and tests in. */
export const architectureFile = 'ARCHITECTURE.md';

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  writeFileSync(architectureFile, withDiagrams(readFileSync(architectureFile, 'utf8')));
