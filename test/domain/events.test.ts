import { describe, expect, it } from 'vitest';
import { eventSchemas } from '../../domain/events.ts';

describe('payloads of events', () => {
  it('leave the name under which the journal keeps what a decision followed from', () => {
    const taken = Object.entries(eventSchemas).filter(([, { data }]) =>
      Object.hasOwn(data.shape, 'decision'),
    );
    expect(taken.map(([type]) => type)).toEqual([]);
  });
});
