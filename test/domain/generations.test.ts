import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareGenerations,
  type GenerationRecord,
  matchingRows,
  rows,
  type Verdict,
} from '../../domain/generations.ts';
import { Generation, NodeName } from '../../domain/vocabulary.ts';

const g = (n: number): Generation => Generation.parse(n.toString(16).padStart(16, '0'));
const [A, B, C] = ['adam', 'boris', 'clara'].map((name) => NodeName.parse(name)) as [
  NodeName,
  NodeName,
  NodeName,
];

const record = (node: NodeName, change: Partial<GenerationRecord> = {}): GenerationRecord => ({
  node,
  current: g(1),
  history: [],
  forced: null,
  base: null,
  peerOutOfSync: false,
  moved: false,
  intentLog: 'kept',
  logFrom: null,
  marked: false,
  inSync: true,
  consistent: true,
  resyncing: null,
  serving: false,
  crashedSource: false,
  epoch: 1,
  ...change,
});

type Change = Partial<GenerationRecord>;

/** Each row, with adam as the one that would be the source. */
const examples: readonly [row: string, adam: Change, boris: Change, Verdict][] = [
  [
    'a',
    { current: null, consistent: false },
    { current: null, consistent: false },
    { verdict: 'no-source', row: 'a' },
  ],
  ['b', { consistent: false }, { consistent: false }, { verdict: 'no-source', row: 'b' }],
  ['c', {}, { current: null, consistent: false }, resync('full', 'c')],
  [
    'd',
    { current: g(2), history: [g(1)], base: g(1), peerOutOfSync: true, moved: true },
    {
      consistent: false,
      inSync: false,
      resyncing: { source: A, kind: 'partial', base: g(1), generation: g(2) },
    },
    resync('partial', 'd'),
  ],
  [
    'd',
    { base: g(1), peerOutOfSync: true, moved: true },
    {
      current: null,
      consistent: false,
      resyncing: { source: A, kind: 'full', base: g(1), generation: g(1) },
    },
    resync('partial', 'd'),
  ],
  [
    'e',
    { current: g(2), history: [g(1)] },
    {
      consistent: false,
      inSync: false,
      resyncing: { source: A, kind: 'partial', base: g(1), generation: g(2) },
    },
    resync('partial', 'e'),
  ],
  [
    'e',
    { current: g(3), history: [g(2), g(1)], base: g(2), peerOutOfSync: true, moved: true },
    {
      consistent: false,
      inSync: false,
      resyncing: { source: A, kind: 'partial', base: g(1), generation: g(2) },
    },
    resync('partial', 'e'),
  ],
  [
    'f',
    { current: g(2), history: [g(1)], base: g(1), peerOutOfSync: true, moved: true },
    {
      consistent: false,
      inSync: false,
      resyncing: { source: C, kind: 'partial', base: g(1), generation: g(2) },
    },
    resync('partial', 'f'),
  ],
  [
    'g',
    {},
    {
      consistent: false,
      inSync: false,
      resyncing: { source: C, kind: 'partial', base: g(1), generation: g(2) },
    },
    resync('full', 'g'),
  ],
  ['h', {}, { current: g(2), history: [g(1)], consistent: false }, { verdict: 'no-source', row: 'h' }],
  ['i', {}, { current: g(9), consistent: false }, { verdict: 'unrelated', row: 'i' }],
  ['j', {}, {}, { verdict: 'in-sync', row: 'j' }],
  ['k', { crashedSource: true }, { inSync: false }, resync('partial', 'k')],
  ['l', { crashedSource: true, marked: true }, { marked: true }, resync('partial', 'l')],
  ['l', { crashedSource: true, epoch: 2 }, { crashedSource: true }, resync('partial', 'l')],
  ['l', { serving: true, epoch: 2 }, { crashedSource: true }, resync('partial', 'l')],
  ['l', { serving: true, epoch: 2 }, { crashedSource: true, intentLog: 'none' }, resync('full', 'l')],
  [
    'm',
    { current: g(2), history: [g(1)], base: g(1), peerOutOfSync: true, moved: true, serving: true },
    { current: g(2), history: [g(1)] },
    resync('partial', 'm'),
  ],
  ['n', { marked: true, serving: true, epoch: 2 }, {}, resync('partial', 'n')],
  ['n', { intentLog: 'invalid', serving: true }, {}, resync('full', 'n')],
  ['o', { current: g(2), history: [g(1)], base: g(1), moved: true }, {}, resync('partial', 'o')],
  [
    'o',
    { current: g(2), history: [g(1)], base: g(1), moved: true },
    { intentLog: 'none' },
    resync('full', 'o'),
  ],
  ['p', { current: g(2), history: [g(1)], base: g(1), moved: true, logFrom: C }, {}, resync('partial', 'p')],
  [
    'q',
    { current: g(3), history: [g(2), g(1)], base: g(1), moved: true },
    { current: g(2), history: [g(1)] },
    resync('partial', 'q'),
  ],
  ['r', { current: g(2), history: [g(1)] }, {}, resync('full', 'r')],
  ['r', { current: g(3), history: [g(2), g(1)], base: g(2), moved: true }, {}, resync('full', 'r')],
  [
    's',
    { current: g(2), history: [g(1)], base: g(1), moved: true },
    { current: g(3), history: [g(1)], base: g(1), crashedSource: true },
    resync('partial', 's'),
  ],
  [
    't',
    { current: g(2), history: [g(1)], base: g(1), moved: true },
    { current: g(3), history: [g(1)] },
    resync('full', 't'),
  ],
  [
    'u',
    { current: g(2), history: [g(1)], base: g(1), moved: true },
    { current: g(3), history: [g(1)], base: g(1), moved: true },
    { verdict: 'split-brain', since: 'common-parent', row: 'u' },
  ],
  [
    'v',
    { current: g(4), history: [g(2), g(1)], base: g(2), moved: true },
    { current: g(3), history: [g(1)], base: g(1), moved: true },
    { verdict: 'split-brain', since: 'older', row: 'v' },
  ],
  [
    'v',
    { current: g(2), history: [g(3)], moved: true },
    { current: g(3), history: [g(2)] },
    { verdict: 'split-brain', since: 'older', row: 'v' },
  ],
  [
    'w',
    {},
    { current: g(2), history: [g(1)], forced: g(2), base: g(1) },
    { verdict: 'split-brain', since: 'forced', row: 'w' },
  ],
  ['x', {}, { current: g(9) }, { verdict: 'unrelated', row: 'x' }],
];

