import type { CommandOf } from '../commands.ts';
import { refuse } from '../refusals.ts';
import { reigns, victimAmong } from '../state.ts';
import type { Rule } from './question.ts';

export const splitBrain: Rule<CommandOf<'resolve-split-brain'>> = ({ resource, command }) => {
  if (resource.phase !== 'split-brain') {
    return refuse('no-split-brain', `${resource.tag} is ${resource.phase}`, { because: [resource.because] });
  }
  return reigns(resource, command.victim)
    ? undefined
    : refuse(
        'no-split-brain',
        `${command.victim} is not one of ${resource.reigns.map(({ node }) => node).join(', ')}`,
        {
          because: [resource.because],
        },
      );
};

export const supersededSelf: Rule = ({ resource, facts }) =>
  facts.serving &&
  !reigns(resource, facts.self) &&
  resource.reigns.length > 0 &&
  facts.serving.epoch > (resource.replicas[facts.self]?.leftEpoch ?? 0) &&
  resource.replicas[facts.self]?.victimOf == null
    ? undefined
    : refuse('stale-command', `${facts.self} is not superseded`, { because: [resource.because] });

/** What an operator has resolved is none any more, though the engines differ until the victim is resynced. */
export const unresolved: Rule<CommandOf<'split-brain-seen'>> = ({ resource, command }) => {
  const victim = victimAmong(resource, command.reigns);
  return victim === undefined
    ? undefined
    : refuse('no-split-brain', `${victim} gives up what it wrote`, {
        because: [resource.replicas[victim]?.because],
      });
};
