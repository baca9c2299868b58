import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TimelineEntry } from '../../projections/timeline.ts';
import { contextFile, labFolder, readLabContext } from '../cli/lab-context.ts';
import { Screen } from '../cli/screen.ts';
import { watchLines } from '../cli/status-screen.ts';
import type { Terminal } from '../cli/terminal.ts';
import { Exit, exitCodes } from '../program.ts';
import { serveControl } from './control.ts';
import { Desk } from './desk.ts';
import { untilInterrupted } from './interrupt.ts';
import { Lab, labNodes, labTag as tag } from './lab.ts';
import { Narrator } from './narrator.ts';
import { Operator } from './operator.ts';

/** Seconds; a node counts as lost after five of them. */
const heartbeat = 0.5;
const drawMs = 500;
const eventsShown = 10;
const firstWriteBytes = 4 * 1024 * 1024;

/** The lab in the foreground: live status until Ctrl-C, and orders from other terminals. */
export async function runLab(terminal: Terminal): Promise<void> {
  const { output } = terminal;
  const folder = process.cwd();
  if (await isAnswered()) throw new Exit(exitCodes.refused, `a lab runs already in ${folder}`);
  await output.out('starting a NATS server and three nodes …\n');
  const interrupted = untilInterrupted();
  const lab = await Lab.start({ folder, cacheFolder: resolve('.cache'), heartbeat });
  const operator = new Operator(lab);
  const desk = await Desk.open(lab, operator);
  const server = await serveControl(lab.controlSocket, (order) => desk.carryOut(order));
  try {
    await writeFile(contextFile, JSON.stringify(lab.context()), { mode: 0o600 });
    if (!lab.wasThere) await operator.protect();
    await output.out(welcome(lab));
    const show = new Show(terminal, lab, operator);
    // Only a first run has nothing on its disk yet; where the device is not there in time, `lab write` does it.
    if (!lab.wasThere) void desk.write(firstWriteBytes).catch(() => undefined);
    await show.run(interrupted);
  } finally {
    await output.out('\nstopping every agent, engine and the NATS server …\n');
    server.close();
    await rm(contextFile, { force: true });
    await lab.stop();
    await output.out(
      `stopped. The data, the journals and the logs are kept in ${resolve(labFolder)}: mirrorkeeper lab goes on with them; rm -rf ${labFolder} forgets them.\n`,
    );
  }
}

/** A context that a killed lab left behind answers nothing. */
async function isAnswered(): Promise<boolean> {
  const context = await readLabContext();
  if (context === null) return false;
  return new Promise((resolved) => {
    const socket = connect(context.control, () => {
      socket.destroy();
      resolved(true);
    });
    socket.once('error', () => resolved(false));
  });
}

const welcome = (lab: Lab): string => `
A cluster of three servers runs on this machine: ${tag} is on eve, mirrored to adam (sync) and to sophocles (async).
${lab.wasThere ? `It goes on from what ${labFolder} had kept.\n` : ''}The dashboard of each node, for a browser on this machine:

${labNodes.map((node) => `  ${node.padEnd(11)} ${lab.dashboardOf(node)}`).join('\n')}

In a second terminal, in this folder:

  npx mirrorkeeper lab write 16M                     write through the device; each block's checksum is remembered
  npx mirrorkeeper lab verify                        compare the device and every up-to-date copy with the checksums
  npx mirrorkeeper switchover ${tag} adam     planned: adam serves, eve becomes a target
  npx mirrorkeeper lab kill adam                     the source loses its power: another one takes over
  npx mirrorkeeper lab heal adam                     it comes back as a target, by a partial resync
  npx mirrorkeeper lab partition eve                 cut a node off; then "lab write", "lab heal eve": a split brain
  npx mirrorkeeper resolve-split-brain ${tag} --victim eve
  npx mirrorkeeper status --watch                    npx mirrorkeeper alarms          npx mirrorkeeper nodes
  npx mirrorkeeper journal list --tag ${tag}  what has happened, and why

Ctrl-C stops everything.

`;

/** What one looks at meanwhile: status and bars in place, and the latest events below. */
class Show {
  readonly #terminal: Terminal;
  readonly #lab: Lab;
  readonly #operator: Operator;
  readonly #narrator: Narrator;
  readonly #latest: string[] = [];

  constructor(terminal: Terminal, lab: Lab, operator: Operator) {
    this.#terminal = terminal;
    this.#lab = lab;
    this.#operator = operator;
    this.#narrator = new Narrator(lab, operator, (entry) => this.#happened(entry));
  }

  async run(interrupted: Promise<void>): Promise<void> {
    const screen = new Screen(this.#terminal);
    let isInterrupted = false;
    const ended = interrupted.then(() => {
      isInterrupted = true;
    });
    while (!isInterrupted) {
      await this.#narrator.catchUp();
      const columns = this.#terminal.columns();
      if (columns !== null) await screen.draw(await this.#lines(columns));
      await Promise.race([ended, delay(drawMs)]);
    }
  }

  async #lines(columns: number): Promise<string[]> {
    const cut = (line: string) => line.slice(0, columns - 1);
    const nodes = [...this.#lab.nodes.values()];
    const states = nodes.map(
      ({ node, state, isPartitioned }) => `${node}: ${state}${isPartitioned ? ', cut off' : ''}`,
    );
    const views = await Promise.all(
      this.#sides().map(async (node) => {
        const status = await this.#operator.statusAt(node);
        return status === undefined
          ? [`${node} knows of no resource yet`]
          : [`as ${node} sees it:`, ...watchLines([status], Date.now(), columns)];
      }),
    );
    return [cut(states.join('   ')), '', ...views.flat(), '', ...this.#latest.map(cut)];
  }

  /** A node on each side of a partition. */
  #sides(): string[] {
    const running = [...this.#lab.nodes.values()].filter(({ state }) => state === 'running');
    const apart = running.filter(({ isPartitioned }) => isPartitioned);
    const together = running.find(({ isPartitioned }) => !isPartitioned);
    return [...(together === undefined ? [] : [together]), ...apart].map(({ node }) => node);
  }

  #happened({ event, time, sentence }: TimelineEntry): void {
    const [node, , sequence] = event.split('/');
    const line = `${time.slice(11, 19)}  ${`${node}#${sequence}`.padEnd(14)} ${sentence}`;
    if (this.#terminal.columns() === null) void this.#terminal.output.out(`${line}\n`);
    else if (this.#latest.push(line) > eventsShown) this.#latest.shift();
  }
}
