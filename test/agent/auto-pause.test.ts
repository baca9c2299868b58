import { beforeEach, describe, expect, it } from 'vitest';
import { AutoPause } from '../../adapters/agent/auto-pause.ts';
import type { AgentContext } from '../../adapters/agent/context.ts';
import { adam, eve, fold, mirrored, past, tag } from '../domain/given.ts';

const pair = { source: eve, target: adam };
const setting = past('resource.settings-changed', { node: null, peer: null, key: 'auto-pause', value: 60 });
const paused = (by: 'operator' | 'policy') => past('mirror.paused', { ...pair, by, reason: 'full' });

describe('rule 18: when the policy proposes what', () => {
  let nowMs: number;
  let peer: { congested: boolean; connected: boolean };
  let submitted: string[];
  beforeEach(() => {
    nowMs = 5_000_000;
    peer = { congested: true, connected: true };
    submitted = [];
  });

  const policy = (...events: Parameters<typeof fold>[0]) =>
    new AutoPause({
      options: { node: eve },
      engines: { tags: () => [tag], lastStatus: () => ({ peers: [{ peer: adam, ...peer }] }) },
      clock: { nowMs: () => nowMs },
      state: () => fold([...mirrored(), ...events]),
      submit: (command: string) => {
        submitted.push(command);
        return Promise.resolve({ ok: true });
      },
    } as unknown as AgentContext);

  async function proposedAfter(seconds: number, looking: AutoPause): Promise<string[]> {
    nowMs += 1000 * seconds;
    await looking.look();
    return submitted.splice(0);
  }

  it('pauses a mirror whose queue has stayed full for as long as was set', async () => {
    const looking = policy(setting);
    expect(await proposedAfter(0, looking)).toEqual([]);
    expect(await proposedAfter(59, looking)).toEqual([]);
    expect(await proposedAfter(1, looking)).toEqual(['auto-pause']);
  });

  it('counts anew when the queue was not full in between, or the link was down', async () => {
    const looking = policy(setting);
    await proposedAfter(0, looking);
    for (const change of [{ congested: false }, { connected: false }]) {
      Object.assign(peer, change);
      expect(await proposedAfter(30, looking)).toEqual([]);
      Object.assign(peer, { congested: true, connected: true });
      expect(await proposedAfter(30, looking)).toEqual([]);
      expect(await proposedAfter(59, looking)).toEqual([]);
    }
  });

  it('does nothing where it is not set', async () => {
    const looking = policy();
    await proposedAfter(0, looking);
    expect(await proposedAfter(1_000_000, looking)).toEqual([]);
  });

  it('resumes what it has paused when the link has been there for as long again', async () => {
    peer = { congested: false, connected: false };
    const looking = policy(setting, paused('policy'));
    expect(await proposedAfter(100, looking)).toEqual([]);
    peer.connected = true;
    expect(await proposedAfter(0, looking)).toEqual([]);
    expect(await proposedAfter(60, looking)).toEqual(['auto-resume']);
  });

  it('resumes it also when the setting is off by then, and never what an operator paused', async () => {
    expect(await proposedAfter(0, policy(paused('policy')))).toEqual(['auto-resume']);
    expect(await proposedAfter(1000, policy(setting, paused('operator')))).toEqual([]);
  });
});
