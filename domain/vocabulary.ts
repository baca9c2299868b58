import { z } from 'zod';

/**
 * The words of the product and the shapes of its names (REQUIREMENTS 1). Names become NATS subject tokens
 * and file names, so nothing else ever passes the edge.
 */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;

const name = (what: string) =>
  z
    .string()
    .regex(namePattern, `a ${what} has 1 to 63 letters, digits, "_" or "-", the first a letter or digit`);

export const Tag = name('tag').brand<'Tag'>();
export type Tag = z.infer<typeof Tag>;

export const NodeName = name('node').brand<'NodeName'>();
export type NodeName = z.infer<typeof NodeName>;

export const VolumeName = name('volume').brand<'VolumeName'>();
export type VolumeName = z.infer<typeof VolumeName>;

/** The identity of a state of the data: 16 hex digits (64 random bits, drawn outside the domain). */
export const Generation = z
  .string()
  .regex(/^[0-9a-f]{16}$/, 'a generation is 16 hex digits')
  .brand<'Generation'>();
export type Generation = z.infer<typeof Generation>;

/** A number per resource; a new source takes 1 + the highest epoch served or promised that it knows. */
export const Epoch = z.int().min(0);
export type Epoch = number;

export const Mode = z.enum(['sync', 'memory-sync', 'async']);
export type Mode = z.infer<typeof Mode>;

export const Content = z.enum(['raw', 'new-filesystem', 'existing-filesystem']);
export type Content = z.infer<typeof Content>;

export const FsType = z.enum(['ext4', 'xfs']);
export type FsType = z.infer<typeof FsType>;

/** Bytes that one bit of an intent log stands for. */
export const regionSize = 65_536;

/** One source, at most this many targets (admin guide, "Multiple Target Configuration"). */
export const targetsMax = 7;

/** A kernel path: absolute, no NUL, no dot segments. */
export const AbsolutePath = z
  .string()
  .max(4096)
  .regex(/^\/[^\0]*$/, 'a path is absolute')
  .refine((path) => !path.split('/').includes('..'), 'a path has no ".." in it');

/** Milliseconds since 1970. Shown and searched, never ordered by. */
export const WallTime = z.int().min(0);
export type WallTime = number;
