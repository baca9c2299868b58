import { z } from 'zod';
import {
  type Command,
  CommandHeader,
  isOperatorCommand,
  type OperatorCommandName,
  operatorCommandNames,
  operatorCommands,
} from '../../domain/commands.ts';
import type { Plan } from '../../domain/dry-run.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import { type Refusal, refuse } from '../../domain/refusals.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { type CommandLoop, commandDigest, type Executed } from '../../journal/execute.ts';
import { BusError } from '../bus/bus.ts';
import type { CommandReply, IssuedCommand } from '../bus/messages.ts';
import { CommandToken } from '../bus/subjects.ts';
import { type AgentContext, silenceMs } from './context.ts';
import { type Addressed, deciderOf } from './decider.ts';
import { type Change, type History, toEvent } from './history.ts';
import { planThen } from './plan-then.ts';
import { answerQuery, type Known, queryNames } from './queries.ts';
import type { WholeOrder } from './whole-order.ts';

/** A switchover drains and may copy intent logs; a command that takes longer is asked after by its id. */
const commandTimeoutMs = 120_000;

/** For whoever counts and measures. */
export interface Answered {
  readonly command: OperatorCommandName;
  readonly outcome: 'done' | 'refused' | 'failed';
  readonly durationMs: number;
}

type Ended = { readonly ok: true } | { readonly ok: false; readonly why: string };

/**
 * Commands of people (REQUIREMENTS 5, Bus): checked at this edge, forwarded once to the node that decides, decided,
 * and answered at their terminal event.
 */
export class CommandIntake {
  readonly #context: AgentContext;
  readonly #loop: CommandLoop;
  readonly #known: Known;
  readonly #history: History;
  readonly #past: WholeOrder;
  /** By command id: everybody who waits for its end; a repeated command may come while the first one runs. */
  readonly #waiting = new Map<string, Set<(ended: Ended) => void>>();

  readonly #answered = new Set<(answered: Answered) => void>();

  /** Commands about tags that are not known here yet. */
  readonly #listening = new Set<{ readonly isOver: () => boolean; readonly resolve: () => void }>();

  constructor(context: AgentContext, loop: CommandLoop, known: Known) {
    this.#context = context;
    this.#loop = loop;
    this.#known = known;
    this.#history = known.history;
    this.#past = known.past;
  }

