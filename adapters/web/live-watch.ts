import { randomUUID } from 'node:crypto';
import type { ResourceState } from '../../domain/state.ts';
import { sourceOf } from '../../domain/state.ts';
import type { LiveMirror, StatusView } from '../../projections/status.ts';
import type { Agent } from '../agent/agent.ts';
import { liveMirrors } from '../agent/queries.ts';
import { CommandToken } from '../bus/subjects.ts';
import type { Timer } from '../engine/clock.ts';
import type { Live, Measured } from './picture.ts';

const lookMs = 1000;
/** Answers that come one after the other make one message. */
const tellMs = 200;
/** Resources that another node serves are asked for over the bus: so many at a time, in turn. */
const askedAtOnce = 16;
const statusCommand = CommandToken.parse('status');
/** Who asks on behalf of all pages. */
const asker = { id: 'dashboard', via: 'web', verified: false } as const;

/** What the sources' engines measure, while somebody looks: this node's by itself, others' by their agents' word. */
export class LiveWatch {
  readonly #agent: Agent;
  readonly #listeners = new Set<(live: Live) => void>();
  /** By tag: as JSON text too, so that only what changes is told. */
  readonly #known = new Map<string, { readonly text: string; readonly measured: Measured }>();
  /** Noted and not told yet. */
  readonly #untold = new Map<string, Measured | null>();
  #timer: Timer | null = null;
  #telling: Timer | null = null;
  #turn = 0;

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  now(): Live {
    return Object.fromEntries([...this.#known].map(([tag, { measured }]) => [tag, measured]));
  }

  listen(listener: (live: Live) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks while somebody does. */
  watched(isWatched: boolean): void {
    if (isWatched) {
      if (this.#timer === null) this.#look();
      return;
    }
    this.#timer?.cancel();
    this.#timer = null;
    this.#telling?.cancel();
    this.#telling = null;
    this.#known.clear();
    this.#untold.clear();
  }

  #look(): void {
    const { clock, engines, options } = this.#agent.context;
    this.#timer = clock.after(lookMs, () => this.#look());
    const resources = Object.values(this.#agent.history.state.resources);
    for (const tag of this.#known.keys())
      if (!resources.some((resource) => resource.tag === tag && isMeasured(resource))) this.#note(tag, null);
    const others: ResourceState[] = [];
    for (const resource of resources.filter(isMeasured)) {
      if (sourceOf(resource) !== options.node) others.push(resource);
      else
        this.#note(resource.tag, {
          source: options.node,
          mirrors: liveMirrors(engines.lastStatus(resource.tag)),
        });
    }
    for (const { tag } of this.#nextOf(others)) void this.#ask(tag);
  }

  #nextOf(resources: readonly ResourceState[]): readonly ResourceState[] {
    const start = resources.length === 0 ? 0 : this.#turn % resources.length;
    this.#turn = start + askedAtOnce;
    return [...resources.slice(start), ...resources.slice(0, start)].slice(0, askedAtOnce);
  }

  async #ask(tag: string): Promise<void> {
    const body = { id: `dashboard-${randomUUID()}`, tag };
    const reply = await this.#agent.command({ command: statusCommand, actor: asker, body }, lookMs);
    const [view] = (reply as { readonly status?: readonly StatusView[] }).status ?? [];
    if (view?.source == null || this.#timer === null) return;
    const mirrors = Object.fromEntries(view.mirrors.map((mirror) => [mirror.target, measuredOf(mirror)]));
    this.#note(tag, { source: view.source, mirrors });
  }

  #note(tag: string, measured: Measured | null): void {
    const text = JSON.stringify(measured);
    if (this.#known.get(tag)?.text === text) return;
    if (measured === null) this.#known.delete(tag);
    else this.#known.set(tag, { text, measured });
    this.#untold.set(tag, measured);
    this.#telling ??= this.#agent.context.clock.after(tellMs, () => this.#tell());
  }

  #tell(): void {
    this.#telling = null;
    const live = Object.fromEntries(this.#untold);
    this.#untold.clear();
    for (const listener of this.#listeners) listener(live);
  }
}

const isMeasured = (resource: ResourceState): boolean =>
  sourceOf(resource) !== null && Object.keys(resource.mirrors).length > 0;

const measuredOf = ({
  connected,
  percent,
  speedBytesPerSecond,
  etaSeconds,
  dirtyRegions,
  queuedWrites,
  behind,
  congested,
}: StatusView['mirrors'][number]): LiveMirror => ({
  connected,
  percent,
  speedBytesPerSecond,
  etaSeconds,
  dirtyRegions,
  queuedWrites,
  behind,
  congested,
});
