import { describe, expect, it } from 'vitest';
import { NodeName } from '../../domain/vocabulary.ts';
import { readEvent } from '../../journal/read-event.ts';
import { stamp } from '../../journal/record.ts';
import { upcast } from '../../journal/upcast.ts';
import { draft } from './drafts.ts';

const eventOf = (type: string) =>
  stamp(
    { ...draft(1), type },
    {
      cluster: 'test',
      node: NodeName.parse('eve'),
      incarnation: 1,
      sequence: 1,
      previous: '',
      seen: '',
      time: '2026-11-20T00:00:00.000Z',
    },
  ).event;

const upcasters = {
  'resync.progressed': {
    1: (data: object) => ({ ...data, second: true }),
    2: (data: object) => ({ ...data, third: true }),
  },
};

describe('upcasting', () => {
  it('takes a payload through every version up to the present one, and keeps identity and hashes', () => {
    const event = eventOf('mirrorkeeper.resync.progressed.v1');
    expect(upcast(event, upcasters)).toEqual({
      ...event,
      type: 'mirrorkeeper.resync.progressed.v3',
      data: { ...event.data, second: true, third: true },
    });
    expect(upcast(eventOf('mirrorkeeper.resync.progressed.v2'), upcasters).data).not.toHaveProperty('second');
  });

  it('leaves alone what is of the present version, of a later one, or unknown', () => {
    for (const type of [
      'mirrorkeeper.resync.progressed.v3',
      'mirrorkeeper.resync.progressed.v9',
      'mirrorkeeper.else.v1',
    ]) {
      const event = eventOf(type);
      expect(upcast(event, upcasters)).toBe(event);
    }
  });

  it('happens on reading; a later version or an unknown type stays unknown, with its name', () => {
    expect(readEvent(eventOf('mirrorkeeper.resync.progressed.v1'))).toMatchObject({
      type: 'resync.progressed',
      time: Date.parse('2026-11-20T00:00:00.000Z'),
      resource: 'datarep-ext3',
    });
    for (const type of ['mirrorkeeper.resync.progressed.v2', 'mirrorkeeper.else.v1'])
      expect(readEvent(eventOf(type))).toMatchObject({
        type: 'unknown',
        originalType: type,
        resource: 'datarep-ext3',
      });
  });
});
