import { event } from '../events.ts';
import { settingOf } from '../settings.ts';
import { abandoned, type Outcome } from './outcome.ts';

export const localFailure: Outcome<'local-failure'> = ({ resource, command, facts }) => [
  event('local-recovery.started', resource.tag, { node: facts.self, what: command.what }),
];

export const manualIntervention = 'Local recovery failure, failover blocked, MANUAL INTERVENTION REQUIRED';

export const localRecoveryEnded: Outcome<'local-recovery-ended'> = ({ state, resource, command, facts }) => {
  const { self } = facts;
  const { what } = command;
  if (command.ok) return [event('local-recovery.succeeded', resource.tag, { node: self, what })];
  const blocks =
    settingOf(state.settings, { tag: resource.tag, node: self }, 'block-resource-failover') === true;
  const reign = resource.reigns.find(({ node }) => node === self);
  const text = blocks && reign ? manualIntervention : `local recovery failed on ${self}: ${what}`;
  const failed = event('local-recovery.failed', resource.tag, {
    node: self,
    what,
    blocked: blocks && reign !== undefined,
    text,
  });
  // In a conflict nobody's side is given up because its engine failed (rule 12).
  if (!reign || resource.reigns.length > 1) return [failed];
  return blocks
    ? [
        failed,
        event('failover.blocked', resource.tag, {
          lost: self,
          candidate: null,
          code: 'local-recovery-failed',
          text,
        }),
      ]
    : [
        failed,
        ...abandoned(state, resource, facts.self, text),
        event('resource.left-service', resource.tag, {
          node: self,
          epoch: reign.epoch,
          why: 'local-failure',
          handedTo: null,
        }),
      ];
};
