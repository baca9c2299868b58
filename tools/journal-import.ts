import { createReadStream, existsSync } from 'node:fs';
import type { EventEnvelope } from '../domain/envelope.ts';
import { NodeName } from '../domain/vocabulary.ts';
import { type ExportLine, parseExportLine } from '../journal/export.ts';
import type { Journal } from '../journal/journal.ts';
import { type LevelJournal, openLevelJournal } from '../journal/level-journal.ts';
import { createForAuditor, openOffline } from '../journal/offline.ts';
import { type Verification, Verifier, type VerifyOptions } from '../journal/verify.ts';
import { journalOf, refusing, throwDamage } from './offline-journal.ts';
import { Exit, exitCodes, type Output, shortened } from './program.ts';

export interface ImportOptions {
  readonly data: string;
  readonly node?: string;
  readonly cluster?: string;
}

/** `mirrorkeeper journal import FILE`. Errors: usage, refused, damaged; then nothing was taken in. */
export async function importLogs(file: string, options: ImportOptions, output: Output): Promise<void> {
  // 1. All of it verifies, or nothing is taken in.
  const { verification, redactedCount } = await verifyExport([file]);
  if (redactedCount > 0)
    throw new Exit(exitCodes.refused, `${file} is redacted: it can be verified, not imported`);
  throwDamage(verification.findings);
  // 2. Others' logs by receiving, this node's own by repair.
  const directory = journalOf(options.data);
  const journal = await refusing(
    async () => (await openOffline(directory)) ?? (await createFor(directory, options)),
  );
  try {
    const stored = await takeIn(journal, file);
    throwDamage(journal.damage());
    await output.out(`${stored} events taken in\n`);
  } finally {
    await journal.close();
  }
}

/** A node that joins after an archiving must have the archived events before its agent first starts. */
function createFor(directory: string, { node, cluster }: ImportOptions): Promise<LevelJournal> {
  if (node === undefined && cluster === undefined) return createForAuditor(directory);
  const name = NodeName.safeParse(node);
  if (!name.success || cluster === undefined)
    throw new Exit(exitCodes.usage, '--node NAME and --cluster NAME go together');
  return openLevelJournal({ directory, node: name.data, cluster });
}

/** All of an export, redacted or not, behind its archives where there are any. `trusted`: keys that somebody vouches for beside the export itself. */
export async function verifyExport(
  files: readonly string[],
  trusted?: VerifyOptions['trusted'],
): Promise<{ readonly verification: Verification; readonly redactedCount: number }> {
  const verifier = new Verifier({ trusted, needsHeads: true });
  let redactedCount = 0;
  for (const file of files) {
    if (!existsSync(file)) throw new Exit(exitCodes.usage, `there is no file ${file}`);
    for await (const line of readExport(file)) {
      if (line.kind === 'redacted') redactedCount += 1;
      if (line.kind === 'head') verifier.takeHead(line.head);
      else if (line.kind === 'base') verifier.takeBase(line.base);
      else verifier.take(line.event);
    }
  }
  return { verification: verifier.finish(), redactedCount };
}

async function takeIn(journal: LevelJournal, file: string): Promise<number> {
  const before = countOf(journal);
  await repairFrom(journal, file);
  let batch: EventEnvelope[] = [];
  const receive = async () => {
    const { conflicts, gaps, rejected } = await journal.receive(batch);
    batch = [];
    throwDamage([
      ...conflicts.map(({ id }) => ({
        code: 'bad-chain' as const,
        message: `another event ${id} is stored here`,
      })),
      ...gaps.map(({ node, incarnation, from, to }) => ({
        code: 'gap' as const,
        message: `events ${node}/${incarnation}/${from} to ${to} are missing`,
      })),
      ...rejected,
    ]);
  };
  for await (const line of readExport(file)) {
    if (line.kind === 'event') batch.push(line.event);
    else if (line.kind === 'head' && line.head.node !== journal.node)
      await journal.attest(line.head, [line.head.key]);
    if (batch.length >= eventsPerBatch) await receive();
  }
  await receive();
  return countOf(journal) - before;
}

/** What is damaged here, this node's own log where the file has more of it included. */
async function repairFrom(journal: LevelJournal, file: string): Promise<void> {
  let last: EventEnvelope | undefined;
  for await (const line of readExport(file))
    if (line.kind === 'event' && line.event.node === journal.node) last = line.event;
  if (last !== undefined) journal.reportSeen(last);
  const damaged = new Set(journal.damage().map(({ node }) => node));
  if (damaged.size === 0) return;
  const events: EventEnvelope[] = [];
  for await (const line of readExport(file))
    if (line.kind === 'event' && damaged.has(line.event.node)) events.push(line.event);
  await journal.repair(async ({ node, incarnation, from, to }) =>
    events.filter(
      (event) =>
        event.node === node &&
        event.incarnation === incarnation &&
        event.sequence >= from &&
        event.sequence <= to,
    ),
  );
}

const eventsPerBatch = 1000;

const countOf = (journal: Journal): number => journal.logs().reduce((sum, { sequence }) => sum + sequence, 0);

/** NDJSON ends a line at LF only: what node:readline also takes for an end (U+2028) may stand in a text of an event. */
async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(file, 'utf8')) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

async function* readExport(file: string): AsyncGenerator<ExportLine> {
  let number = 0;
  for await (const line of linesOf(file)) {
    number += 1;
    if (line.trim() === '') continue;
    const parsed = parseExportLine(line);
    if (parsed === undefined)
      throw new Exit(
        exitCodes.usage,
        `line ${number} of ${file} is no event of an export: ${shortened(line)}`,
      );
    yield parsed;
  }
}
