import { existsSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { type EventEnvelope, parseEnvelopeType, parseEventId } from '../domain/envelope.ts';
import { Tag } from '../domain/vocabulary.ts';
import { floorOf } from '../journal/archive-base.ts';
import { mergeLogs } from '../journal/causal-merge.ts';
import { exportLines } from '../journal/export.ts';
import { type Damage, type Journal, JournalError, type LogHead } from '../journal/journal.ts';
import type { LevelJournal } from '../journal/level-journal.ts';
import { type Verification, Verifier } from '../journal/verify.ts';
import { verifyDecisions } from '../journal/verify-decisions.ts';
import { type ArchiveOptions, archiveJournal } from './journal-archive.ts';
import { type ImportOptions, importLogs, verifyExport } from './journal-import.ts';
import { causalBaseOf, standingOf } from './offline-history.ts';
import { throwDamage, withJournal } from './offline-journal.ts';
import { Exit, exitCodes, type Output, shortened } from './program.ts';

/** `mirrorkeeper journal …`, offline: on the data directory of an agent that is not running. */
export function journalCommand(output: Output): Command {
  const journal = new Command('journal').description('the event history: list, export, import, verify');
  const subcommand = (name: string, description: string) =>
    journal
      .command(name)
      .description(description)
      .requiredOption('--data <dir>', "the agent's data directory");

  subcommand('list', 'lists events')
    .option('--tag <tag>', 'only events of this resource')
    .option('--type <type>', 'only events of this type, e.g. resource.created, or of its kind, e.g. resource')
    .option('--since <event|time>', 'only what came after this event, or from this moment on')
    .option('--json', 'as a JSON array')
    .action((options: ListOptions) => withJournal(options.data, (opened) => list(opened, options, output)));
  subcommand('export', 'writes all logs as NDJSON')
    .option('--redact', 'without payloads: it still verifies')
    .action(({ data, redact }: { data: string; redact?: true }) =>
      withJournal(data, (opened) => exportLogs(opened, redact === true, output)),
    );
  subcommand('import', 'takes in the logs of an export, when all of it verifies')
    .argument('<file>')
    .option('--node <name>', 'where there is no journal yet: the node that is to join with it')
    .option('--cluster <name>', 'and its cluster')
    .action((file: string, options: ImportOptions) => importLogs(file, options, output));
  journal
    .command('verify')
    .description('verifies checksums, hashes, chains, signatures and what nodes have seen of each other')
    .argument('[files...]', 'an export, redacted or not, behind its archives, instead of a data directory')
    .option('--data <dir>', "the agent's data directory")
    .option(
      '--keys <file>',
      'lines "NODE PUBLICKEY" that heads must be signed with, as the operators told them',
    )
    .option('--decisions', 'also that every recorded decision follows from its recorded facts')
    .option('--json', 'as JSON')
    .action((files: readonly string[], options: VerifyOptions) => {
      if ((files.length === 0) === (options.data === undefined))
        throw new Exit(exitCodes.usage, 'either a file is verified, or --data DIR');
      if (files.length > 0) return verifyFiles(files, options, output);
      return withJournal(options.data ?? '', (opened) => verify(opened, options, output));
    });
  subcommand('archive', 'moves old events to a file; state and views go on from a signed base')
    .requiredOption('--before <time>', 'only what happened before this moment')
    .option('--to <file>', 'the archive (default: DIR/archive/TIME.ndjson)')
    .action((options: ArchiveOptions) =>
      withJournal(options.data, (opened) => archiveJournal(opened, options, output)),
    );
  return journal;
}

interface VerifyOptions {
  readonly data?: string;
  readonly keys?: string;
  readonly decisions?: true;
  readonly json?: true;
}

interface ListOptions {
  readonly data: string;
  readonly tag?: string;
  readonly type?: string;
  readonly since?: string;
  readonly json?: true;
}

async function list(journal: LevelJournal, options: ListOptions, output: Output): Promise<void> {
  const isWanted = filterOf(options);
  const isJson = options.json === true;
  let count = 0;
  let text = isJson ? '[' : '';
  for await (const event of mergeLogs(journal.logs().map((log) => readableEvents(journal, log)))) {
    if (!isWanted(event)) continue;
    text += isJson ? `${count === 0 ? '' : ','}\n${JSON.stringify(event)}` : `${sentence(event)}\n`;
    count += 1;
    if (text.length < outputChars) continue;
    await output.out(text);
    text = '';
  }
  await output.out(isJson ? `${text}\n]\n` : text);
}

const outputChars = 65_536;

/** Events for which all conditions hold. Errors: usage. */
function filterOf({ tag, type, since }: ListOptions): (event: EventEnvelope) => boolean {
  if (tag !== undefined && !Tag.safeParse(tag).success)
    throw new Exit(exitCodes.usage, `"${shortened(tag)}" is no tag`);
  const after = since === undefined ? () => true : sinceFilter(since);
  return (event) => {
    const name = parseEnvelopeType(event.type)?.event ?? event.type;
    const isType = type === undefined || name === type || name.startsWith(`${type}.`) || event.type === type;
    return isType && (tag === undefined || event.subject === tag) && after(event);
  };
}

function sinceFilter(since: string): (event: EventEnvelope) => boolean {
  if (parseEventId(since) !== undefined) {
    let hasCome = false;
    return ({ id }) => {
      const isAfter = hasCome;
      hasCome ||= id === since;
      return isAfter;
    };
  }
  const time = Date.parse(since);
  if (Number.isNaN(time))
    throw new Exit(
      exitCodes.usage,
      `"${shortened(since)}" is neither an event (NODE/INCARNATION/SEQUENCE) nor a time`,
    );
  return (event) => Date.parse(event.time) >= time;
}

function sentence(event: EventEnvelope): string {
  const name = parseEnvelopeType(event.type)?.event ?? event.type;
  const { decision: _, ...data } = event.data;
  const because = [
    event.command === undefined ? '' : ` command ${event.command}`,
    event.cause === undefined ? '' : ` because of ${event.cause}`,
    event.reason === undefined ? '' : ` "${event.reason}"`,
  ].join('');
  const who = `${event.actorid}${event.actorverified ? '' : ' (unverified)'} via ${event.actorvia}`;
  return `${event.time}  ${event.id}  ${name}  ${event.subject ?? '-'}  ${JSON.stringify(data)}  by ${who}${because}`;
}

/** What is good of a log: damaged events are left out, and reported afterwards. */
async function* readableEvents(journal: Journal, log: LogHead): AsyncGenerator<readonly EventEnvelope[]> {
  let next = 1 + (floorOf(journal.archived(), log.node, log.incarnation)?.sequence ?? 0);
  while (next <= log.sequence) {
    try {
      for await (const events of journal.read({ ...log, from: next, to: log.sequence })) {
        yield events;
        next += events.length;
      }
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      const here = journal
        .damage()
        .filter(
          ({ node, incarnation, from }) =>
            node === log.node && incarnation === log.incarnation && from <= next,
        )
        .map(({ to }) => to ?? next);
      next = Math.max(next, ...here.filter((to) => to < log.sequence)) + 1;
    }
  }
}

async function exportLogs(journal: LevelJournal, isRedacted: boolean, output: Output): Promise<void> {
  throwDamage(journal.damage());
  for await (const lines of exportLines(journal, isRedacted)) await output.out(lines);
}

async function verify(journal: LevelJournal, options: VerifyOptions, output: Output): Promise<void> {
  await journal.verified;
  const damage = journal.damage();
  const { eventCount, logs, findings } = await verifyReadable(journal, damage, trustedKeys(options.keys));
  const all = [...damage.map(({ code, message }) => ({ code, message })), ...findings];
  const decisions =
    options.decisions && all.length === 0
      ? verifyDecisions(await wholeLogs(journal), {
          base: causalBaseOf(journal.archived()),
          state: () => standingOf(journal.archived()).state,
        })
      : undefined;
  all.push(...(decisions?.findings ?? []));
  const { decisionCount } = decisions ?? {};
  if (options.json)
    await output.out(
      `${JSON.stringify({ ok: all.length === 0, eventCount, decisionCount, logs, findings: all })}\n`,
    );
  else if (all.length === 0) {
    const alsoDecisions = decisionCount === undefined ? '' : ` and ${decisionCount} decisions`;
    await output.out(`${eventCount} events in ${logs.length} logs${alsoDecisions} verify\n`);
  }
  throwDamage(all);
}

async function verifyFiles(files: readonly string[], options: VerifyOptions, output: Output): Promise<void> {
  if (options.decisions)
    throw new Exit(
      exitCodes.usage,
      '--decisions goes with --data: import the export into an empty directory',
    );
  const { verification, redactedCount } = await verifyExport(files, trustedKeys(options.keys));
  const { eventCount, logs, findings } = verification;
  if (options.json)
    await output.out(
      `${JSON.stringify({ ok: findings.length === 0, eventCount, redactedCount, logs, findings })}\n`,
    );
  else if (findings.length === 0) {
    const redacted = redactedCount === 0 ? '' : `, ${redactedCount} of them redacted,`;
    await output.out(`${eventCount} events${redacted} in ${logs.length} logs verify\n`);
  }
  throwDamage(findings);
}

/** Errors: usage. */
function trustedKeys(file: string | undefined): ReadonlyMap<string, ReadonlySet<string>> | undefined {
  if (file === undefined) return undefined;
  if (!existsSync(file)) throw new Exit(exitCodes.usage, `there is no file ${file}`);
  const keys = new Map<string, Set<string>>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.trim() === '') continue;
    const [, node = '', key = ''] = /^(\S+) ([0-9a-f]{64})$/.exec(line) ?? [];
    if (node === '')
      throw new Exit(exitCodes.usage, `a line of ${file} is not NODE PUBLICKEY: ${shortened(line)}`);
    keys.set(node, (keys.get(node) ?? new Set()).add(key));
  }
  return keys;
}