  start(): void {
    const { bus } = this.#context;
    const endpoints = [...operatorCommandNames, ...queryNames].map((name) => ({
      command: CommandToken.parse(name),
      ...(isOperatorCommand(name)
        ? {
            schema: JSON.stringify(
              z.toJSONSchema(operatorCommands[name], { unrepresentable: 'any', io: 'input' }),
            ),
          }
        : {}),
    }));
    bus.serveCommands(endpoints, (issued) => this.handle(issued, commandTimeoutMs));
    bus.serveForwarded((issued) => this.#here(issued, commandTimeoutMs));
  }

  onAnswered(watcher: (answered: Answered) => void): void {
    this.#answered.add(watcher);
  }

  async handle(issued: IssuedCommand, timeoutMs: number): Promise<CommandReply> {
    const { clock } = this.#context;
    const beganMs = clock.nowMs();
    const reply = await this.#handle(issued, timeoutMs);
    if (isOperatorCommand(issued.command)) {
      const outcome = reply.ok ? 'done' : reply['refusal'] === undefined ? 'failed' : 'refused';
      const answered = { command: issued.command, outcome, durationMs: clock.nowMs() - beganMs } as const;
      for (const watcher of this.#answered) watcher(answered);
    }
    return reply;
  }

  async #handle(issued: IssuedCommand, timeoutMs: number): Promise<CommandReply> {
    // Checked before its words become an address.
    if (isOperatorCommand(issued.command)) {
      const parsed = parseCommand(issued);
      if ('refusal' in parsed) return this.#invalid(issued, parsed.refusal);
      if (parsed.command.asOf !== undefined) return this.#then(parsed.command);
    }
    await this.#hearsOf(issued);
    const decider = this.#decider(issued);
    if (decider === this.#context.options.node) return this.#here(issued, timeoutMs);
    // Another node can answer a query too: nobody waits long for one that does not.
    const patienceMs = isOperatorCommand(issued.command) ? timeoutMs : silenceMs(this.#context.options);
    try {
      return await this.#context.bus.forward(decider, issued, Math.min(timeoutMs, patienceMs));
    } catch (error) {
      return await this.#unreachable(issued, decider, error);
    }
  }

  /** A tag that is not known here may have been created elsewhere a moment ago: its history is on its way. */
  async #hearsOf({ command, body }: IssuedCommand): Promise<void> {
    const { clock, options } = this.#context;
    const { tag } = body;
    const isKnown = () => typeof tag !== 'string' || this.#history.state.resources[tag] !== undefined;
    if (!isOperatorCommand(command) || command === 'create' || isKnown()) return;
    await new Promise<void>((resolve) => {
      const wait = { isOver: isKnown, resolve };
      this.#listening.add(wait);
      clock.after(options.heartbeatMs, () => {
        this.#listening.delete(wait);
        resolve();
      });
    });
  }

  #decider({ command, body }: IssuedCommand): NodeName {
    const { options } = this.#context;
    const { state } = this.#history;
    if (command === 'status' && typeof body['tag'] === 'string') {
      const reign = state.resources[body['tag']]?.reigns[0]?.node;
      return reign !== undefined && state.nodes[reign]?.alive ? reign : options.node;
    }
    if (command === 'bitmap-examine') {
      const node = NodeName.safeParse(body['node']);
      return node.success && state.nodes[node.data] ? node.data : options.node;
    }
    if (!isOperatorCommand(command)) return options.node;
    return deciderOf(state, command, body as Addressed, options.node);
  }

  async #unreachable(issued: IssuedCommand, decider: NodeName, error: unknown): Promise<CommandReply> {
    if (issued.command === 'status') return await answerQuery(this.#known, this.#context, issued);
    const unknown = error instanceof BusError && error.mayHaveHappened;
    return {
      ok: false,
      commandId: issued.body.id,
      decider,
      events: [],
      error: unknown ? 'outcome-unknown' : 'unreachable',
      message: unknown
        ? `${decider} took the command and did not answer; ask again with: mirrorkeeper command ${issued.body.id}`
        : `${decider} decides this, and cannot be reached (${error instanceof Error ? error.message : error})`,
    };
  }

  /** Decided by this node. */
  async #here(issued: IssuedCommand, timeoutMs: number): Promise<CommandReply> {
    if (!isOperatorCommand(issued.command)) return answerQuery(this.#known, this.#context, issued);
    const parsed = parseCommand(issued);
    if ('refusal' in parsed) return this.#invalid(issued, parsed.refusal);
    const { command } = parsed;
    const ended = this.#ending(command.id);
    try {
      const executed = await this.#loop.execute(command);
      if (executed.kind === 'accepted') {
        const unmarked = await this.#markBitmaps(command);
        if (unmarked !== null) return this.#failed(command, unmarked);
        await this.#pauseMirrors(command);
      }
      return await this.#reply(command, executed, ended.promise, timeoutMs);
    } catch (error) {
      const message = `the journal did not take it (${error instanceof Error ? error.message : error}); nobody knows yet whether it counts`;
      return {
        ok: false,
        commandId: command.id,
        decider: this.#context.options.node,
        events: [],
        error: 'outcome-unknown',
        message,
      };
    } finally {
      ended.forget();
    }
  }

  #invalid(issued: IssuedCommand, refusal: Refusal): CommandReply {
    return this.#refused(issued.body.id, { kind: 'refused', refusal, id: null });
  }

