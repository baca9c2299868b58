import { hash as digest } from 'node:crypto';
import { causeOf } from '../domain/cause.ts';
import type { Command } from '../domain/commands.ts';
import { tagOf } from '../domain/commands.ts';
import { type Decision, decide } from '../domain/decide.ts';
import { dryRun, type Plan } from '../domain/dry-run.ts';
import { type EventEnvelope, envelopeType } from '../domain/envelope.ts';
import { event, eventSchemas, type Loss, type NewEvent } from '../domain/events.ts';
import type { Facts } from '../domain/facts.ts';
import { type Refusal, refuse } from '../domain/refusals.ts';
import type { ClusterState } from '../domain/state.ts';
import { canonicalJson } from './canonical-json.ts';
import type { EventDraft, Journal } from './journal.ts';

/** What became of a command. `write-failed` of the journal is thrown: then nobody knows yet (exit code 4). */
export type Executed =
  | { readonly kind: 'accepted'; readonly events: readonly EventEnvelope[] }
  | {
      readonly kind: 'refused';
      readonly refusal: Refusal;
      /** With `loss-not-accepted` (rule 23). */
      readonly loss?: Loss | undefined;
      readonly token?: string | undefined;
      /** Id of the journaled refusal; null where it was only counted, or nothing can be journaled. */
      readonly id: string | null;
    }
  | Extract<Plan, { kind: 'planned' }>;

export interface ExecuteContext {
  readonly journal: Pick<Journal, 'append' | 'damage' | 'ofCommand'>;
  /** Folded from every event that is durable, own appends included, when `append` resolves. */
  readonly state: () => ClusterState;
  /** While that does not hold, because the past is folded anew: resolves when it does again. */
  readonly settled: () => Promise<void> | undefined;
  /** What the rules of this command need to know beside the history. */
  readonly factsFor: (command: Command, state: ClusterState) => Promise<Facts>;
}

/** A hash of a command as it came, name and body: tells a repeated one from another with its id (rule 22). */
export const commandDigest = (command: unknown): string => digest('sha256', canonicalJson(command), 'hex');

/** Replies kept in memory; older ones are found in the journal. */
const repliesMax = 1000;

/**
 * The command loop. For each command, one after the other for each resource:
 *
 * 1. a command that was executed before gets the reply it got (rule 22), however long ago: what the state does not hold
 *    any more is looked up in the journal;
 * 2. facts are asked for, and the command is decided upon the state and these facts;
 * 3. events, or the refusal, become durable *before* any effect and before the reply (DESIGN 2);
 * 4. the reply.
 */
export class CommandLoop {
  readonly #context: ExecuteContext;
  readonly #replies = new Map<string, { digest: string; reply: Promise<Executed> }>();
  readonly #refusals = new RefusalCounter();
  /** By tag; '' for commands about nodes. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(context: ExecuteContext) {
    this.#context = context;
  }

  /** Errors: `write-failed`. */
  execute(command: Command): Promise<Executed> {
    if (command.dryRun) return this.#plan(command);
    const known = this.#replies.get(command.id);
    if (known?.digest === command.digest) return known.reply;
    const reply = this.#inTurn(tagOf(command) ?? '', () => this.#execute(command));
    if (known === undefined) this.#remember(command, reply);
    return reply;
  }

  async #execute(command: Command): Promise<Executed> {
    const { journal, state, factsFor } = this.#context;
    await this.#settled();
    // 1. What was executed before.
    if (state().commands[command.id]?.digest === command.digest) return replyOf(await this.#earlier(command));
    // 2. The decision.
    const isLookedUp = isOfPerson(command) && state().commands[command.id] === undefined;
    const [asked, earlier] = await Promise.all([
      factsFor(command, state()),
      isLookedUp ? this.#earlier(command) : [],
    ]);
    if (digestOf(earlier, command.id) === command.digest) return replyOf(earlier);
    await this.#settled();
    const facts = { ...asked, journalDamaged: journal.damage().length > 0 };
    const isTaken = earlier.length > 0 || this.#isIdTaken(command);
    const decision = isTaken ? idTaken(command) : decide(state(), command, facts);
    const cause = causeOf(state(), command, facts.self) ?? undefined;
    // 3. Durable before anything else.
    if (decision.kind === 'refused') return await this.#refuse(command, facts, cause, decision);
    return { kind: 'accepted', events: await journal.append(drafts(decision.events, command, facts, cause)) };
  }

