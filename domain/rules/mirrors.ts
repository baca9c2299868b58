import type { CommandOf } from '../commands.ts';
import { refuse } from '../refusals.ts';
import { settingOf } from '../settings.ts';
import type { MirrorState, ResourceState } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import type { Rule } from './question.ts';

export const unrelatedData: Rule<CommandOf<'resume'>> = ({ resource, command, facts }) => {
  const unrelated = targetsOf(resource, command.targets).find(
    ({ target, unrelated }) => unrelated || facts.replicas?.[target]?.related === false,
  );
  return unrelated
    ? refuse('unrelated-data', `${unrelated.target} and ${unrelated.source}`, {
        because: [unrelated.because],
        allowed: [`full-resync ${resource.tag} ${unrelated.target}`],
      })
    : undefined;
};

export function targetsOf(resource: ResourceState, targets: readonly NodeName[] | undefined): MirrorState[] {
  const mirrors = Object.values(resource.mirrors);
  return targets && targets.length > 0 ? mirrors.filter(({ target }) => targets.includes(target)) : mirrors;
}

export type OnTargets =
  | CommandOf<'pause'>
  | CommandOf<'resume'>
  | CommandOf<'full-resync'>
  | CommandOf<'verify'>;

export const knownTargets: Rule<OnTargets> = ({ resource, command }) => {
  const unknown = (command.targets ?? []).find((target) => !resource.mirrors[target]);
  if (unknown !== undefined) {
    return refuse(
      'unknown-node',
      `${unknown} is not a target of ${resource.tag}; ${Object.keys(resource.mirrors).join(', ') || 'none'} is`,
    );
  }
  return Object.keys(resource.mirrors).length > 0
    ? undefined
    : refuse('unknown-node', `${resource.tag} has no target`);
};

export const alreadyPaused: Rule<CommandOf<'pause'>> = ({ resource, command }) => {
  const paused = targetsOf(resource, command.targets).find((mirror) => mirror.paused !== null);
  return paused
    ? refuse('already-paused', `${paused.target}, ${paused.paused?.reason}`, {
        because: [paused.because],
        allowed: [`resume ${resource.tag} ${paused.target}`],
      })
    : undefined;
};

export const notPaused: Rule<CommandOf<'resume'>> = ({ resource, command }) => {
  const running = targetsOf(resource, command.targets).find((mirror) => mirror.paused === null);
  return running
    ? refuse('not-paused', `${running.target} is ${running.status}`, { because: [running.because] })
    : undefined;
};

/** Only a copy that counts as equal is compared: what a resync is about to bring differs anyway. */
export const comparable: Rule<CommandOf<'verify'>> = ({ resource, command }) => {
  for (const { target, status, connected, because } of targetsOf(resource, command.targets)) {
    const why = status === 'fully-operational' ? undefined : incomparable[status];
    const code = why ?? (connected ? undefined : 'target-unreachable');
    if (code === undefined) continue;
    return refuse(code, `the mirror to ${target} is ${why === undefined ? 'not connected' : status}`, {
      because: [because],
      allowed: [`wait ${resource.tag} --for in-sync --target ${target}`],
    });
  }
  return undefined;
};

const incomparable = {
  paused: 'target-paused',
  resyncing: 'target-resyncing',
  'out-of-sync': 'target-out-of-sync',
  'split-brain': 'split-brain',
} as const;

export const mirrorOfPair: Rule<CommandOf<'auto-pause'> | CommandOf<'auto-resume'>> = ({
  resource,
  command,
}) => {
  const mirror = resource.mirrors[command.target];
  return mirror?.source === command.source
    ? undefined
    : refuse('stale-command', `${command.source} is not the source of ${command.target}`, {
        because: [resource.because],
      });
};

export const autoPause: Rule<CommandOf<'auto-pause'>> = ({ state, resource, command }) => {
  const mirror = resource.mirrors[command.target];
  if (mirror?.paused) return refuse('already-paused', command.target, { because: [mirror.because] });
  const setting = settingOf(
    state.settings,
    { tag: resource.tag, node: command.source, peer: command.target },
    'auto-pause',
  );
  return setting === 'off' || !mirror?.congested
    ? refuse('stale-command', `${command.target} is not to be paused by policy`, {
        because: [resource.because],
      })
    : undefined;
};

/** What an operator paused, an operator resumes. */
export const autoResume: Rule<CommandOf<'auto-resume'>> = ({ resource, command }) => {
  const mirror = resource.mirrors[command.target];
  return mirror?.paused?.by === 'policy'
    ? undefined
    : refuse('not-paused', `${command.target} was not paused by policy`, { because: [mirror?.because] });
};
