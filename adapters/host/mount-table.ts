import { posix } from 'node:path';

/** A line of /proc/self/mountinfo, as far as it matters here. */
export interface Mount {
  readonly at: string;
  readonly fstype: string;
  /** The device or server that is mounted. */
  readonly source: string;
}

/** In the order in which they were mounted; spaces and the like are written as `\040` (proc(5)). */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const at = before.split(' ')[4];
    const [fstype, source] = after.split(' ');
    if (at === undefined || fstype === undefined || source === undefined) return [];
    return [{ at: readable(at), fstype, source: readable(source) }];
  });
}

const readable = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** A loop device and the file that it shows as a disk. */
export interface Loop {
  readonly device: string;
  readonly file: string;
}

/** What `losetup --list --json --output NAME,BACK-FILE` prints: nothing at all where there is none. */
export function parseLoops(text: string): Loop[] {
  if (text.trim() === '') return [];
  const { loopdevices } = JSON.parse(text) as {
    loopdevices: { name: string; 'back-file': string | null }[];
  };
  return loopdevices.map(({ name, 'back-file': file }) => ({
    device: name,
    file: (file ?? '').replace(/ \(deleted\)$/, ''),
  }));
}

/** The path is the folder, or lies in it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/** Without doubled or trailing slashes: as the kernel shows it. */
export const asShown = (folder: string): string => posix.normalize(folder).replace(/(?<=.)\/$/, '');
