import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeName } from '../../domain/vocabulary.ts';
import { bytesText } from '../../projections/status-text.ts';
import type { LabOrder, Outcome } from './control.ts';
import type { Lab } from './lab.ts';
import { blockBytes, Ledger, type Verified } from './ledger.ts';
import type { Operator } from './operator.ts';
import { copiesOf, newLedger, verifyCopy, verifyDevice, withDevice, writeBlocks } from './workload.ts';

const lookMs = 200;
const serveMsMax = 20_000;
const defaultWriteBytes = 8 * 1024 * 1024;

/** Carries out what is ordered from other terminals. */
export class Desk {
  readonly #lab: Lab;
  readonly #operator: Operator;
  /** What was written; while several nodes serve each has its own, which goes on from the common one. */
  #common: Ledger;
  readonly #apart = new Map<NodeName, Ledger>();

  private constructor(lab: Lab, operator: Operator, ledger: Ledger) {
    this.#lab = lab;
    this.#operator = operator;
    this.#common = ledger;
  }

  static async open(lab: Lab, operator: Operator): Promise<Desk> {
    const file = lab.ledgerFile;
    const ledger = existsSync(file) ? Ledger.parse(await readFile(file, 'utf8')) : newLedger();
    return new Desk(lab, operator, ledger);
  }

  carryOut(order: LabOrder): Promise<Outcome> {
    switch (order.order) {
      case 'write':
        return this.write(order.bytes ?? defaultWriteBytes);
      case 'verify':
        return this.#verify(order.bytes);
      case 'kill':
        return this.#kill(order.node);
      case 'stop':
        return this.#stop(order.node);
      case 'partition':
        return this.#partition(order.node);
      case 'heal':
        return this.#heal(order.node);
      default:
        return order satisfies never;
    }
  }

  async #kill(name: string): Promise<Outcome> {
    await this.#running(name).kill();
    return done(`${name} lost its power: agent and engines are killed; it comes back with: lab heal ${name}`);
  }

  async #stop(name: string): Promise<Outcome> {
    await this.#running(name).stop();
    return done(`${name} was shut down in order; it comes back with: lab heal ${name}`);
  }

  #running(name: string) {
    const node = this.#lab.node(name);
    if (node.state !== 'running') throw new Error(`${name} is ${node.state} already`);
    return node;
  }

  async #partition(name: string): Promise<Outcome> {
    this.#lab.partition(name);
    return done(`${name} is cut off from the bus and from every other node; mend it with: lab heal ${name}`);
  }

  async #heal(name: string): Promise<Outcome> {
    await this.#lab.heal(name);
    return done(`${name} runs, and all its cables are whole`);
  }

  /** To the device of every node that serves: of two in a partition, each gets its own data. */
  async write(bytes: number): Promise<Outcome> {
    const blockCount = Math.ceil(bytes / blockBytes);
    const lines: string[] = [];
    for (const [node, ledger] of await this.#ledgers()) {
      await withDevice(this.#operator, node, (device) => writeBlocks(device, ledger, blockCount));
      lines.push(
        `${bytesText(blockCount * blockBytes)} were written to the device on ${node}, and acknowledged`,
      );
    }
    await this.#keep();
    return done(lines.join('\n'));
  }

  async #verify(bytes: number | null): Promise<Outcome> {
    const blockCount = bytes === null ? undefined : Math.ceil(bytes / blockBytes);
    const results: [string, Verified][] = [];
    for (const [node, ledger] of await this.#ledgers()) {
      const device = await withDevice(this.#operator, node, (open) => verifyDevice(open, ledger, blockCount));
      results.push([`the device on ${node}`, device]);
      for (const copy of await copiesOf(this.#operator, node))
        results.push([`the copy on ${copy}`, await verifyCopy(this.#lab, copy, ledger, blockCount)]);
    }
    const wrong = results.some(([, verified]) => verified.wrong.length > 0);
    return {
      ok: !wrong,
      wrong,
      text: results.map(([what, verified]) => verifiedLine(what, verified)).join('\n'),
    };
  }

  /** By node that serves. Errors: a sentence where none does in time, a takeover included. */
  async #ledgers(): Promise<[NodeName, Ledger][]> {
    let serving = await this.#serving();
    for (const end = Date.now() + serveMsMax; serving.length === 0 && Date.now() < end; ) {
      await delay(lookMs);
      serving = await this.#serving();
    }
    const [only] = serving;
    if (only === undefined) throw new Error('no node serves the device now; see: mirrorkeeper status');
    if (serving.length === 1) {
      this.#common = this.#apart.get(only) ?? this.#common;
      this.#apart.clear();
      return [[only, this.#common]];
    }
    return serving.map((node) => {
      const ledger = this.#apart.get(node) ?? this.#common.fork();
      this.#apart.set(node, ledger);
      return [node, ledger];
    });
  }

  /** Each by its own word. */
  async #serving(): Promise<NodeName[]> {
    const running = [...this.#lab.nodes.values()].filter(({ state }) => state === 'running');
    const answers = await Promise.all(
      running.map(async ({ node }) => {
        const status = await this.#operator.statusAt(node);
        return status?.sources.includes(node) && status.device.length > 0 ? [node] : [];
      }),
    );
    return answers.flat();
  }

  /** Whole or not at all. */
  async #keep(): Promise<void> {
    const file = this.#lab.ledgerFile;
    await writeFile(`${file}.new`, this.#common.toString(), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}

const done = (text: string): Outcome => ({ ok: true, wrong: false, text });

function verifiedLine(what: string, { blockCount, wrong }: Verified): string {
  if (blockCount === 0) return `${what}: nothing was written yet`;
  const bytes = bytesText(blockCount * blockBytes);
  if (wrong.length === 0) return `${what}: ${blockCount} checksums are right (${bytes})`;
  return `${what}: ${wrong.length} of ${blockCount} blocks are WRONG, first block ${wrong[0]}`;
}
