import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** What `mirrorkeeper lab` leaves in the folder it runs in, so that a second terminal there finds the cluster. */
export const LabContext = z.object({
  cluster: z.string(),
  nats: z.string(),
  /** By node: its agent's socket. */
  sockets: z.record(z.string(), z.string()),
  /** The lab's own socket, for `lab kill NODE` and the like. */
  control: z.string(),
});
export type LabContext = z.infer<typeof LabContext>;

export const labFolder = '.lab';
export const contextFile = join(labFolder, 'context.json');

/** Null where no lab runs, or what is there is not one's. */
export async function readLabContext(): Promise<LabContext | null> {
  try {
    return LabContext.parse(JSON.parse(await readFile(contextFile, 'utf8')));
  } catch {
    return null;
  }
}
