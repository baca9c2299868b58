import { Command } from 'commander';
import { type Found, lookAround } from '../../adapters/host/preflight.ts';
import { bytesText } from '../../projections/status-text.ts';
import { Exit, exitCodes } from '../program.ts';
import { parsePath } from './names.ts';
import { columnsOf } from './table.ts';
import type { Terminal } from './terminal.ts';

/** One thing that was looked at. `bad`: Mirrorkeeper cannot work like that; `poor`: less than it could. */
export interface Finding {
  readonly what: string;
  readonly verdict: 'good' | 'poor' | 'bad';
  readonly text: string;
}

interface CheckOptions {
  readonly data: string;
  readonly replicate?: string;
  readonly json?: true;
}

const programs = ['nbd-client', 'nbdfuse', 'losetup', 'fusermount3', 'mkfs.ext4', 'mkfs.xfs', 'nats-server'];
const memoryMinBytes = 512 * 1024 * 1024;
const diskMinBytes = 1024 * 1024 * 1024;

/** `check`: what this server lacks, before an agent is started on it. Nothing is changed. */
export const checkCommand = ({ output }: Terminal): Command =>
  new Command('check')
    .description('pre-flight: tools, kernel, ports, memory, room and clock of this server')
    .option('--data <dir>', "the agent's folder", parsePath, '/var/lib')
    .option(
      '--replicate <host:first-last>',
      'the address and ports for replication that the agent is to have',
    )
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  mirrorkeeper check --replicate 10.0.0.1:7800-7899')
    .action(async ({ data, replicate, json }: CheckOptions) => {
      const found = await lookAround({ dir: data, programs, ports: portsOf(replicate) });
      const findings = judge(found, data);
      const rows = findings.map(({ what, verdict, text }) => [verdict, what, text]);
      await output.out(json ? `${JSON.stringify(findings)}\n` : `${columnsOf(rows)}\n`);
      if (findings.some(({ verdict }) => verdict === 'bad'))
        throw new Exit(exitCodes.refused, 'this server is not ready yet');
    });

function portsOf(replicate: string | undefined) {
  if (replicate === undefined) return null;
  const [, host = '', first, last] = /^([A-Za-z0-9._-]+):(\d{1,5})-(\d{1,5})$/.exec(replicate) ?? [];
  const ports = { host, first: Number(first), last: Number(last) };
  if (host === '' || !(ports.first >= 1 && ports.first <= ports.last && ports.last <= 65_535))
    throw new Exit(exitCodes.usage, '--replicate is HOST:FIRST-LAST, for example 10.0.0.1:7800-7899');
  return ports;
}

export function judge(found: Found, dir: string): Finding[] {
  return [
    nodeJs(found),
    attaching(found),
    fileSystems(found),
    {
      what: 'bus',
      ...(found.programs.has('nats-server')
        ? good('nats-server is here')
        : poor('no nats-server here: one on another server will do')),
    },
    { what: 'root', ...(found.isRoot ? good('yes') : poor('not root: devices and mounts need it')) },
    {
      what: 'memory',
      ...(found.memoryAvailableBytes >= memoryMinBytes
        ? good(`${bytesText(found.memoryAvailableBytes)} available`)
        : poor(`only ${bytesText(found.memoryAvailableBytes)} available: an engine may take some 200 MB`)),
    },
    { what: 'room', ...room(found, dir) },
    { what: 'clock', ...clock(found) },
    ...(found.portsTaken === null
      ? []
      : [{ what: 'ports', ...ports(found.portsTaken, found.addressFailure) }]),
  ];
}

const good = (text: string) => ({ verdict: 'good' as const, text });
const poor = (text: string) => ({ verdict: 'poor' as const, text });
const bad = (text: string) => ({ verdict: 'bad' as const, text });

function nodeJs({ nodeVersion, processors }: Found): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  const isNew = major > 20 || (major === 20 && minor >= 19);
  const verdict = isNew
    ? good(`${nodeVersion}, ${processors} processors`)
    : bad(`${nodeVersion}: 20.19 or later is needed`);
  return { what: 'Node.js', ...verdict };
}

/** `nbd-client` where the kernel has nbd, else nbdfuse and losetup. */
function attaching({ kernel, programs: has }: Found): Finding {
  const what = 'block device';
  if (kernel.has('nbd') && has.has('nbd-client')) return { what, ...good('nbd-client, kernel module nbd') };
  const lacks = [
    ...['nbdfuse', 'losetup', 'fusermount3'].filter((program) => !has.has(program)),
    ...['fuse', 'loop'].filter((name) => !kernel.has(name)).map((name) => `kernel module ${name}`),
  ];
  if (lacks.length === 0) return { what, ...good('nbdfuse and losetup') };
  return { what, ...poor(`cannot be attached here: no nbd in the kernel, and no ${lacks.join(', ')}`) };
}

function fileSystems({ programs: has }: Found): Finding {
  const lacks = ['mkfs.ext4', 'mkfs.xfs'].filter((program) => !has.has(program));
  const verdict = lacks.length === 0 ? good('ext4 and XFS can be made') : poor(`no ${lacks.join(', ')}`);
  return { what: 'file systems', ...verdict };
}

function room({ diskFreeBytes }: Found, dir: string) {
  if (diskFreeBytes === null) return bad(`${dir} is not there`);
  return diskFreeBytes >= diskMinBytes
    ? good(`${bytesText(diskFreeBytes)} free in ${dir}`)
    : poor(`only ${bytesText(diskFreeBytes)} free in ${dir}, for journal and bitmaps`);
}

function clock({ isClockSynchronised }: Found) {
  if (isClockSynchronised === null) return poor('nothing here tells whether the clock is synchronised');
  return isClockSynchronised
    ? good('synchronised')
    : poor('not synchronised: times in the history will be wrong');
}

function ports(taken: readonly number[], failure: string | null) {
  if (failure !== null) return bad(`nothing can listen there: ${failure}`);
  return taken.length === 0 ? good('all free') : poor(`${taken.join(', ')} taken, by engines or by others`);
}
