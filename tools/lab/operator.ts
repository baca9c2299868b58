import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { TimelineEntry } from '../../projections/timeline.ts';
import type { Client } from '../cli/client.ts';
import { timelineOf } from '../cli/history.ts';
import type { Reply } from '../cli/reply.ts';
import { connectSocket } from '../cli/socket-client.ts';
import { askStatus, type Status } from '../cli/status-query.ts';
import { isReached } from '../cli/wait-command.ts';
import { type Lab, labTag } from './lab.ts';

const lookMs = 50;
const answerMs = 5000;
const commandMs = 60_000;

/** The lab's own operator: speaks to each agent over its socket, so that a partition is seen from both of its sides. */
export class Operator {
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  async #with<T>(node: string, work: (client: Client) => Promise<T>): Promise<T> {
    const client = await connectSocket(this.#lab.node(node).socket, 'lab');
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  /** As this node's agent knows it; undefined where it does not answer or knows of none. */
  statusAt(node: string): Promise<Status | undefined> {
    return this.#with(node, async (client) => (await askStatus(client, { tag: labTag }, answerMs))[0]).catch(
      () => undefined,
    );
  }

  timelineAt(node: string): Promise<readonly TimelineEntry[]> {
    return this.#with(node, (client) => timelineOf(client, undefined)).catch(() => []);
  }

  command(node: string, command: string, args: Readonly<Record<string, unknown>>): Promise<Reply> {
    const body = { id: `lab-${randomUUID()}`, ...args };
    return this.#with(node, (client) => client.request(command, body, commandMs));
  }

  /** Errors: a sentence with what the decider said instead of yes. */
  async mustDo(node: string, command: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    const reply = await this.command(node, command, args);
    if (!reply.ok)
      throw new Error(`${command} was not done: ${reply.refusal?.message ?? reply.message ?? 'no reason'}`);
  }

  /** Errors: a sentence after `timeoutMs`, with the last status. */
  async until(
    node: string,
    what: string,
    isSo: (status: Status) => boolean,
    timeoutMs = 30_000,
  ): Promise<Status> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const status = await this.statusAt(node);
      if (status !== undefined && isSo(status)) return status;
      if (Date.now() > end)
        throw new Error(
          `not so after ${timeoutMs} ms, as ${node} sees it: ${what}; ${JSON.stringify(status)}`,
        );
      await delay(lookMs);
    }
  }

  inSync(node: string, targets: readonly NodeName[] = []): Promise<Status> {
    return this.until(node, `${targets.join(' and ') || 'every target'} in sync`, (status) =>
      isReached(status, { tag: labTag, goal: 'in-sync', targets }),
    );
  }

  inService(at: string, on: string): Promise<Status> {
    return this.until(at, `in service on ${on}`, ({ source, device }) => source === on && device.length > 0);
  }

  /** `datarep-ext3` on eve, mirrored to adam (sync) and to sophocles (async). */
  async protect(): Promise<void> {
    const volumes = (node: string) => [{ name: 'data', path: this.#lab.node(node).volume }];
    const tag = labTag;
    await this.mustDo('eve', 'create', { tag, node: 'eve', volumes: volumes('eve'), allowAsync: true });
    await this.mustDo('eve', 'extend', { tag, node: 'adam', volumes: volumes('adam') });
    const pair = { adam: 'async' };
    await this.mustDo('eve', 'extend', {
      tag,
      node: 'sophocles',
      volumes: volumes('sophocles'),
      mode: 'async',
      pair,
    });
  }
}
