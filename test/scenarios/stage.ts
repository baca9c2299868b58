import { isOperatorCommand } from '../../domain/commands.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { parseEnvelopeType } from '../../domain/envelope.ts';
import { replay } from '../../domain/evolve.ts';
import { emptyState } from '../../domain/state.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import { knownBefore, knownHistory } from '../../journal/past.ts';
import { explain } from '../../projections/explain.ts';
import { explainRefusal, type RefusalExplanation, type Refused } from '../../projections/explain-refusal.ts';
import { explainText } from '../../projections/explain-text.ts';
import type { KnownHistory } from '../../projections/failover-incidents.ts';
import { statusOf } from '../../projections/status.ts';
import { statusText } from '../../projections/status-text.ts';
import { eventLine, mainTag, type Reply, replyLines } from './telling.ts';
import { World } from './world.ts';

/** Names of what stands behind a command's tag, in their order; a name with `…` takes the rest. */
const positions: Readonly<Record<string, readonly string[]>> = {
  create: ['node', 'volumes…'],
  extend: ['node', 'volumes…'],
  unextend: ['node'],
  'in-service': ['node'],
  'out-of-service': ['node'],
  switchover: ['node'],
  failover: ['node'],
  'force-online': ['node'],
  'alarms-ack': ['alarm'],
  pause: ['targets…'],
  resume: ['targets…'],
  'full-resync': ['targets…'],
  'bitmap-mark-clean': ['node', 'peer'],
  'bitmap-mark-dirty': ['node', 'peer'],
};

const flags: ReadonlySet<string> = new Set(['allowAsync', 'block', 'dryRun', 'noFullSync']);
const numbers: ReadonlySet<string> = new Set(['priority', 'deadline']);
const tag = Tag.parse(mainTag);
const durations = { ms: 1, s: 1000, m: 60_000, d: 86_400_000 } as const;

/** Events that every scenario is full of, and that say nothing new. */
const unheard: ReadonlySet<string> = new Set(['resync.progressed', 'node.joined', 'node.key-added']);

/**
 * Plays the lines of a transcript on a world. What the lines can say:
 *
 *     start NODE…                       agents (and engines, if any were there) begin
 *     kill NODE… | kill-agent NODE      everything of the node ends at once, or its agent only
 *     kill-engine NODE                  its engine ends
 *     crash NODE at EVENT               … when its journal has the next event of that type
 *     crash NODE before|after ORDER     … around its engine's next order of that name
 *     refuse NODE ORDER CODE            its engine refuses every such order from now on
 *     accept NODE                       … and no more
 *     cut NODE NODE | isolate NODE | heal
 *     hold resyncs | release resyncs
 *     bus down | bus up
 *     clock NODE 30d                    its wall clock is that far ahead
 *     pass 30s                          time passes
 *     write NODE REGION CONTENT before ORDER   … just before its engine's next order of that name
 *     fail-disk NODE | break-disk NODE  its disk fails: once, or for good
 *     clients NODE COUNT                so many NBD clients have its device open
 *     write NODE REGION CONTENT         the application at NODE writes
 *     use NODE | leave NODE             an application is in NODE's mount, or no longer
 *     surprise NODE                     … and nobody sees it there
 *     break NODE | repair NODE          nothing can be mounted there, or again
 *     mounts                            what is mounted on every node, and of which reign
 *     status [NODE]                     what `mirrorkeeper status` prints there
 *     image                             what lies on every replica
 *     NODE: COMMAND [ARG…] [--OPTION VALUE]…   a person at NODE's socket; the tag is always the same one
 */
export class Stage {
  readonly #world = new World();
  #told = 0;
  #token = '';

