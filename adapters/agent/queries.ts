import { z } from 'zod';
import type { AnyEvent } from '../../domain/events.ts';
import { replay } from '../../domain/evolve.ts';
import { type Refusal, refuse } from '../../domain/refusals.ts';
import { SettingKey, settingOf } from '../../domain/settings.ts';
import type { CommandState } from '../../domain/state.ts';
import { NodeName, regionSize, Tag } from '../../domain/vocabulary.ts';
import type { Journal } from '../../journal/journal.ts';
import { eventsAt, knownBefore, knownHistory } from '../../journal/past.ts';
import { backtest } from '../../projections/backtest.ts';
import { BacktestPolicy } from '../../projections/backtest-policy.ts';
import { explain } from '../../projections/explain.ts';
import { explainRefusal, refusedEvent } from '../../projections/explain-refusal.ts';
import type { NodeView } from '../../projections/nodes.ts';
import { type LiveMirror, type StatusView, statusOf } from '../../projections/status.ts';
import { timelineEntry } from '../../projections/timeline.ts';
import { asOf, fold, type Standing, stamped, viewsOf } from '../../projections/views.ts';
import type { CommandReply, IssuedCommand } from '../bus/messages.ts';
import type { EngineStatus } from '../engine/control-protocol.ts';
import type { AgentContext } from './context.ts';
import { type History, toEvent } from './history.ts';
import { exportBeside } from './journal-export.ts';
import { noMoment } from './plan-then.ts';
import type { ViewPublisher } from './view-publisher.ts';
import type { WholeOrder } from './whole-order.ts';

/** What only asks: answered by any agent from its own history, nothing is journaled. */
const queries = {
  status: z.object({
    tag: Tag.optional(),
    asOf: z.string().max(128).optional(),
    knownBy: NodeName.optional(),
  }),
  nodes: z.object({}),
  alarms: z.object({}),
  command: z.object({ command: z.string().min(1).max(128) }),
  settings: z.object({
    tag: Tag.optional(),
    node: NodeName.optional(),
    peer: NodeName.optional(),
    key: SettingKey.optional(),
  }),
  timeline: z.object({
    tag: Tag.optional(),
    type: z.string().max(64).optional(),
    since: z.string().max(64).optional(),
    limit: z.int().min(1).max(10_000).default(1000),
  }),
  /** Why a resource is in the state it is in, or was. */
  explain: z.object({ tag: Tag, asOf: z.string().max(128).optional() }),
  /** By the id of the refusal's event, or of the command. */
  'explain-refusal': z.object({ refusal: z.string().min(1).max(128) }),
  /** What other settings would have made of the failovers. */
  backtest: z.object({ policy: BacktestPolicy, tag: Tag.optional() }),
  'bitmap-examine': z.object({ tag: Tag, node: NodeName, peer: NodeName.optional() }),
  /** Over the agent's own socket only: the answer is a file beside it. */
  'journal-export': z.object({ redact: z.boolean().default(false) }),
} as const;

export type QueryName = Exclude<keyof typeof queries, 'settings'> | 'settings-read';
const schemas: Record<QueryName, z.ZodType> = (({ settings, ...rest }) => ({
  ...rest,
  'settings-read': settings,
}))(queries);

export const queryNames = Object.keys(schemas) as readonly QueryName[];
export const isQuery = (name: string): name is QueryName => Object.hasOwn(schemas, name);

/** What an agent knows of the cluster: now, shown, and before. */
export interface Known {
  readonly history: History;
  readonly views: ViewPublisher;
  readonly past: WholeOrder;
  readonly journal: Journal;
}

export async function answerQuery(
  known: Known,
  context: AgentContext,
  { command, body, actor }: IssuedCommand,
): Promise<CommandReply> {
  const name: string = command;
  if (!isQuery(name))
    return refused(body.id, context, refuse('invalid-request', `there is no command ${name}`));
  const { id, ...args } = body;
  const parsed = schemas[name].safeParse(args);
  if (!parsed.success)
    return refused(
      id,
      context,
      refuse('invalid-request', z.prettifyError(parsed.error).replaceAll('\n', ' ')),
    );
  if (name === 'journal-export' && actor.via !== 'socket')
    return refused(id, context, refuse('not-authorized', 'an agent exports its journal over its own socket'));
  const answer = await answers[name]({ ...known, context }, parsed.data as never);
  if (isRefused(answer)) return refused(id, context, answer.refusal);
  return { ok: true, commandId: id, decider: context.options.node, events: [], ...answer };
}

