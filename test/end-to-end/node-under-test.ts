import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { askAgent, type Reply } from './local-client.ts';
import { isRunning, killAll, processesBelow, signal } from './processes.ts';

export const mirrorkeeper = join(import.meta.dirname, '../../dist/tools/mirrorkeeper.js');

export interface NodeOptions {
  readonly name: string;
  readonly cluster: string;
  /** Below it: the agent's DIR, its log, the volumes. */
  readonly folder: string;
  readonly nats: string;
  readonly keyFile: string;
  readonly host: string;
  readonly heartbeatMs: number;
  /** What stands before the command: `ip netns exec NAME`. */
  readonly within: readonly string[];
  /** Of its dashboard, with the operators that may give commands there. */
  readonly http?: { readonly address: string; readonly operatorsFile: string };
}

/** One server: the process of its agent, those of its engines, and its volumes. */
export class NodeUnderTest {
  readonly name: string;
  readonly dir: string;
  readonly #options: NodeOptions;
  #agent: ChildProcess | null = null;
  #address: string | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.dir = join(options.folder, 'd');
  }

  get isUp(): boolean {
    return this.#agent?.pid !== undefined && this.#agent.exitCode === null && isRunning(this.#agent.pid);
  }

  /** Where its dashboard is; the same again after a restart. */
  get dashboard(): string {
    return `http://${this.#address}`;
  }

  get agentPid(): number {
    if (this.#agent?.pid === undefined) throw new Error(`the agent of ${this.name} was never started`);
    return this.#agent.pid;
  }

  get socket(): string {
    return join(this.dir, 'agent.sock');
  }

  get enginePids(): number[] {
    return processesBelow(join(this.dir, 'e'));
  }

  image(tag: string, volume = 'data'): string {
    return join(this.#options.folder, volume === 'data' ? `${tag}.img` : `${tag}-${volume}.img`);
  }

  /** Processes that keep the devices of this node attached (nbdfuse). */
  get attachingPids(): number[] {
    return processesBelow(join(this.dir, 'm'));
  }

  mountPoint(tag: string): string {
    return join(this.#options.folder, `${tag}.mnt`);
  }

  /** Starts the agent; resolves when it says that it is ready. */
  async start(): Promise<void> {
    const { name, cluster, folder, nats, keyFile, host, heartbeatMs, within, http } = this.#options;
    await mkdir(folder, { recursive: true });
    const [program = '', ...before] = [...within, process.execPath];
    const options = ['--node', name, '--data', this.dir, '--nats', nats, '--cluster', cluster];
    const more = ['--key', keyFile, '--replicate', `${host}:7800-7809`, '--heartbeat', `${heartbeatMs}ms`];
    if (http !== undefined)
      more.push('--http', this.#address ?? http.address, '--operators', http.operatorsFile);
    const log = openSync(join(folder, 'agent.log'), 'a');
    const child = spawn(program, [...before, mirrorkeeper, 'agent', ...options, ...more], {
      stdio: ['ignore', 'pipe', log],
    });
    closeSync(log);
    this.#agent = child;
    await new Promise<void>((ready, failed) => {
      const timer = setTimeout(() => failed(new Error(`the agent of ${name} is not ready`)), 20_000);
      const ended = (code: number | null, by: string | null) => {
        clearTimeout(timer);
        failed(new Error(`the agent of ${name} ended with ${code ?? by}: ${this.logTail(5).join('\n')}`));
      };
      child.once('exit', ended);
      if (child.stdout === null) return failed(new Error('the agent has no output'));
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (!line.startsWith('ready ')) return;
        clearTimeout(timer);
        child.off('exit', ended);
        this.#address = (JSON.parse(line.slice('ready '.length)) as { readonly http?: string }).http;
        ready();
      });
    });
  }

  /** In order: the engines go on. */
  async stopAgent(): Promise<void> {
    if (!this.isUp) return;
    const child = this.#agent;
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    signal(this.agentPid, 'SIGCONT');
    signal(this.agentPid, 'SIGTERM');
    await ended;
  }

  killAgent(): Promise<void> {
    return killAll([this.agentPid]);
  }

  killEngines(): Promise<void> {
    return killAll(this.enginePids);
  }

  /** Agent, engines and what is attached, at once, as a power failure ends them (the page cache stays). */
  killAll(): Promise<void> {
    const agent = this.#agent === null ? [] : [this.agentPid];
    return killAll([...agent, ...this.enginePids, ...this.attachingPids]);
  }

  freeze(pids: readonly number[] = [this.agentPid, ...this.enginePids]): void {
    for (const pid of pids) signal(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const pid of [this.agentPid, ...this.enginePids]) signal(pid, 'SIGCONT');
  }

  ask(command: string, body: object, boundMs: number): Promise<Reply> {
    return askAgent(this.socket, command, body, boundMs);
  }

  /** The last lines that the agent logged. */
  logTail(count: number): string[] {
    const text = readFileSync(join(this.#options.folder, 'agent.log'), 'utf8');
    return text.trimEnd().split('\n').slice(-count);
  }
}