  #failed(command: Command, why: string, events: readonly string[] = []): CommandReply {
    const decider = this.#context.options.node;
    return { ok: false, commandId: command.id, decider, events: [...events], error: 'failed', message: why };
  }

  /** I19: the event that says so is durable before the intent logs are. Resolves with why it could not be done. */
  async #markBitmaps(command: Command): Promise<string | null> {
    if (command.command !== 'bitmap-mark-clean' && command.command !== 'bitmap-mark-dirty') return null;
    const { tag, node, peer } = command;
    const order = command.command === 'bitmap-mark-clean' ? 'mark-clean' : 'mark-dirty';
    const replicas = this.#history.state.resources[tag]?.replicas ?? {};
    const peers = peer === undefined ? Object.values(replicas).map((replica) => replica.node) : [peer];
    try {
      for (const other of peers)
        if (other !== node) await this.#context.engines.order(tag, { order, peer: other });
      // A baseline: what changes from here on is tracked for copies that are yet to come.
      if (peer === undefined && order === 'mark-clean') await this.#context.engines.order(tag, { order });
      return null;
    } catch (error) {
      return `the engine did not mark it: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** Rule 17, at once: what is written after the reply does not reach the target. Where the engine is gone, the intent does it. */
  async #pauseMirrors(command: Command): Promise<void> {
    if (command.command !== 'pause') return;
    const { tag } = command;
    const mirrors = Object.values(this.#history.state.resources[tag]?.mirrors ?? {});
    await Promise.all(
      mirrors.map(async ({ target: peer, paused }) => {
        if (paused === null) return;
        const order = { order: 'pause', peer, reason: paused.reason } as const;
        await this.#context.engines.order(tag, order).catch(() => undefined);
      }),
    );
  }

  async #reply(
    command: Command,
    executed: Executed,
    ended: Promise<Ended>,
    timeoutMs: number,
  ): Promise<CommandReply> {
    const decider = this.#context.options.node;
    if (executed.kind === 'refused') return this.#refused(command.id, executed);
    if (executed.kind === 'planned') return this.#planned(command.id, decider, executed);
    const events = executed.events.map(({ id }) => id);
    const outcome =
      (await this.#endOf(executed.events, command.id)) ?? (await this.#inTime(ended, timeoutMs));
    if (outcome === 'timeout') {
      const message = `it goes on; ask again with: mirrorkeeper command ${command.id}`;
      return { ok: false, commandId: command.id, decider, events, error: 'outcome-unknown', message };
    }
    return outcome.ok
      ? { ok: true, commandId: command.id, decider, events }
      : this.#failed(command, outcome.why, events);
  }

  /** Nothing is journaled of it, and nothing is forwarded: the past is the same at every agent. */
  async #then(command: Command): Promise<CommandReply> {
    const { plan, decider } = await planThen(this.#context, this.#past, command);
    return plan.kind === 'planned'
      ? this.#planned(command.id, decider, plan)
      : { ...this.#refused(command.id, { ...plan, id: null }), decider };
  }

  #planned(
    commandId: string,
    decider: NodeName,
    { events, resyncs, loss, token }: Extract<Plan, { kind: 'planned' }>,
  ): CommandReply {
    const plan = resyncs.map(({ source, target, kind, bytes }) => ({ source, target, kind, bytes }));
    const types = events.map(({ type }) => type);
    return { ok: true, commandId, decider, events: types, plan, ...(loss ? { loss, token } : {}) };
  }

  #refused(
    id: string,
    { refusal, loss, token, id: eventId }: Extract<Executed, { kind: 'refused' }>,
  ): CommandReply {
    return {
      ok: false,
      commandId: id,
      decider: this.#context.options.node,
      events: eventId === null ? [] : [eventId],
      refusal: { id: eventId ?? id, ...refusal },
      ...(loss ? { loss, token } : {}),
    };
  }

  /** The end may have come before it was sent again. */
  async #endOf(events: readonly EventEnvelope[], id: string): Promise<Ended | undefined> {
    const outcome = this.#history.state.commands[id]?.outcome;
    const ended = endAmong(events.map(toEvent), id);
    if (ended !== undefined || outcome === 'running') return ended;
    return endAmong(await this.#past.ofCommand(id), id);
  }

  /** Resolves at the terminal event of the command, whoever wrote it. */
  #ending(id: string): { promise: Promise<Ended>; forget: () => void } {
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting);
    let told: (ended: Ended) => void = () => {};
    const promise = new Promise<Ended>((resolve) => {
      told = resolve;
    });
    waiting.add(told);
    const forget = () => {
      waiting.delete(told);
      if (waiting.size === 0) this.#waiting.delete(id);
    };
    return { promise, forget };
  }

  changed({ events }: Change): void {
    for (const event of events) this.#terminal(event);
    for (const wait of this.#listening) {
      if (!wait.isOver()) continue;
      this.#listening.delete(wait);
      wait.resolve();
    }
  }

  #terminal(event: AnyEvent): void {
    if (event.type === 'command.completed') this.#tell(event.data.commandId, { ok: true });
    if (event.type === 'command.failed') this.#tell(event.data.commandId, { ok: false, why: event.data.why });
  }

  #tell(id: string, ended: Ended): void {
    for (const told of this.#waiting.get(id) ?? []) told(ended);
  }

  #inTime(ended: Promise<Ended>, timeoutMs: number): Promise<Ended | 'timeout'> {
    return new Promise((resolve) => {
      const timer = this.#context.clock.after(timeoutMs, () => resolve('timeout'));
      void ended.then((outcome) => {
        timer.cancel();
        resolve(outcome);
      });
    });
  }
}

function endAmong(events: readonly AnyEvent[], id: string): Ended | undefined {
  for (const event of events) {
    if (event.type === 'command.failed' && event.data.commandId === id)
      return { ok: false, why: event.data.why };
    if (event.type === 'command.completed' && event.data.commandId === id) return { ok: true };
  }
  return undefined;
}

/** Names, shapes and sizes are checked here and trusted inside. */
function parseCommand(issued: IssuedCommand): { readonly command: Command } | { readonly refusal: Refusal } {
  const { actor, body } = issued;
  const name: string = issued.command;
  if (!isOperatorCommand(name)) return { refusal: refuse('invalid-request', `there is no command ${name}`) };
  const schema = z.strictObject({ ...CommandHeader.shape, ...operatorCommands[name].shape });
  const parsed = schema.safeParse(body);
  if (!parsed.success)
    return { refusal: refuse('invalid-request', z.prettifyError(parsed.error).replaceAll('\n', ' ')) };
  if (parsed.data.asOf !== undefined && !parsed.data.dryRun)
    return { refusal: refuse('invalid-request', 'asOf goes with dryRun: the past cannot be changed') };
  return {
    command: {
      ...parsed.data,
      command: name,
      actor,
      digest: commandDigest([name, body]),
    } as unknown as Command,
  };
}
