import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Ended, Machine, OpenPath } from '../../adapters/host/machine.ts';

interface Mount {
  readonly at: string;
  readonly fstype: string;
  readonly source: string;
}

const done: Ended = { code: 0, stdout: '', stderr: '' };
const failed = (stderr: string): Ended => ({ code: 32, stdout: '', stderr });

/** Mounts, loop devices and processes of a machine, as the programs that the product runs change them. */
export class SimulatedMachine implements Machine {
  readonly mounts: Mount[] = [];
  readonly loops = new Map<string, string>();
  readonly processes = new Map<number, readonly string[]>();
  /** What was run and started, in order. */
  readonly ran: string[] = [];
  /** Folders from which nothing can be unmounted in order. */
  readonly busy = new Set<string>();
  open: OpenPath[] = [];
  /** By program: what it says when it fails. */
  readonly failing = new Map<string, string>();
  #pids = 100;

  async run(program: string, args: readonly string[]): Promise<Ended> {
    const isQuestion = program === 'losetup' && args[0] === '--list';
    if (!isQuestion) this.ran.push([program, ...args].join(' '));
    const complaint = this.failing.get(program);
    if (complaint !== undefined) return failed(complaint);
    switch (program) {
      case 'losetup':
        return this.#losetup(args);
      case 'mount':
        this.mounts.push({ fstype: args[1] ?? '', source: args.at(-2) ?? '', at: args.at(-1) ?? '' });
        return done;
      case 'umount':
        return this.#umount(args.at(-1) ?? '', args.includes('--lazy'));
      case 'mkdir':
      case 'mkfs.ext4':
      case 'mkfs.xfs':
        return done;
      default:
        throw new Error(`${program} cannot be run`);
    }
  }

  #losetup(args: readonly string[]): Ended {
    if (args[0] === '--list') {
      const loopdevices = [...this.loops].map(([name, file]) => ({ name, 'back-file': file }));
      return { ...done, stdout: loopdevices.length === 0 ? '' : JSON.stringify({ loopdevices }) };
    }
    if (args[0] === '--detach') {
      this.loops.delete(args[1] ?? '');
      return done;
    }
    const device = `/dev/loop${[0, 1, 2, 3].find((number) => !this.loops.has(`/dev/loop${number}`))}`;
    this.loops.set(device, args.at(-1) ?? '');
    return { ...done, stdout: `${device}\n` };
  }

  #umount(at: string, isLazy: boolean): Ended {
    const index = this.mounts.findLastIndex((mount) => mount.at === at);
    if (index < 0) return failed(`${at}: not mounted`);
    if (this.busy.has(at) && !isLazy) return failed(`${at}: target is busy`);
    const [mount] = this.mounts.splice(index, 1);
    // nbdfuse ends with its mount.
    if (mount?.fstype === 'fuse')
      for (const [pid, args] of this.processes) if (args[1] === `${at}/device`) this.processes.delete(pid);
    return done;
  }

  async start(program: string, args: readonly string[], logFile: string): Promise<number> {
    this.ran.push([program, ...args].join(' '));
    mkdirSync(dirname(logFile), { recursive: true });
    this.#pids += 1;
    if (this.failing.has(program)) return this.#pids;
    this.processes.set(this.#pids, [program, ...args]);
    this.mounts.push({ at: dirname(args[0] ?? ''), fstype: 'fuse', source: '/dev/fuse' });
    return this.#pids;
  }

  async mountInfo(): Promise<string> {
    const lines = this.mounts.map(
      ({ at, fstype, source }, number) =>
        `${number} 1 7:0 / ${at.replaceAll(' ', '\\040')} rw shared:1 - ${fstype} ${source} rw`,
    );
    return `${lines.join('\n')}\n`;
  }

  commandLine(pid: number): readonly string[] | undefined {
    return this.processes.get(pid);
  }

  kill(pid: number): void {
    this.ran.push(`kill ${this.processes.get(pid)?.[0]}`);
    this.processes.delete(pid);
  }

  async openPaths(): Promise<readonly OpenPath[]> {
    return this.open;
  }
}
