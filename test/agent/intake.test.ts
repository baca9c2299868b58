import { afterEach, describe, expect, it } from 'vitest';
import { CommandToken } from '../../adapters/bus/subjects.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import { World } from '../scenarios/world.ts';

const [eve, adam] = ['eve', 'adam'].map((name) => NodeName.parse(name)) as [NodeName, NodeName];
const tag = Tag.parse('t1');
const volumes = [{ name: 'data', path: '/srv/a' }];
let world: World;

afterEach(() => {
  for (const node of world.running()) world.kill(node);
});

/** eve serves, adam is its target. */
async function mirrored(): Promise<void> {
  world = new World();
  await world.start(eve);
  await world.start(adam);
  await world.command(eve, 'create', { tag, node: eve, volumes });
  await world.command(eve, 'extend', { tag, node: adam, volumes });
  await world.clock.pass(5000);
}

const event = expect.stringMatching(/^eve\/1\/\d+$/);
const refused = (code: string) => ({
  ok: false,
  commandId: 'c1',
  decider: 'eve',
  events: [event],
  refusal: {
    id: event,
    code,
    message: expect.any(String),
    allowed: expect.any(Array),
    because: expect.any(Array),
  },
});

describe('the reply to a command (REQUIREMENTS 5)', () => {
  it('names the command, its decider and its events', async () => {
    await mirrored();
    const reply = await world.command(eve, 'pause', { id: 'c1', tag });
    expect(reply).toEqual({ ok: true, commandId: 'c1', decider: 'eve', events: [event, event] });
  });

  it('comes from the node that decides, whichever was asked', async () => {
    await mirrored();
    const reply = await world.command(adam, 'pause', { id: 'c1', tag });
    expect(reply).toMatchObject({ ok: true, decider: 'eve' });
  });

  it('is the same for the same command, sent again', async () => {
    await mirrored();
    const first = await world.command(eve, 'pause', { id: 'c1', tag });
    expect(await world.command(eve, 'pause', { id: 'c1', tag })).toEqual(first);
    const reused = await world.command(eve, 'resume', { id: 'c1', tag });
    expect(reused).toMatchObject({ ok: false, refusal: { code: 'command-id-reused' } });
  });

  it('of a refused command says the rule, why, what would be allowed and what led there', async () => {
    await mirrored();
    expect(await world.command(eve, 'resume', { id: 'c1', tag })).toEqual(refused('not-paused'));
  });

  it('of a command that destroys says what is lost, with the token that accepts it', async () => {
    await mirrored();
    const reply = await world.command(eve, 'delete', { id: 'c1', tag });
    expect(reply).toEqual({
      ...refused('loss-not-accepted'),
      loss: { text: expect.any(String), writes: null, bytes: null, since: null },
      token: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    const accepted = await world.command(eve, 'delete', { id: 'c2', tag, acceptLoss: reply?.['token'] });
    expect(accepted).toMatchObject({ ok: true, commandId: 'c2' });
  });

  it('of a dry run lists what would follow, and nothing is journaled', async () => {
    await mirrored();
    const before = world.events.length;
    const reply = await world.command(eve, 'switchover', { id: 'c1', tag, node: adam, dryRun: true });
    expect(reply).toEqual({
      ok: true,
      commandId: 'c1',
      decider: 'eve',
      events: ['switchover.started'],
      plan: [{ source: 'adam', target: 'eve', kind: 'partial', bytes: expect.any(Number) }],
    });
    expect(world.events).toHaveLength(before);
  });

  it('of a command that failed on its way says why', async () => {
    await mirrored();
    world.yard.refuses = { node: adam, order: 'serve', code: 'target-inconsistent' };
    expect(await world.command(eve, 'switchover', { id: 'c1', tag, node: adam })).toMatchObject({
      ok: false,
      commandId: 'c1',
      error: 'failed',
      message: 'target-inconsistent: adam cannot serve',
    });
  });

  it('of a command that takes longer than the caller waits says how to ask again', async () => {
    await mirrored();
    world.crashOnOrder(adam, 'serve', 'before');
    const reply = await world.command(eve, 'switchover', { id: 'c1', tag, node: adam });
    expect(reply).toMatchObject({
      ok: false,
      commandId: 'c1',
      error: 'outcome-unknown',
      message: expect.stringContaining('mirrorkeeper command c1'),
    });
  });

  it.each([
    ['a command nobody knows', 'reboot', {}],
    ['an argument nobody knows', 'pause', { tag, speed: 'fast' }],
    ['a name that is none', 'pause', { tag: '../etc' }],
  ])('to %s is invalid-request, and nothing is journaled', async (_, name, body) => {
    await mirrored();
    const before = world.events.length;
    const reply = await world.command(eve, name, { id: 'c1', ...body });
    expect(reply).toMatchObject({
      ok: false,
      commandId: 'c1',
      events: [],
      refusal: { code: 'invalid-request' },
    });
    expect(world.events).toHaveLength(before);
  });

  it('an export is written for whoever asks over the socket, and for nobody on the bus', async () => {
    await mirrored();
    const agent = world.nodes.get(eve)?.agent;
    const issued = {
      command: CommandToken.parse('journal-export'),
      actor: { id: 'anna', via: 'bus' as const, verified: true },
      body: { id: 'c1' },
    };
    expect(await agent?.command(issued, 1000)).toMatchObject({
      ok: false,
      refusal: { code: 'not-authorized' },
    });
  });
});