function refused(id: string, { options }: AgentContext, refusal: Refusal): CommandReply {
  return { ok: false, commandId: id, decider: options.node, events: [], refusal: { id, ...refusal } };
}

interface Asked extends Known {
  readonly context: AgentContext;
}
type Answered = Readonly<Record<string, unknown>> | { readonly refusal: Refusal };
const isRefused = (answer: Answered): answer is { readonly refusal: Refusal } => 'refusal' in answer;
type Args<N extends keyof typeof queries> = z.infer<(typeof queries)[N]>;

const answers: { readonly [N in QueryName]: (asked: Asked, args: never) => Answered | Promise<Answered> } = {
  status: async ({ past, views, context }, { tag, asOf: moment, knownBy }: Args<'status'>) => {
    const isNow = moment === undefined && knownBy === undefined;
    const then = isNow ? undefined : await standingAt(past, moment, knownBy);
    if (then && 'refusal' in then) return then;
    const standing = then ?? views.standing;
    const resources = Object.values(standing.state.resources).filter(({ phase }) => phase !== 'deleted');
    const chosen = tag === undefined ? resources : resources.filter((resource) => resource.tag === tag);
    if (tag !== undefined && chosen.length === 0) return { refusal: refuse('unknown-tag', tag) };
    const at = asOf(standing);
    const nowMs = context.clock.nowMs();
    const heardMsAgo = (node: NodeName) => (then ? null : round(context.liveness.heardMsAgo(node, nowMs)));
    const status = chosen
      .sort((a, b) => (a.tag < b.tag ? -1 : 1))
      .map((resource) => {
        const live = then ? {} : liveMirrors(context.engines.lastStatus(resource.tag));
        return stamped<StatusView>(statusOf(standing.state, resource, live, heardMsAgo), at);
      });
    return { status };
  },
  nodes: ({ views, context }) => {
    const nowMs = context.clock.nowMs();
    const nodes = [...viewsOf(views.standing)]
      .filter(([name]) => name.startsWith('node.'))
      .map(([, view]) => ({
        ...view,
        heardMsAgo: round(context.liveness.heardMsAgo(NodeName.parse((view as NodeView).node), nowMs)),
      }));
    return { nodes };
  },
  alarms: ({ views }) => ({
    alarms: [...viewsOf(views.standing)]
      .filter(([name]) => name.startsWith('alarm.'))
      .map(([, view]) => view),
  }),
  command: async ({ history, past }, { command: id }: Args<'command'>) => {
    const known = history.state.commands[id]?.outcome;
    const events = await past.ofCommand(id);
    if (!known && events.length === 0) return { command: { id, outcome: 'unknown', events: [] } };
    return { command: { id, outcome: known ?? outcomeOf(events), events: events.map(timelineEntry) } };
  },
  'settings-read': ({ history }, { tag, node, peer, key }: Args<'settings'>) => {
    const keys = key === undefined ? SettingKey.options : [key];
    const { settings } = history.state;
    return {
      settings: Object.fromEntries(
        keys.map((name) => [name, settingOf(settings, { tag, node, peer }, name) ?? null]),
      ),
    };
  },
  timeline: async ({ history, past }, { tag, type, since, limit }: Args<'timeline'>) => {
    const sinceMs = since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(since);
    const matches = (event: AnyEvent) => {
      if (tag !== undefined && event.resource !== tag) return false;
      return event.time >= sinceMs && (type === undefined || event.type === type);
    };
    const recent = history.events().filter(matches);
    const events = recent.length >= limit ? recent : (await eventsOf(past)).filter(matches);
    return { timeline: events.slice(-limit).map(timelineEntry) };
  },
  explain: async ({ history, past }, { tag, asOf: moment }: Args<'explain'>) => {
    const events = eventsAt(await past.order(), moment);
    if (events === null) return { refusal: noMoment(moment ?? '') };
    const state = moment === undefined ? history.state : replay(past.begin().state, events);
    const explanation = explain(events, state, tag);
    return explanation === null ? { refusal: refuse('unknown-tag', tag) } : { explanation };
  },
  'explain-refusal': async ({ past }, { refusal }: Args<'explain-refusal'>) => {
    const order = await past.order();
    const events = order.events().map(toEvent);
    const refused = refusedEvent(events, refusal);
    if (refused === undefined)
      return { refusal: refuse('invalid-request', `no refusal ${refusal} stands in the history`) };
    const known = knownBefore(order, refused.id);
    return { explanation: explainRefusal(refused, replay(past.begin().state, known), events) };
  },
  backtest: async ({ past }, { policy, tag }: Args<'backtest'>) => ({
    backtest: backtest(
      knownHistory(await past.order(), () => past.begin().state),
      policy,
      tag,
    ),
  }),
  'journal-export': async ({ journal, context }, { redact }: Args<'journal-export'>) => ({
    file: await exportBeside(journal, context.options.dir, redact),
  }),
  'bitmap-examine': async ({ context }, { tag, peer }: Args<'bitmap-examine'>) => {
    const status = await context.engines.status(tag).catch(() => null);
    if (!status?.replica)
      return { refusal: refuse('unknown-tag', `no replica of ${tag} is open on ${context.options.node}`) };
    const peers = status.peers
      .map((known) => known.peer)
      .filter((known) => peer === undefined || known === peer);
    const examined = await Promise.all(
      peers.map(async (known) => {
        const { volumes } = await context.engines.order(tag, { order: 'examine', peer: known });
        return { node: context.options.node, peer: known, volumes };
      }),
    );
    return { bitmaps: examined };
  },
};

