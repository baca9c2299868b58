import { describe, expect, it } from 'vitest';
import type { AnyEvent } from '../../domain/events.ts';
import { standing } from '../../domain/react.ts';
import { endpointsOf } from '../../domain/settings.ts';
import { adam, command, eve, given, mirrored, past, tag } from './given.ts';

const setPath = (value: string) =>
  past('resource.settings-changed', { node: adam, peer: eve, key: 'path', value });
const dials = (...events: readonly AnyEvent[]) => {
  const { state } = given(...mirrored(), ...events);
  return standing(state, state.resources[tag], adam).flatMap((intent) =>
    intent.do === 'connect' && intent.peer === eve ? intent.at : [],
  );
};

describe('the replication path of a pair', () => {
  it('is the address in the history until somebody sets another, and again when that is taken back', () => {
    const recorded = { host: '127.0.0.1', port: 7801 };
    const second = { host: '10.0.0.2', port: 7801 };
    expect(dials()).toEqual([recorded]);
    expect(dials(setPath('10.0.0.2:7801'))).toEqual([second]);
    expect(dials(setPath('10.0.0.2:7801,[fe80::1]:9'))).toEqual([second, { host: 'fe80::1', port: 9 }]);
    expect(dials(setPath('10.0.0.2:7801'), setPath(''))).toEqual([recorded]);
  });

  it('is set on the node that dials, of a resource', () => {
    const world = given(...mirrored());
    const set = (body: object) =>
      world.when(command('settings', { key: 'path', value: 'h:1', ...body } as never));
    expect(set({ node: adam, peer: eve }).types()).toEqual([
      'resource.settings-changed',
      'command.completed',
    ]);
    for (const body of [{ node: eve, peer: adam }, { node: adam }, { tag: undefined, node: adam, peer: eve }])
      expect(set(body).refusal()).toBe('invalid-request');
    expect(set({ node: adam, peer: eve, value: 'nowhere' }).refusal()).toBe('invalid-request');
  });

  it.each(['h', 'h:0', 'h:65536', ':1', 'h:1,', '::1:1', '[::1:1'])('%s is none', (text) => {
    expect(endpointsOf(text)).toBeUndefined();
  });
});
