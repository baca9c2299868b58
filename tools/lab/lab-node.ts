import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeName } from '../../domain/vocabulary.ts';
import { eachLine } from '../cli/lines.ts';
import { endAll, pidsUnder } from './processes.ts';

const program = fileURLToPath(new URL('../mirrorkeeper.js', import.meta.url));
const startMsMax = 30_000;
const stopMsMax = 10_000;

export interface LabNodeOptions {
  readonly node: NodeName;
  readonly cluster: string;
  /** Of its agent; absolute and short. */
  readonly data: string;
  /** Where its volume and its agent's log lie. */
  readonly folder: string;
  readonly keyFile: string;
  readonly firstPort: number;
  readonly lastPort: number;
  /** Seconds. */
  readonly heartbeat: number;
  /** Who may give commands from its dashboard. */
  readonly operatorsFile: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The node's own way to the bus. */
  readonly busPort: number;
}

export type LabNodeState = 'running' | 'killed' | 'stopped';

/** A server of the lab: its agent and the engines that the agent started, all of them real processes. */
export class LabNode {
  readonly options: LabNodeOptions;
  state: LabNodeState = 'stopped';
  isPartitioned = false;
  /** HOST:PORT of its dashboard: any free one at first, then the same as long as the lab runs. */
  dashboard = '127.0.0.1:0';
  #agent: ChildProcess | null = null;

  constructor(options: LabNodeOptions) {
    this.options = options;
  }

  get node(): NodeName {
    return this.options.node;
  }

  get socket(): string {
    return join(this.options.data, 'agent.sock');
  }

  get volume(): string {
    return join(this.options.folder, 'volume.img');
  }

  /** Resolves when the agent says that it is ready. */
  async start(): Promise<void> {
    const { node, cluster, data, folder, keyFile, operatorsFile, firstPort, lastPort, ...more } =
      this.options;
    const { heartbeat, busPort, environment } = more;
    const args = ['agent', '--node', node, '--data', data, '--cluster', cluster, '--key', keyFile];
    args.push('--nats', `nats://127.0.0.1:${busPort}`, '--replicate', `127.0.0.1:${firstPort}-${lastPort}`);
    args.push('--heartbeat', `${heartbeat}s`, '--http', this.dashboard, '--operators', operatorsFile);
    const log = openSync(join(folder, 'agent.log'), 'a', 0o600);
    // In a process group of its own: Ctrl-C is the lab's, which then ends everybody in order.
    const agent = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', log],
      env: { ...process.env, ...environment },
      detached: true,
    });
    this.#agent = agent;
    this.dashboard = await ready(agent, join(folder, 'agent.log'));
    this.state = 'running';
  }

  /** As when the power goes: agent and engines at once. */
  async kill(): Promise<void> {
    await endAll(this.#pids(), 0);
    this.state = 'killed';
  }

  /** In order: the agent first, so that nothing is decided about engines that end. */
  async stop(): Promise<void> {
    const agent = this.#agent?.pid;
    if (agent !== undefined && this.state === 'running') await endAll([agent], stopMsMax);
    await endAll(this.#pids(), stopMsMax);
    this.state = 'stopped';
  }

  #pids(): number[] {
    return pidsUnder(this.options.data);
  }
}

/** Resolves with the address of its dashboard. */
function ready(agent: ChildProcess, log: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new Error(`an agent did not start: ${why}; its log: ${log}`));
    };
    const timer = setTimeout(() => fail(`not ready after ${startMsMax} ms`), startMsMax);
    agent.once('error', (error) => fail(error.message));
    agent.once('exit', (code, name) => fail(`it ended with ${code ?? name}`));
    if (agent.stdout === null) return fail('it has no output');
    eachLine(agent.stdout, (line) => {
      if (!line.startsWith('ready ')) return;
      clearTimeout(timer);
      resolve((JSON.parse(line.slice('ready '.length)) as { readonly http: string }).http);
    });
  });
}
