import { dirname, join, resolve } from 'node:path';
import { NodeName, VolumeName } from '../../domain/vocabulary.ts';

/**
 * Where the files of a replica lie (REQUIREMENTS 5): for a file, `PATH.mk/` beside its first volume; for a device
 * the bitmap folder. A volume's PATH itself holds the volume's bytes and nothing else.
 */
export function replicaFolder(firstVolumePath: string, isDevice: boolean, bitmapFolder: string): string {
  return isDevice ? resolve(bitmapFolder) : resolve(`${firstVolumePath}.mk`);
}

export const metadataPath = (folder: string): string => inside(folder, 'metadata');

export const lockPath = (folder: string): string => inside(folder, 'lock');

/** The intent log of a volume for a peer, in the bitmap folder (for files by default the replica's folder). */
export const intentLogPath = (bitmapFolder: string, volume: VolumeName, peer: NodeName): string =>
  inside(bitmapFolder, `${VolumeName.parse(volume)}.${NodeName.parse(peer)}.bitmap`);

/** Names were checked at the edge; a name that leads elsewhere all the same is a defect here. */
function inside(folder: string, name: string): string {
  const path = join(resolve(folder), name);
  if (dirname(path) !== resolve(folder)) throw new RangeError(`${name} does not lie in ${folder}`);
  return path;
}