function resync(kind: 'partial' | 'full', row: string): Verdict {
  return { verdict: 'resync', source: 'mine', kind, row };
}

const mirrored = (verdict: Verdict): Verdict =>
  verdict.verdict === 'resync'
    ? { ...verdict, source: verdict.source === 'mine' ? 'theirs' : 'mine' }
    : verdict;

/** Few generations, so that equal ones and ancestors are common; combinations that no run brings about included. */
const generation = fc.integer({ min: 1, max: 4 }).map(g);
const orNull = fc.option(generation, { freq: 3 });
const anyRecord = (node: NodeName): fc.Arbitrary<GenerationRecord> =>
  fc.record({
    node: fc.constant(node),
    current: orNull,
    history: fc.array(generation, { maxLength: 4 }),
    forced: fc.option(generation, { freq: 1 }),
    base: orNull,
    peerOutOfSync: fc.boolean(),
    moved: fc.boolean(),
    intentLog: fc.constantFrom('kept', 'none', 'invalid'),
    logFrom: fc.option(fc.constantFrom(A, B, C)),
    marked: fc.boolean(),
    inSync: fc.boolean(),
    consistent: fc.boolean(),
    resyncing: fc.option(
      fc.record({
        source: fc.constantFrom(A, B, C),
        kind: fc.constantFrom('partial', 'full'),
        base: orNull,
        generation,
      }),
    ),
    serving: fc.boolean(),
    crashedSource: fc.boolean(),
    epoch: fc.integer({ min: 0, max: 3 }),
  });

describe('the generation table', () => {
  it.each(examples)('row %s: %o against %o', (_row, adam, boris, verdict) => {
    expect(compareGenerations(record(A, adam), record(B, boris))).toEqual(verdict);
    expect(compareGenerations(record(B, boris), record(A, adam))).toEqual(mirrored(verdict));
  });

  it('every row has an example, a letter of its own and a sentence', () => {
    expect([...new Set(examples.map(([row]) => row))]).toEqual(rows.map(({ row }) => row));
    expect(new Set(rows.map(({ sentence }) => sentence)).size).toBe(rows.length);
  });

  it('exactly one row matches whatever two records say', () => {
    fc.assert(
      fc.property(anyRecord(A), anyRecord(B), (a, b) => {
        expect(matchingRows(a, b)).toHaveLength(1);
      }),
      { numRuns: 5000 },
    );
  });

  it('what one side concludes is the mirror image of what the other concludes', () => {
    fc.assert(
      fc.property(anyRecord(A), anyRecord(B), (a, b) => {
        expect(compareGenerations(b, a)).toEqual(mirrored(compareGenerations(a, b)));
      }),
      { numRuns: 5000 },
    );
  });

  it('a source is consistent and never stands behind its target (I2, I7)', () => {
    fc.assert(
      fc.property(anyRecord(A), anyRecord(B), (a, b) => {
        const verdict = compareGenerations(a, b);
        if (verdict.verdict !== 'resync') return;
        const [source, target] = verdict.source === 'mine' ? [a, b] : [b, a];
        expect(source.consistent && source.current !== null).toBe(true);
        if (!target.consistent || target.current === null) return;
        const targetPassed = [target.base, ...target.history].includes(source.current);
        expect(targetPassed && source.current !== target.current).toBe(false);
      }),
      { numRuns: 5000 },
    );
  });

  it('a resync is partial only where both keep an intent log (REQUIREMENTS 2.6)', () => {
    fc.assert(
      fc.property(anyRecord(A), anyRecord(B), (a, b) => {
        const verdict = compareGenerations(a, b);
        if (verdict.verdict !== 'resync' || verdict.kind === 'full') return;
        expect([a.intentLog, b.intentLog]).toEqual(['kept', 'kept']);
      }),
      { numRuns: 5000 },
    );
  });
});
