import { bytesText } from '../../projections/status-text.ts';
import { howToAskAgain } from './client.ts';
import type { Reply } from './reply.ts';

/** A reply for people: what became of it, why not, and what can be done. */
export interface ReplyContext {
  /** What was asked, e.g. `switchover datarep-ext3 adam`. */
  readonly what: string;
  /** The same command with the loss accepted. */
  readonly accepting: (token: string) => string;
  /** By id: what an event says, as far as it is known here. */
  readonly sentences: ReadonlyMap<string, string>;
}

export function replyText(reply: Reply, context: ReplyContext): string {
  if (reply.refusal !== undefined) return refusalText(reply, reply.refusal, context);
  if (reply.plan !== undefined) return planText(reply, context);
  if (reply.ok) return doneText(reply, context);
  return failureText(reply, context);
}

function doneText({ decider, events = [] }: Reply, { what, sentences }: ReplyContext): string {
  const by = decider === undefined ? '' : ` (decided by ${decider})`;
  const told = events.flatMap((id) => {
    const sentence = sentences.get(id);
    return sentence === undefined ? [] : [`  ${id}  ${sentence}`];
  });
  return [`done: ${what}${by}`, ...told].join('\n');
}

function refusalText(
  reply: Reply,
  { code, message, allowed, because }: NonNullable<Reply['refusal']>,
  context: ReplyContext,
): string {
  const loss = lossLines(reply, context);
  // Rule 23's refusal has the loss in its sentence already, and a shorter form of the command that accepts it.
  const told = reply.loss !== undefined && message.includes(reply.loss.text) ? loss.slice(1) : loss;
  const others = allowed.filter((what) => loss.length === 0 || !what.includes('--accept-loss'));
  return [
    `refused: ${code}`,
    `  ${message}`,
    ...others.map((what) => `  allowed: ${what}`),
    ...because.map((id) => `  because: ${[id, context.sentences.get(id)].filter(Boolean).join('  ')}`),
    ...told,
  ].join('\n');
}

function lossLines({ loss, token }: Reply, { accepting }: ReplyContext): string[] {
  if (loss === undefined) return [];
  const accept = token == null ? [] : [`  to accept that: ${accepting(token)}`];
  return [`  would be lost: ${loss.text}`, ...accept];
}

/** `--dry-run`: what would follow, and nothing has. */
function planText(reply: Reply, context: ReplyContext): string {
  const { decider, events = [], plan = [] } = reply;
  const by = decider === undefined ? '' : `, ${decider} would decide it`;
  return [
    `would be allowed: ${context.what}${by}; nothing has been done`,
    ...events.map((type) => `  ${type} would be journaled`),
    ...plan.map((resync) => `  ${resyncSentence(resync)}`),
    ...(plan.length === 0 ? ['  no resync would follow'] : []),
    ...lossLines(reply, context),
  ].join('\n');
}

function resyncSentence({ source, target, kind, bytes }: NonNullable<Reply['plan']>[number]): string {
  const size =
    bytes === null
      ? 'what the two have changed since'
      : bytes === 0
        ? 'nothing that is known of now'
        : bytesText(bytes);
  return `a ${kind} resync ${source} -> ${target} would follow: ${size}`;
}

function failureText({ error, message, commandId }: Reply, { what }: ReplyContext): string {
  const why = message ?? 'the agent gave no reason';
  switch (error) {
    case 'unreachable':
      return `unreachable: ${why}; nothing has been done`;
    case 'outcome-unknown': {
      const again = commandId === undefined || why.includes(commandId) ? '' : `; ${howToAskAgain(commandId)}`;
      return `outcome unknown: ${why}${again}`;
    }
    case 'failed':
    case undefined:
      return `failed: ${what}: ${why}`;
    default:
      return error satisfies never;
  }
}
