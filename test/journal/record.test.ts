import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventEnvelope, RedactedEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { canonicalJson } from '../../journal/canonical-json.ts';
import type { EventDraft } from '../../journal/journal.ts';
import { decode, encode, hashFault, stamp } from '../../journal/record.ts';
import { draft } from './drafts.ts';

const place = {
  cluster: 'test',
  node: NodeName.parse('eve'),
  incarnation: 1,
  sequence: 1,
  previous: '',
  seen: '',
  time: '2026-11-20T00:00:00.000Z',
};

const stampDraft = (changes: Partial<EventDraft>) => stamp({ ...draft(1), ...changes }, place);

describe('canonical JSON', () => {
  it('is the same for every order of the keys, and reads back to the same value', () => {
    const shuffled = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(shuffled)
        : value !== null && typeof value === 'object'
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, member]) => [key, shuffled(member)]),
            )
          : value;
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (json) => {
        const value: unknown = JSON.parse(JSON.stringify(json));
        const text = canonicalJson(value);
        expect(canonicalJson(shuffled(value))).toBe(text);
        expect(JSON.parse(text)).toEqual(value);
      }),
      { numRuns: 1000 },
    );
  });

  it('sorts keys as RFC 8785 does and writes no member that is undefined', () => {
    expect(
      canonicalJson({ '\u20ac': 1, '\r': 2, '1': 3, '10': 4, '2': 5, a: undefined, '\ud83d\ude02': 6 }),
    ).toBe('{"\\r":2,"1":3,"10":4,"2":5,"\u20ac":1,"\ud83d\ude02":6}');
  });

  it('refuses what JSON cannot hold', () => {
    for (const value of [Number.NaN, 1n, new Date(0), () => 1, [undefined]])
      expect(() => canonicalJson({ value })).toThrow(TypeError);
  });
});

describe('a record', () => {
  it('holds an event that any reader can verify', () => {
    const { event, record } = stampDraft({ reason: 'r', command: 'c', cause: 'eve/1/1' });
    expect(EventEnvelope.parse(event)).toEqual(event);
    const read = decode(record);
    if (read === undefined) throw new Error('wrong checksum');
    expect(read).toEqual(event);
    expect(encode(read)).toBe(record);
    const { data, salt, hash, ...attributes } = read;
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    expect(sha256(salt + canonicalJson(data))).toBe(read.datahash);
    expect(sha256(canonicalJson(attributes))).toBe(hash);
  });

  it('still verifies when payload and salt are taken out', () => {
    const { data: _, salt: __, ...redacted } = stampDraft({}).event;
    expect(RedactedEnvelope.parse(redacted)).toEqual(redacted);
    expect(hashFault(redacted)).toBeUndefined();
    expect(hashFault({ ...redacted, reason: 'another' })).toBe('attributes');
  });

  it('hides equal payloads behind different salts', () => {
    expect(stampDraft({}).event.datahash).not.toBe(stampDraft({}).event.datahash);
  });

  it('shows every flipped bit', () => {
    const bytes = Buffer.from(stampDraft({ reason: 'naïve \u20ac \ufffd' }).record);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        expect(decode(flipped.toString('utf8'))).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  it('shows every changed attribute and every changed payload', () => {
    const { event } = stampDraft({ reason: 'r', command: 'c', cause: 'eve/1/1' });
    for (const key of Object.keys(event) as (keyof typeof event)[]) {
      const changed =
        key === 'data' ? { ...event, data: { other: 1 } } : { ...event, [key]: `${event[key]}0` };
      expect(hashFault(changed), key).toBeDefined();
    }
  });
});
