import { resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { AbsolutePath, NodeName, Tag, VolumeName } from '../../domain/vocabulary.ts';

/** What people type as names and paths. Errors: commander's, which is a usage error. */

interface Schema<T> {
  safeParse(
    value: string,
  ): { success: true; data: T } | { success: false; error: { issues: { message: string }[] } };
}

const parsed =
  <T>(schema: Schema<T>) =>
  (text: string): T => {
    const result = schema.safeParse(text);
    if (result.success) return result.data;
    throw new InvalidArgumentError(`${result.error.issues[0]?.message ?? 'this cannot be a name'}.`);
  };

export const parseTag = parsed<Tag>(Tag);
export const parseNode = parsed<NodeName>(NodeName);
const parseVolumeName = parsed<VolumeName>(VolumeName);

/** For a variadic argument: gathers what came before. */
export const nodes = (text: string, before: readonly NodeName[] | undefined): readonly NodeName[] => [
  ...(before ?? []),
  parseNode(text),
];

/** Of a variadic argument: none named means all, which is said by leaving it out. */
export const orAll = (named: readonly NodeName[]): readonly NodeName[] | undefined =>
  named.length === 0 ? undefined : named;

/** A path on the node that is named; one without a leading slash is below the folder one stands in. */
export const parsePath = (text: string): string => parsed<string>(AbsolutePath)(resolve(text));

/** A folder, or `none` (no bitmap: every resync is full). */
export const parseBitmap = (text: string): string => (text === 'none' ? text : parsePath(text));

export interface VolumeArgument {
  readonly name: VolumeName | null;
  readonly path: string;
}

/** `[NAME=]PATH`: what is before the first `=` is a name unless a slash is in it. */
export function volumes(
  text: string,
  before: readonly VolumeArgument[] | undefined,
): readonly VolumeArgument[] {
  const [, name, path = text] = /^([^/=]*)=(.*)$/s.exec(text) ?? [];
  if (path === '') throw new InvalidArgumentError('[NAME=]PATH is expected.');
  const volume = { name: name === undefined ? null : parseVolumeName(name), path: parsePath(path) };
  return [...(before ?? []), volume];
}

/** Without a name of its own a single volume is `data`, of several the nth is `data<n>`. */
export const named = (given: readonly VolumeArgument[]): { name: string; path: string }[] =>
  given.map(({ name, path }, index) => ({
    name: name ?? (given.length === 1 ? 'data' : `data${index + 1}`),
    path,
  }));