async function wholeLogs(journal: Journal): Promise<Map<string, EventEnvelope[]>> {
  const logs = new Map<string, EventEnvelope[]>();
  for await (const events of journal.replay())
    for (const event of events) {
      const log = logs.get(event.node);
      if (log === undefined) logs.set(event.node, [event]);
      else log.push(event);
    }
  return logs;
}

/** Logs without damage; what others claim of a damaged one is settled when it is repaired. */
async function verifyReadable(
  journal: LevelJournal,
  damage: readonly Damage[],
  trusted: ReadonlyMap<string, ReadonlySet<string>> | undefined,
): Promise<Verification> {
  const verifier = new Verifier({ trusted });
  if (damage.length === 0) for (const head of journal.signedHeads()) verifier.takeHead(head);
  const archived = journal.archived();
  if (archived !== null) verifier.takeBase(archived);
  for (const log of journal.logs()) {
    if (damage.some(({ node, incarnation }) => node === log.node && incarnation === log.incarnation))
      continue;
    const from = floorOf(archived, log.node, log.incarnation)?.sequence ?? 1;
    for await (const events of journal.read({ ...log, from, to: log.sequence }))
      for (const event of events) verifier.take(event);
  }
  const { findings, ...counts } = verifier.finish();
  return { ...counts, findings: damage.length === 0 ? findings : [] };
}
