import { existsSync, mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { comparePositions, type EventEnvelope } from '../domain/envelope.ts';
import type { ArchiveBase, Floor } from '../journal/archive-base.ts';
import { baseLine, storedEvents } from '../journal/export.ts';
import type { LevelJournal } from '../journal/level-journal.ts';
import { readEvent } from '../journal/read-event.ts';
import { textOf } from '../journal/record.ts';
import { fold } from '../projections/views.ts';
import { historyOf } from './offline-history.ts';
import { throwDamage } from './offline-journal.ts';
import { Exit, exitCodes, type Output, shortened } from './program.ts';

export interface ArchiveOptions {
  readonly data: string;
  readonly before: string;
  readonly to?: string;
}

/**
 * `mirrorkeeper journal archive --before TIME`: what is older goes to a file, down to the last place at which the
 * history can be cut (domain/causal-base.ts); a signed base stays in its place. Errors: usage, refused, damaged.
 */
export async function archiveJournal(
  journal: LevelJournal,
  { data, before, to }: ArchiveOptions,
  output: Output,
): Promise<void> {
  const time = Date.parse(before);
  if (Number.isNaN(time)) throw new Exit(exitCodes.usage, `"${shortened(before)}" is no time`);
  const isoBefore = new Date(time).toISOString();
  const file = to ?? join(data, 'archive', `${isoBefore.replaceAll(':', '')}.ndjson`);
  if (existsSync(file)) throw new Exit(exitCodes.usage, `there is a file ${file} already`);
  await journal.verified;
  throwDamage(journal.damage());

  // 1. Where: the last stable place with nothing younger before it.
  const { order, begin } = await historyOf(journal);
  const events = order.events();
  const young = events.findIndex((event) => Date.parse(event.time) >= time);
  const place = order.stablePlace(order.base.length + (young < 0 ? events.length : young));
  if (place === undefined || place <= order.base.length)
    throw new Exit(
      exitCodes.refused,
      `nothing before ${isoBefore} can be archived: nodes write events there that do not follow all of it yet`,
    );
  const archived = events.slice(0, place - order.base.length);

  // 2. What stands for it.
  const standing = begin();
  fold(standing, archived.map(readEvent));
  order.cut(place);
  const [first] = archived;
  const base = journal.signBase({
    cluster: first?.source.split('/')[2] ?? '',
    node: journal.node,
    before: isoBefore,
    floors: floorsOf(journal.archived(), archived),
    base: { ...order.base, isFinal: true },
    standing: standing as unknown as Record<string, unknown>,
  });

  // 3. The file is durable before anything is taken away.
  const isArchived = new Set(archived.map(({ id }) => id));
  await writeArchive(journal, base, isArchived, file);
  await journal.archive(base);
  await journal.removeSnapshots(await journal.snapshotNames());
  await output.out(`${archived.length} events archived to ${file}\n`);
}

/** By log: the last event that was ever archived. */
function floorsOf(before: ArchiveBase | null, archived: readonly EventEnvelope[]): Floor[] {
  const floors = new Map<string, Floor>();
  for (const { node, incarnation, sequence, hash } of [...(before?.floors ?? []), ...archived])
    floors.set(`${node}/${incarnation}`, { node, incarnation, sequence, hash });
  return [...floors.values()].sort((a, b) =>
    a.node === b.node ? comparePositions(a, b) : a.node < b.node ? -1 : 1,
  );
}

/** As an export: log after log, from where an earlier archive ended. */
async function writeArchive(
  journal: LevelJournal,
  base: ArchiveBase,
  isArchived: ReadonlySet<string>,
  file: string,
): Promise<void> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.write(baseLine(base));
    for await (const batch of storedEvents(journal))
      await handle.write(
        batch
          .filter(({ id }) => isArchived.has(id))
          .map((event) => `${textOf(event)}\n`)
          .join(''),
      );
    await handle.sync();
  } finally {
    await handle.close();
  }
  const folder = await open(dirname(file), 'r');
  await folder.sync().finally(() => folder.close());
}