  async #settled(): Promise<void> {
    const { settled } = this.#context;
    for (let settling = settled(); settling !== undefined; settling = settled()) await settling;
  }

  async #refuse(
    command: Command,
    facts: Facts,
    cause: string | undefined,
    { refusal, loss, token }: Extract<Decision, { kind: 'refused' }>,
  ): Promise<Executed> {
    const count = facts.journalDamaged ? 0 : this.#refusals.count(command, refusal);
    if (count === 0) return { kind: 'refused', refusal, loss, token, id: null };
    const refused = event('command.refused', tagOf(command), {
      commandId: command.id,
      digest: command.digest,
      command: command.command,
      ...refusal,
      allowed: [...refusal.allowed],
      because: [...refusal.because],
      count,
    });
    const [stored] = await this.#context.journal.append(
      drafts([refused], command, facts, cause, { loss, token }),
    );
    return { kind: 'refused', refusal, loss, token, id: stored?.id ?? null };
  }

  async #plan(command: Command): Promise<Executed> {
    const { journal, state, factsFor } = this.#context;
    const facts = { ...(await factsFor(command, state())), journalDamaged: journal.damage().length > 0 };
    const plan = dryRun(state(), command, facts);
    return plan.kind === 'planned' ? plan : { ...plan, id: null };
  }

  /** Events of the first command with that id: that another one was refused for it is none of its own. */
  async #earlier({ id }: Command): Promise<readonly EventEnvelope[]> {
    const events = await this.#context.journal.ofCommand(id);
    return events.filter(({ data }) => data['code'] !== 'command-id-reused');
  }

  /** By another command that may still be under way: the state does not know it yet. */
  #isIdTaken({ id, digest: its }: Command): boolean {
    const known = this.#replies.get(id);
    return known !== undefined && known.digest !== its;
  }

  #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(key, settled);
    void settled.then(() => {
      if (this.#turns.get(key) === settled) this.#turns.delete(key);
    });
    return turn;
  }

  /** What threw is not remembered: the command may be sent again, and then the journal tells. */
  #remember(command: Command, reply: Promise<Executed>): void {
    this.#replies.set(command.id, { digest: command.digest, reply });
    reply.catch(() => this.#replies.delete(command.id));
    for (const id of this.#replies.keys()) {
      if (this.#replies.size <= repliesMax) break;
      this.#replies.delete(id);
    }
  }
}

const idTaken = (command: Command): Decision => ({
  kind: 'refused',
  refusal: refuse('command-id-reused', `${command.id} was another command`, {
    allowed: ['the same command with a new id'],
  }),
});

/** The first event of a decision holds what it followed from, so that an auditor can decide again. */
function drafts(
  events: readonly NewEvent[],
  command: Command,
  facts: Facts,
  cause: string | undefined,
  reply: object = {},
): EventDraft[] {
  return events.map((one, index) => ({
    type: envelopeType(one.type, eventSchemas[one.type].version),
    subject: one.resource ?? undefined,
    actor: command.actor,
    reason: command.reason,
    command: one.command ?? command.id,
    cause,
    data: index === 0 ? { ...one.data, decision: { command, facts, ...reply } } : one.data,
  }));
}

/** Ids of policies and engines are never sent again by anybody who could not know. */
const isOfPerson = ({ actor }: Command): boolean => actor.via !== 'engine' && actor.via !== 'policy';

/** Of the command that these events came of; the decisions of others may have ended it. */
function digestOf(events: readonly EventEnvelope[], id: string): string | undefined {
  const decisions = events.map(({ data }) => data['decision'] as { command?: Partial<Command> } | undefined);
  return decisions.find((decision) => decision?.command?.id === id)?.command?.digest;
}

/** As the journal tells it: this process did not execute it, or has forgotten. */
function replyOf(events: readonly EventEnvelope[]): Executed {
  const refused = events.find(({ type }) => type.startsWith(envelopeType('command.refused', 1)));
  return refused === undefined ? { kind: 'accepted', events } : refusedReply(refused);
}

function refusedReply(stored: EventEnvelope): Executed {
  const { code, message, allowed, because, decision } = stored.data as unknown as Refusal & {
    readonly decision?: { readonly loss?: Loss; readonly token?: string };
  };
  const { loss, token } = decision ?? {};
  return { kind: 'refused', refusal: { code, message, allowed, because }, loss, token, id: stored.id };
}

/** Equal refusals are counted, not repeated (REQUIREMENTS 4): the 1st, 10th, 100th … of them is journaled. */
class RefusalCounter {
  readonly #counts = new Map<string, number>();

  /** How many equal refusals the event is to stand for; 0 where it is only counted. */
  count(command: Command, refusal: Refusal): number {
    const key = JSON.stringify([command.command, tagOf(command), command.actor.id, refusal.code]);
    const total = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.delete(key);
    this.#counts.set(key, total);
    for (const oldest of this.#counts.keys()) {
      if (this.#counts.size <= repliesMax) break;
      this.#counts.delete(oldest);
    }
    if (total === 1) return 1;
    return Number.isInteger(Math.log10(total)) ? total - total / 10 : 0;
  }
}
