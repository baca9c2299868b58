import type { EventPosition } from '../domain/envelope.ts';

/**
 * Keys of the journal's database, all text:
 *
 *   e!NODE!INCARNATION!SEQUENCE   an event (numbers padded, so that key order is log order)
 *   c!COMMAND!NODE!INCARNATION!SEQUENCE   that this event came of the command with that id; no value
 *   q!NODE!INCARNATION!SEQUENCE   an event that a later incarnation left behind: kept, but no part of the log
 *   h!NODE                        the latest signed head heard of a node
 *   s!NAME                        the heads of a snapshot
 *   b!NAME                        its body
 *   a!                            the base that stands for archived events (archive-base.ts)
 *   o!                            whose journal it is: NODE/CLUSTER
 *
 * No name contains '!' (REQUIREMENTS 1), and every character of a name sorts after it.
 */
const incarnationDigits = 6;
const sequenceDigits = 12;

const padded = (value: number, digits: number): string => value.toString().padStart(digits, '0');

export const eventKey = ({ node, incarnation, sequence }: EventPosition): string =>
  `e!${node}!${padded(incarnation, incarnationDigits)}!${padded(sequence, sequenceDigits)}`;

export const quarantineKey = (position: EventPosition): string => `q${eventKey(position).slice(1)}`;

export const commandKey = (command: string, position: EventPosition): string =>
  `c!${command}!${eventKey(position).slice(2)}`;

export const commandBounds = (command: string) => ({ gte: `c!${command}!`, lt: `c!${command}"` });

export const parseCommandKey = (key: string): EventPosition | undefined =>
  parseEventKey(`e!${key.split('!').slice(-3).join('!')}`);

export const signedHeadKey = (node: string): string => `h!${node}`;

export const snapshotKey = (name: string): string => `s!${name}`;

export const snapshotBodyKey = (name: string): string => `b!${name}`;

export const archiveKey = 'a!';

export const ownerKey = 'o!';

/** Bounds of all keys with a prefix: '"' is the character after '!'. */
export const allEvents = { gte: 'e!', lt: 'e"' } as const;
export const allSignedHeads = { gte: 'h!', lt: 'h"' } as const;
export const allSnapshots = { gte: 's!', lt: 's"' } as const;

export const logBounds = (node: string, incarnation: number): { gte: string; lt: string } => {
  const prefix = `e!${node}!${padded(incarnation, incarnationDigits)}`;
  return { gte: `${prefix}!`, lt: `${prefix}"` };
};

export function parseEventKey(key: string): EventPosition | undefined {
  const match = /^e!([^!]+)!(\d{6})!(\d{12})$/.exec(key);
  if (match === null) return undefined;
  return { node: match[1] ?? '', incarnation: Number(match[2]), sequence: Number(match[3]) };
}
