import { NodeName, Tag } from '../../domain/vocabulary.ts';
import type { StatusMirror } from '../../projections/status.ts';
import type { Status } from '../../tools/cli/status-query.ts';

const node = (name: string) => NodeName.parse(name);

const mirror: StatusMirror = {
  source: node('eve'),
  target: node('adam'),
  mode: 'sync',
  status: 'fully-operational',
  connected: true,
  data: 'up-to-date',
  eligible: true,
  notEligibleBecause: null,
  percent: 100,
  speedBytesPerSecond: null,
  etaSeconds: null,
  dirtyRegions: 0,
  regions: 4895,
  queuedWrites: 0,
  behind: null,
  congested: false,
  generation: null,
  lastResync: null,
};

const resyncing: StatusMirror = {
  ...mirror,
  target: node('sophocles'),
  mode: 'async',
  status: 'resyncing',
  data: 'inconsistent',
  eligible: false,
  notEligibleBecause: 'target-resyncing',
  percent: 11.6,
  speedBytesPerSecond: 48_000_000,
  etaSeconds: 192,
  dirtyRegions: 4356,
  behind: { writes: 212, bytes: 1_700_000, ms: 4000 },
};

/** `datarep-ext3` on eve, in sync on adam, being resynced on sophocles. */
export const sample: Status = {
  tag: Tag.parse('datarep-ext3'),
  state: 'in-service',
  source: node('eve'),
  sources: [node('eve')],
  lastOwner: node('eve'),
  epoch: 3,
  device: [{ volume: 'data', uri: 'nbd+unix:///data@3?socket=/var/lib/mirrorkeeper/e/cb25a0ad/nbd.sock' }],
  nodes: [],
  mirrors: [mirror, resyncing],
  asOf: { heads: { eve: [1, 1042] }, time: '2026-11-20T18:54:16.000Z' },
};

export const inSync: Status = { ...sample, mirrors: [mirror, { ...mirror, target: node('sophocles') }] };
