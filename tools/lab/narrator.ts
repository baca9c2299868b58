import { setTimeout as delay } from 'node:timers/promises';
import type { TimelineEntry } from '../../projections/timeline.ts';
import type { Lab } from './lab.ts';
import type { Operator } from './operator.ts';

const lookMs = 200;

const unsaid: ReadonlySet<string> = new Set(['command.completed', 'resync.progressed', 'generation.started']);

/** A newcomer's eyes are for what changes, not for what every command ends with or a node's policy tried in vain. */
const isTold = ({ type, actor }: TimelineEntry): boolean =>
  !unsaid.has(type) && !(type === 'command.refused' && (actor.via === 'policy' || actor.via === 'engine'));

/** Tells each event once, whichever node's journal has it first, in the words of the projections. */
export class Narrator {
  readonly #lab: Lab;
  readonly #operator: Operator;
  readonly #tell: (entry: TimelineEntry) => void;
  readonly #told = new Set<string>();
  #isEnded = false;
  #running: Promise<void> = Promise.resolve();

  constructor(lab: Lab, operator: Operator, tell: (entry: TimelineEntry) => void) {
    this.#lab = lab;
    this.#operator = operator;
    this.#tell = tell;
  }

  start(): void {
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#isEnded) {
      await this.catchUp();
      await delay(lookMs);
    }
  }

  /** Tells what has happened up to now. */
  async catchUp(): Promise<void> {
    const running = [...this.#lab.nodes.values()].filter(({ state }) => state === 'running');
    const timelines = await Promise.all(running.map(({ node }) => this.#operator.timelineAt(node)));
    const news = new Map<string, TimelineEntry>();
    for (const entry of timelines.flat()) if (!this.#told.has(entry.event)) news.set(entry.event, entry);
    for (const entry of [...news.values()].sort((a, b) => (a.time < b.time ? -1 : 1))) {
      this.#told.add(entry.event);
      if (isTold(entry)) this.#tell(entry);
    }
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#running;
  }
}
