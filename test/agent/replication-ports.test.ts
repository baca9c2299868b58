import { describe, expect, it } from 'vitest';
import { ReplicationPorts } from '../../adapters/agent/replication-ports.ts';
import { emptyState } from '../../domain/state.ts';
import { Tag } from '../../domain/vocabulary.ts';
import { created, eve, fold, joined } from '../domain/given.ts';

const [t1, t2, t3] = ['t1', 't2', 't3'].map((name) => Tag.parse(name)) as [Tag, Tag, Tag];

function portsOf(first: number, last: number) {
  let nowMs = 0;
  const ports = new ReplicationPorts(eve, { first, last }, { nowMs: () => nowMs });
  return { ports, pass: (ms: number) => (nowMs += ms) };
}

describe('replication ports', () => {
  it('two commands at once get two ports, a repeated one the same', () => {
    const { ports } = portsOf(7800, 7899);
    expect(ports.portFor(t1, emptyState())).toBe(7800);
    expect(ports.portFor(t2, emptyState())).toBe(7801);
    expect(ports.portFor(t1, emptyState())).toBe(7800);
  });

  it('that a replica of this node has are not given again', () => {
    const state = fold([...joined(eve), created({ replication: { host: '127.0.0.1', port: 7800 } })]);
    expect(portsOf(7800, 7899).ports.portFor(t1, state)).toBe(7801);
  });

  it('are free again when nothing came of it; and there may be none', () => {
    const { ports, pass } = portsOf(7800, 7801);
    expect([t1, t2, t3].map((tag) => ports.portFor(tag, emptyState()))).toEqual([7800, 7801, undefined]);
    pass(120_001);
    expect(ports.portFor(t3, emptyState())).toBe(7800);
  });
});
