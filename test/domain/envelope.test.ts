import { describe, expect, it } from 'vitest';
import {
  comparePositions,
  envelopeType,
  eventId,
  formatSeen,
  parseEnvelopeType,
  parseEventId,
  parseSeen,
} from '../../domain/envelope.ts';

const hash = '0123456789abcdef'.repeat(4);

describe('event envelope', () => {
  it('an event id is node, incarnation and sequence, and nothing else parses', () => {
    const position = { node: 'eve', incarnation: 1, sequence: 42 };
    expect(eventId(position)).toBe('eve/1/42');
    expect(parseEventId('eve/1/42')).toEqual(position);
    for (const wrong of ['', 'eve', 'eve/1', 'eve/0/1', 'eve/1/0', '../1/1', 'eve/1/1/1', 'e ve/1/1'])
      expect(parseEventId(wrong)).toBeUndefined();
  });

  it('a type carries event and version', () => {
    expect(envelopeType('resource.created', 1)).toBe('mirrorkeeper.resource.created.v1');
    expect(parseEnvelopeType('mirrorkeeper.resource.created.v1')).toEqual({
      event: 'resource.created',
      version: 1,
    });
    expect(parseEnvelopeType('other.resource.created.v1')).toBeUndefined();
  });

  it('seen heads are sorted by node, carry 16 digits of the hash, and come back', () => {
    const text = formatSeen({
      sophocles: { incarnation: 1, sequence: 7, hash },
      adam: { incarnation: 2, sequence: 41, hash },
    });
    expect(text).toBe('adam/2/41/0123456789abcdef,sophocles/1/7/0123456789abcdef');
    expect(parseSeen(text)).toEqual([
      { node: 'adam', incarnation: 2, sequence: 41, hash16: '0123456789abcdef' },
      { node: 'sophocles', incarnation: 1, sequence: 7, hash16: '0123456789abcdef' },
    ]);
    expect(parseSeen('')).toEqual([]);
    expect(parseSeen('adam/1/41')).toBeUndefined();
    expect(parseSeen(`${text},`)).toBeUndefined();
  });

  it('a later incarnation comes after every position of an earlier one', () => {
    expect(comparePositions({ incarnation: 1, sequence: 9 }, { incarnation: 2, sequence: 1 })).toBeLessThan(
      0,
    );
    expect(
      comparePositions({ incarnation: 1, sequence: 9 }, { incarnation: 1, sequence: 8 }),
    ).toBeGreaterThan(0);
  });
});
