import type { AlarmCode, AlarmView } from './alarms.ts';

/** What an operator can do about an alarm, in one or two sentences; commands as they are typed. */
const advice: { readonly [C in AlarmCode]: (alarm: AlarmView) => string } = {
  'split-brain': ({ tag }) =>
    `Compare what each node wrote, then name the one whose writes are given up: resolve-split-brain ${tag} --victim NODE. Until then nothing is copied in any direction.`,
  conflicted: ({ tag }) =>
    `The nodes compare what they wrote as soon as they reach each other: look at the network between them. Where two were created under one name, delete one of them: delete ${tag}.`,
  'failover-blocked': ({ tag }) =>
    `Bring the lost node back, or let a target take over by hand: failover ${tag} NODE, or force-online ${tag} NODE if it may miss writes.`,
  'awaiting-confirmation': ({ tag }) =>
    `Make sure that the lost node is really down, then confirm-failover ${tag}; or refuse with confirm-failover ${tag} --block.`,
  'data-corrupt': ({ tag, node }) =>
    `Bring the nodes back that it waits for; it then goes in service by itself. Without them: force-online ${tag} ${node}, after reading what may be lost.`,
  'replica-failed': ({ tag, node }) =>
    `Look at the disk of ${node}. When it is replaced: unextend ${tag} ${node}, then extend ${tag} ${node}.`,
  'local-recovery-failed': ({ tag, node }) =>
    `Look at the log of the agent on ${node}. To go on elsewhere: failover ${tag}.`,
  'file-system-failed': ({ node }) =>
    `Look at what the text names on ${node}: a program that uses the mount, a folder that is taken, a tool that is missing. It is tried again by itself.`,
  'journal-damaged': ({ node }) =>
    `The missing part is fetched from the other nodes by itself; if that does not end, look at the disk of ${node} and at: journal verify.`,
  'unknown-event': () => 'Upgrade this node to the version of the others.',
  'unrelated-data': ({ tag, node }) =>
    `The two copies have no common past. If the one on ${node} may be overwritten: full-resync ${tag} ${node}.`,
  'node-lost': ({ node }) =>
    `Look at ${node}: its power, its network, its agent. When it is heard again it catches up by itself.`,
  'out-of-sync': ({ tag, node }) =>
    `It resyncs by itself when source and target reach each other: look at ${node} and the network between them. If the mirror is paused: resume ${tag} ${node}.`,
  congested: ({ tag }) =>
    `The link is slower than the writes. Give it more bandwidth, or raise the limit: settings --tag ${tag} async-limit N.`,
  'link-corruption': () =>
    'Replace network card, cable or switch port: something changes bytes on their way.',
  'verify-differences': ({ tag, node }) =>
    `What differs is marked: pause ${tag} ${node} and resume ${tag} ${node} copy it from the source. Then look at the disk of ${node}, and which of the two copies is the damaged one.`,
  'clock-skewed': ({ node }) => `Set the clock of ${node}, and let NTP keep it.`,
};

export const adviceFor = (alarm: AlarmView): string => advice[alarm.code](alarm);