  async play(inputs: readonly string[]): Promise<string[]> {
    const output: string[] = [];
    for (const input of inputs) output.push(...(await this.#line(input.trim())));
    await this.#world.clock.pass(50);
    output.push(...this.#news());
    output.push(...this.#world.violations().map((text) => `VIOLATED ${text}`));
    return output;
  }

  /** The history as the first node that runs knows it. */
  history(): KnownHistory {
    const known = this.#world.nodes.get(this.#world.running()[0] as NodeName)?.agent?.history;
    if (known === undefined) throw new Error('no node runs');
    return knownHistory(known.order, emptyState);
  }

  /** What `journal explain` tells of it now, at the first node that runs. */
  explanation(): string[] {
    const history = this.#world.nodes.get(this.#world.running()[0] as NodeName)?.agent?.history;
    const explained = history && explain(history.events(), history.state, tag);
    return explained ? explainText(explained) : [];
  }

  /** What `journal explain --refusal` tells of each refusal of a person's command, at the first node that runs. */
  refusals(): RefusalExplanation[] {
    const history = this.#world.nodes.get(this.#world.running()[0] as NodeName)?.agent?.history;
    if (history === undefined) return [];
    const events = history.events();
    return events
      .filter((event) => event.type === 'command.refused' && isOperatorCommand(event.data.command))
      .map((refused) => {
        const known = knownBefore(history.order, refused.id);
        return explainRefusal(refused as Refused, replay(emptyState(), known), events);
      });
  }

  close(): void {
    for (const node of this.#world.running()) this.#world.kill(node);
  }

  async #line(line: string): Promise<string[]> {
    const [word = '', ...args] = line.split(/\s+/);
    if (word.endsWith(':')) return this.#command(NodeName.parse(word.slice(0, -1)), args);
    const nodes = () => args.map((name) => NodeName.parse(name));
    const world = this.#world;
    switch (word) {
      case 'start':
        for (const node of nodes()) await world.start(node);
        return [];
      case 'kill':
        for (const node of nodes()) world.kill(node);
        return [];
      case 'kill-agent':
        for (const node of nodes()) world.killAgent(node);
        return [];
      case 'kill-engine':
        for (const node of nodes()) world.yard.kill(node, tag);
        return [];
      case 'crash':
        if (args[1] === 'before' || args[1] === 'after')
          world.crashOnOrder(NodeName.parse(args[0]), args[2] ?? '', args[1]);
        else world.crashAt(NodeName.parse(args[0]), args[2] ?? '');
        return [];
      case 'refuse':
        world.yard.refuses = { node: NodeName.parse(args[0]), order: args[1] ?? '', code: args[2] ?? '' };
        return [];
      case 'accept':
        world.yard.refuses = null;
        return [];
      case 'fail-disk':
      case 'break-disk':
        world.yard.failDisk(NodeName.parse(args[0]), tag, word === 'break-disk');
        return [];
      case 'clients':
        world.yard.open(NodeName.parse(args[0]), tag, Number(args[1]));
        return [];
      case 'cut':
        world.cut(NodeName.parse(args[0]), NodeName.parse(args[1]));
        return [];
      case 'isolate':
        for (const node of world.nodes.keys()) if (node !== args[0]) world.cut(node, NodeName.parse(args[0]));
        return [];
      case 'bus':
        world.busDown = args[0] === 'down';
        return [];
      case 'heal':
        world.heal();
        return [];
      case 'hold':
      case 'release':
        world.yard.holdResyncs = word === 'hold';
        return [];
      case 'clock':
        world.setClock(NodeName.parse(args[0]), durationMs(args[1] ?? ''));
        return [];
      case 'pass':
        await world.clock.pass(durationMs(args[0] ?? ''));
        return [];
      case 'write': {
        const [node, region, content, before, order] = args;
        if (before !== undefined) {
          world.writeBefore(NodeName.parse(node), order ?? '', tag, Number(region), content ?? '');
          return [];
        }
        const done = world.yard.write(NodeName.parse(node), tag, Number(region), content ?? '');
        return [...this.#news(), done ? 'acknowledged' : 'not acknowledged'];
      }
      case 'use':
      case 'leave':
      case 'surprise':
        for (const node of nodes())
          Object.assign(world.fileSystemsOf(node), { inUse: word !== 'leave', isSeen: word === 'use' });
        return [];
      case 'break':
      case 'repair':
        for (const node of nodes())
          world.fileSystemsOf(node).failure = word === 'break' ? 'bad superblock' : null;
        return [];
      case 'mounts':
        return [
          ...this.#news(),
          ...[...world.nodes.values()].map(({ name, fileSystems }) =>
            `${name.padEnd(10)} ${fileSystems.lines().join(', ')}`.trimEnd(),
          ),
        ];
      case 'status':
        return [...this.#news(), ...this.#status(NodeName.parse(args[0] ?? world.running()[0]))];
      case 'image':
        return [
          ...this.#news(),
          ...[...world.nodes.keys()].map((node) => `${node.padEnd(10)} ${world.image(node, tag)}`),
        ];
      default:
        throw new Error(`a scenario cannot say: ${line}`);
    }
  }

  async #command(at: NodeName, [name = '', ...args]: readonly string[]): Promise<string[]> {
    const body = this.#body(name, args);
    const reply = (await this.#world.command(at, name, body)) as Reply | undefined;
    this.#token = reply?.token ?? this.#token;
    return [...this.#news(), ...replyLines(reply)];
  }

  #body(name: string, args: readonly string[]): Record<string, unknown> {
    const body: Record<string, unknown> = name === 'alarms-ack' ? {} : { tag: mainTag };
    const places = [...(positions[name] ?? [])];
    for (let index = 0; index < args.length; index += 1) {
      const arg = args[index] ?? '';
      if (arg.startsWith('--')) {
        const option = camelCase(arg.slice(2));
        if (!flags.has(option)) index += 1;
        Object.assign(body, this.#option(option, flags.has(option) ? true : (args[index] ?? '')));
        continue;
      }
      const place = places[0] ?? '';
      if (!place.endsWith('…')) body[places.shift() ?? ''] = arg;
      else if (place === 'volumes…') body['volumes'] = [...((body['volumes'] as []) ?? []), volumeOf(arg)];
      else body['targets'] = [...((body['targets'] as []) ?? []), arg];
    }
    return body;
  }

  #option(option: string, value: string | true): object {
    if (option === 'commandId') return { id: value };
    if (option === 'acceptLoss') return { acceptLoss: value === 'TOKEN' ? this.#token : value };
    if (option === 'noFullSync') return { fullSync: false };
    return { [option]: numbers.has(option) ? Number(value) : value };
  }

  #news(): string[] {
    const news = this.#world.events.slice(this.#told).filter(isNews);
    this.#told = this.#world.events.length;
    return news.map(eventLine);
  }

  #status(node: NodeName): string[] {
    const state = this.#world.nodes.get(node)?.agent?.history.state;
    const resource = state?.resources[tag];
    if (!state || !resource) return [`${node} knows nothing of it`];
    const view = statusOf(state, resource);
    const flagged = view.nodes.filter(({ flags: its }) => its.includes('data-corrupt'));
    return [
      ...statusText(view, { heads: {}, time: null }, null).split('\n'),
      ...flagged.map(({ node: name }) => `  ${name} is flagged data-corrupt`),
    ];
  }
}

const isNews = ({ type }: EventEnvelope) => !unheard.has(parseEnvelopeType(type)?.event ?? '');

function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|m|d)$/.exec(text);
  if (!match) throw new Error(`${text} is no duration`);
  return Number(match[1]) * durations[match[2] as keyof typeof durations];
}

const camelCase = (option: string) =>
  option.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

function volumeOf(arg: string): { name: string; path: string } {
  const [name = '', path = ''] = arg.split('=');
  return { name, path };
}
