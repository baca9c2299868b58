import { setup } from 'xstate';
import type { MirrorStatus } from './state.ts';

/**
 * The statuses of a mirror, and what leads from one to the next. Its events are those of the journal: what an
 * operator may do to a mirror is a rule of the resource (rule 17); what the engines report has happened.
 */
export type MirrorEvent =
  | { readonly type: 'mirror.paused' }
  | { readonly type: 'mirror.resumed' }
  | { readonly type: 'mirror.connected'; readonly inSync: boolean }
  | { readonly type: 'mirror.disconnected' }
  | { readonly type: 'mirror.lost-sync' }
  | { readonly type: 'bitmap.marked-dirty' }
  | { readonly type: 'resync.started' }
  | { readonly type: 'resync.progressed' }
  | { readonly type: 'resync.interrupted' }
  | { readonly type: 'resync.completed' }
  | { readonly type: 'split-brain.detected' }
  | { readonly type: 'disk.failed' }
  | { readonly type: 'resource.left-service' };

const inSync = ({ event }: { event: MirrorEvent }) => event.type === 'mirror.connected' && event.inSync;

/** Edges that every status has, but for a paused one: an engine's word is not refused. */
function reported<S extends MirrorStatus>(status: S) {
  return {
    'mirror.paused': 'paused',
    'resync.started': 'resyncing',
    'resync.progressed': status,
    'resync.completed': 'fully-operational',
    'split-brain.detected': 'split-brain',
  } as const;
}

export const mirrorMachine = setup({
  types: { events: {} as MirrorEvent },
  guards: { inSync },
}).createMachine({
  id: 'mirror',
  initial: 'out-of-sync',
  states: {
    'out-of-sync': {
      on: {
        ...reported('out-of-sync'),
        'disk.failed': 'out-of-sync',
        'resource.left-service': 'out-of-sync',
        'mirror.resumed': 'out-of-sync',
        'mirror.connected': [{ target: 'fully-operational', guard: 'inSync' }, 'out-of-sync'],
        'mirror.disconnected': 'out-of-sync',
        'mirror.lost-sync': 'out-of-sync',
        'bitmap.marked-dirty': 'out-of-sync',
        'resync.interrupted': 'out-of-sync',
      },
    },
    'fully-operational': {
      on: {
        ...reported('fully-operational'),
        'disk.failed': 'out-of-sync',
        'resource.left-service': 'fully-operational',
        'mirror.resumed': 'out-of-sync',
        'mirror.connected': 'fully-operational',
        'mirror.disconnected': 'fully-operational',
        'mirror.lost-sync': 'out-of-sync',
        'bitmap.marked-dirty': 'out-of-sync',
        'resync.interrupted': 'fully-operational',
      },
    },
    resyncing: {
      on: {
        ...reported('resyncing'),
        'disk.failed': 'out-of-sync',
        'resource.left-service': 'out-of-sync',
        'mirror.resumed': 'out-of-sync',
        'mirror.connected': [{ target: 'fully-operational', guard: 'inSync' }, 'resyncing'],
        'mirror.disconnected': 'out-of-sync',
        'mirror.lost-sync': 'resyncing',
        'bitmap.marked-dirty': 'out-of-sync',
        'resync.interrupted': 'out-of-sync',
      },
    },
    paused: {
      on: {
        'mirror.paused': 'paused',
        'resync.started': 'paused',
        'resync.progressed': 'paused',
        'resync.completed': 'paused',
        'split-brain.detected': 'paused',
        'disk.failed': 'paused',
        'resource.left-service': 'paused',
        'mirror.resumed': 'out-of-sync',
        'mirror.connected': 'paused',
        'mirror.disconnected': 'paused',
        'mirror.lost-sync': 'paused',
        'bitmap.marked-dirty': 'paused',
        'resync.interrupted': 'paused',
      },
    },
    'split-brain': {
      on: {
        ...reported('split-brain'),
        'disk.failed': 'split-brain',
        'resource.left-service': 'split-brain',
        'mirror.resumed': 'out-of-sync',
        'mirror.connected': [{ target: 'fully-operational', guard: 'inSync' }, 'split-brain'],
        'mirror.disconnected': 'split-brain',
        'mirror.lost-sync': 'split-brain',
        'bitmap.marked-dirty': 'out-of-sync',
        'resync.interrupted': 'split-brain',
      },
    },
  },
});
