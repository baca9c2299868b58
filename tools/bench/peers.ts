import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { BenchProcess, freePort, makeImage } from './processes.ts';
import { Qmp } from './qmp.ts';

/** Somebody else's program that does what ours does, as fast as it can be had (PERFORMANCE 1). */
export interface FairPeer {
  readonly uri: string;
  readonly processes: readonly BenchProcess[];
  end(): Promise<void>;
}

const unixUri = (path: string) => `nbd+unix:///?socket=${path}`;

/** nbdkit with its file plugin: an export that is not mirrored. */
export async function nbdkitExport(folder: string, byteCount: number): Promise<FairPeer> {
  mkdirSync(folder);
  const path = join(folder, 'nbd.sock');
  const image = makeImage(join(folder, 'image'), byteCount);
  const server = new BenchProcess('nbdkit', 'nbdkit', ['-f', '-U', path, 'file', image]);
  await server.listens({ path });
  return { uri: unixUri(path), processes: [server], end: () => server.end() };
}

export async function qemuNbdExport(folder: string, byteCount: number): Promise<FairPeer> {
  mkdirSync(folder);
  const path = join(folder, 'nbd.sock');
  const image = makeImage(join(folder, 'image'), byteCount);
  const options = ['-f', 'raw', '-t', '-e', '8', '--cache=writeback', '--aio=io_uring', '-k', path, image];
  const server = new BenchProcess('qemu-nbd', 'qemu-nbd', options);
  await server.listens({ path });
  return { uri: unixUri(path), processes: [server], end: () => server.end() };
}

export interface QemuMirrorOptions {
  readonly byteCount: number;
  /** How it reaches its target, an nbdkit: over TCP as we do, or over a Unix socket, which is faster. */
  readonly over: 'tcp' | 'unix';
  /** `write-blocking` acknowledges when the target has the write, `background` copies behind. */
  readonly copyMode: 'write-blocking' | 'background';
}

/** qemu-storage-daemon with an export and a mirror job to an nbdkit. */
export class QemuMirror implements FairPeer {
  readonly uri: string;
  readonly processes: readonly BenchProcess[];
  readonly #qmp: Qmp;
  readonly #copyMode: string;

  private constructor(uri: string, processes: readonly BenchProcess[], qmp: Qmp, copyMode: string) {
    this.uri = uri;
    this.processes = processes;
    this.#qmp = qmp;
    this.#copyMode = copyMode;
  }

  static async start(folder: string, { byteCount, over, copyMode }: QemuMirrorOptions): Promise<QemuMirror> {
    mkdirSync(folder);
    const inFolder = (name: string) => join(folder, name);
    const path = inFolder('target.sock');
    const port = over === 'tcp' ? await freePort() : 0;
    const at = over === 'tcp' ? ['-i', '127.0.0.1', '-p', String(port)] : ['-U', path];
    const targetImage = makeImage(inFolder('target'), byteCount);
    const target = new BenchProcess(`nbdkit, ${over}`, 'nbdkit', ['-f', ...at, 'file', targetImage]);
    await target.listens(over === 'tcp' ? { host: '127.0.0.1', port } : { path });
    const server =
      over === 'tcp' ? { type: 'inet', host: '127.0.0.1', port: String(port) } : { type: 'unix', path };
    const file = { filename: makeImage(inFolder('source'), byteCount), aio: 'io_uring' };
    const exported = { type: 'nbd', id: 'export', 'node-name': 'source', name: '', writable: true };
    const daemon = new BenchProcess('qemu-storage-daemon', 'qemu-storage-daemon', [
      '--blockdev',
      JSON.stringify({ driver: 'file', 'node-name': 'source', ...file }),
      '--blockdev',
      JSON.stringify({ driver: 'nbd', 'node-name': 'target', export: '', server }),
      '--nbd-server',
      JSON.stringify({ addr: { type: 'unix', path: inFolder('nbd.sock') } }),
      '--export',
      JSON.stringify(exported),
      '--chardev',
      `socket,id=monitor,path=${inFolder('qmp.sock')},server=on,wait=off`,
      '--monitor',
      'chardev=monitor',
    ]);
    await daemon.listens({ path: inFolder('nbd.sock') });
    const qmp = await Qmp.connect(inFolder('qmp.sock'));
    const mirror = new QemuMirror(unixUri(inFolder('nbd.sock')), [daemon, target], qmp, copyMode);
    await mirror.copy();
    return mirror;
  }

  /** Starts the mirror job; seconds until the target has everything. */
  async copy(): Promise<number> {
    const startedMs = performance.now();
    await this.#qmp.command('blockdev-mirror', {
      'job-id': 'mirror',
      device: 'source',
      target: 'target',
      sync: 'full',
      'copy-mode': this.#copyMode,
    });
    await this.#qmp.event('BLOCK_JOB_READY');
    return (performance.now() - startedMs) / 1000;
  }

  /** Ends the mirror job; the target keeps what it has. */
  async stopMirroring(): Promise<void> {
    await this.#qmp.command('block-job-cancel', { device: 'mirror' });
    await this.#qmp.event('BLOCK_JOB_COMPLETED');
  }

  async end(): Promise<void> {
    this.#qmp.close();
    await Promise.all(this.processes.map((process) => process.end()));
  }
}