/** Of a command that is too old for the state to know it. */
function outcomeOf(events: readonly AnyEvent[]): CommandState['outcome'] {
  const types = events.map(({ type }) => type);
  if (types.includes('command.completed')) return 'completed';
  if (types.includes('command.failed')) return 'failed';
  return types.includes('command.refused') ? 'refused' : 'running';
}

const eventsOf = async (past: WholeOrder): Promise<readonly AnyEvent[]> =>
  (await past.order()).events().map(toEvent);

const round = (ms: number | null) => (ms === null ? null : Math.round(ms));

/** What the source's engine says of its mirrors now. */
export function liveMirrors(status: EngineStatus | null): Record<string, LiveMirror> {
  if (!status?.replica?.serving) return {};
  return Object.fromEntries(
    status.peers
      .filter((peer) => peer.status !== null)
      .map((peer): [string, LiveMirror] => {
        const isBehind = peer.queuedWrites > 0 || peer.dirtyRegions > 0;
        const behind = isBehind
          ? {
              writes: peer.queuedWrites,
              bytes: peer.queuedBytes || peer.dirtyRegions * regionSize,
              ms: peer.waitingMs,
            }
          : null;
        const { connected, speedBytesPerSecond, etaSeconds, dirtyRegions, queuedWrites, congested } = peer;
        const percent = peer.status === 'resyncing' && peer.percent !== null ? { percent: peer.percent } : {};
        return [
          peer.peer,
          {
            connected,
            speedBytesPerSecond,
            etaSeconds,
            dirtyRegions,
            queuedWrites,
            behind,
            congested,
            ...percent,
          },
        ];
      }),
  );
}

/** The standing as of an event, a moment, or what a node knew. */
async function standingAt(
  past: WholeOrder,
  moment: string | undefined,
  knownBy: string | undefined,
): Promise<Standing | { refusal: Refusal }> {
  const events = eventsAt(await past.order(), moment, knownBy);
  if (events === null) return { refusal: noMoment(moment ?? '') };
  const standing = past.begin();
  fold(standing, events);
  return standing;
}
