import fc from 'fast-check';
import type { CausalFacts } from '../../domain/causal-base.ts';
import { CausalOrder } from '../../domain/causality.ts';
import type { SeenHead } from '../../domain/envelope.ts';

export interface Told extends CausalFacts {
  readonly time: number;
}

export const name = ({ node, incarnation, sequence }: CausalFacts) => `${node}/${incarnation}/${sequence}`;
export const names = (events: readonly Told[]) => events.map(name);
export const order = () => new CausalOrder<Told>((event) => event);

export function told(
  id: string,
  { after = [], epoch = null, subject = 'datarep-ext3', time = 0 }: TellOptions = {},
): Told {
  const [node = '', incarnation, sequence] = id.split('/');
  return {
    ...position(node, Number(incarnation), Number(sequence)),
    seen: after.map(seen),
    epoch,
    subject,
    time,
  };
}

interface TellOptions {
  readonly after?: readonly string[];
  readonly epoch?: number | null;
  readonly subject?: string | null;
  readonly time?: number;
}

const position = (node: string, incarnation: number, sequence: number) => ({ node, incarnation, sequence });

function seen(id: string): SeenHead {
  const [node = '', incarnation, sequence] = id.split('/');
  return { ...position(node, Number(incarnation), Number(sequence)), hash16: '0'.repeat(16) };
}

/** Nodes that write, and now and then take over what another has ordered: logs as a cluster makes them. */
export function history(turns: readonly Turn[]): Told[] {
  const nodes = ['adam', 'boris', 'clara', 'dora'];
  const views = new Map(nodes.map((node) => [node, order()]));
  const written: Told[] = [];
  for (const [time, { writer, hears, epoch, subject }] of turns.entries()) {
    const node = nodes[writer % nodes.length] ?? 'adam';
    const view = views.get(node);
    const other = views.get(nodes[hears % nodes.length] ?? 'adam');
    if (view === undefined || other === undefined) continue;
    const before = view.heads;
    if (other !== view) view.add(other.events());
    const news = Object.entries(view.heads).filter(
      ([log, head]) => log !== node && head.sequence !== (before[log]?.sequence ?? 0),
    );
    const event: Told = {
      ...position(node, 1, (view.heads[node]?.sequence ?? 0) + 1),
      seen: news.map(([log, head]) => ({ node: log, ...head, hash16: '0'.repeat(16) })),
      epoch,
      subject,
      time,
    };
    view.add([event]);
    written.push(event);
  }
  return written;
}

interface Turn {
  readonly writer: number;
  readonly hears: number;
  readonly epoch: number | null;
  readonly subject: string | null;
}

export const turns = fc.array(
  fc.record({
    writer: fc.nat(3),
    hears: fc.nat(3),
    epoch: fc.option(fc.integer({ min: 1, max: 4 }), { freq: 3 }),
    subject: fc.constantFrom('datarep-ext3', 'datarep-xfs', null),
  }),
  { maxLength: 40, size: 'max' },
);
