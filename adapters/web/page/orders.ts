import type { StatusView } from '../../../projections/status.ts';
import { authorization } from './operator.tsx';

/** A reply as REQUIREMENTS 5 writes it down. */
export interface Reply {
  readonly ok: boolean;
  readonly commandId: string;
  readonly decider?: string;
  readonly events: readonly string[];
  readonly refusal?: {
    readonly code: string;
    readonly message: string;
    readonly allowed: readonly string[];
    readonly because: readonly string[];
  };
  readonly loss?: { readonly text: string; readonly writes: number | null; readonly bytes: number | null };
  readonly token?: string;
  readonly plan?: ReadonlyArray<{
    readonly source: string;
    readonly target: string;
    readonly kind: string;
    readonly bytes: number | null;
  }>;
  readonly error?: string;
  readonly message?: string;
}

/** What an operator can order of a resource from the page, and what has to be named for it. */
export interface Order {
  readonly label: string;
  readonly command: string;
  /** The argument that names a node, and the nodes it can be; null: none. */
  readonly argument: {
    readonly name: 'node' | 'target' | 'victim';
    readonly nodes: readonly string[];
  } | null;
  readonly fixed: Readonly<Record<string, unknown>>;
}

/** Those that make sense in this state; the decider judges them anew. */
export function ordersFor(status: StatusView): readonly Order[] {
  const nodes = status.nodes.map(({ node }) => node);
  const others = nodes.filter((node) => node !== status.source);
  const targets = status.mirrors.map(({ target }) => target);
  const paused = status.mirrors.filter((mirror) => mirror.status === 'paused').map(({ target }) => target);
  const running = targets.filter((target) => !paused.includes(target));
  const order = (
    label: string,
    command: string,
    argument: Order['argument'] = null,
    fixed: Order['fixed'] = {},
  ) => ({
    label,
    command,
    argument,
    fixed,
  });
  switch (status.state) {
    case 'split-brain':
    case 'conflicted':
      return [
        order('Resolve the split brain', 'resolve-split-brain', {
          name: 'victim',
          nodes: status.sources,
        }),
      ];
    case 'awaiting-confirmation':
      return [
        order('Confirm the failover', 'confirm-failover'),
        order('Block the failover', 'confirm-failover', null, { block: true }),
        order('Force online', 'force-online', { name: 'node', nodes }),
      ];
    case 'blocked':
    case 'out-of-service':
      return [
        order('Put in service', 'in-service', { name: 'node', nodes }),
        order('Fail over', 'failover', { name: 'node', nodes: others }),
        order('Force online', 'force-online', { name: 'node', nodes }),
      ];
    case 'in-service':
    case 'degraded':
    case 'frozen':
      return [
        ...(others.length > 0 ? [order('Switch over', 'switchover', { name: 'node', nodes: others })] : []),
        ...(others.length > 0 ? [order('Fail over', 'failover', { name: 'node', nodes: others })] : []),
        ...(running.length > 0 ? [order('Pause a mirror', 'pause', { name: 'target', nodes: running })] : []),
        ...(paused.length > 0 ? [order('Resume a mirror', 'resume', { name: 'target', nodes: paused })] : []),
        ...(targets.length > 0
          ? [order('Full resync', 'full-resync', { name: 'target', nodes: targets })]
          : []),
        order('Take out of service', 'out-of-service'),
      ];
    default:
      return status.state satisfies never;
  }
}

/** The arguments of the order as the bus takes them. */
export function bodyOf(
  tag: string,
  { argument, fixed }: Order,
  node: string,
  reason: string,
): Record<string, unknown> {
  const named =
    argument === null ? {} : argument.name === 'target' ? { targets: [node] } : { [argument.name]: node };
  return { tag, ...named, ...fixed, ...(reason === '' ? {} : { reason }) };
}

/** Errors: a sentence. */
export async function send(command: string, body: Readonly<Record<string, unknown>>): Promise<Reply> {
  const id = `web-${crypto.randomUUID()}`;
  const response = await fetch('/api/command', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization() },
    body: JSON.stringify({ command, body: { id, ...body } }),
  });
  const reply = (await response.json()) as Reply & { readonly error?: string };
  if (!response.ok) throw new Error(reply.error ?? `the agent answered ${response.status}`);
  return reply;
}
