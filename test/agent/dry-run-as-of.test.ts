import { afterEach, describe, expect, it } from 'vitest';
import { NodeName } from '../../domain/vocabulary.ts';
import { World } from '../scenarios/world.ts';

const eve = NodeName.parse('eve');
const adam = NodeName.parse('adam');
const worlds: World[] = [];
afterEach(() => {
  for (const world of worlds.splice(0)) for (const node of world.running()) world.kill(node);
});

const replica = (node: string) => ({ tag: 'web', node, volumes: [{ name: 'data', path: '/srv/a' }] });

/** eve serves `web`, adam was resynced, then eve was lost and adam took over. */
async function failedOver(): Promise<World> {
  const world = new World();
  worlds.push(world);
  await world.start(eve);
  await world.start(adam);
  await world.command(eve, 'create', replica('eve'));
  await world.command(eve, 'extend', replica('adam'));
  await world.clock.pass(5000);
  world.kill(eve);
  await world.clock.pass(15_000);
  return world;
}

const idOf = ({ events }: World, type: string) => events.find((event) => event.type.includes(type))?.id ?? '';
const switchover = { tag: 'web', node: 'adam', dryRun: true };

describe('a dry run as of a past moment', () => {
  it('is decided upon the state then, by whoever would have decided it', async () => {
    const world = await failedOver();
    const before = world.events.length;
    const asked = { ...switchover, asOf: idOf(world, 'resync.completed') };
    expect(await world.command(adam, 'switchover', asked)).toMatchObject({
      ok: true,
      decider: 'eve',
      events: ['switchover.started'],
      plan: [{ source: 'adam', target: 'eve', kind: 'partial' }],
    });
    expect(
      await world.command(adam, 'switchover', { ...asked, asOf: idOf(world, 'resync.started') }),
    ).toMatchObject({
      ok: false,
      decider: 'eve',
      refusal: { code: 'target-resyncing' },
    });
    expect(await world.command(adam, 'switchover', switchover)).toMatchObject({
      refusal: { code: 'already-in-service' },
    });
    expect(world.events).toHaveLength(before);
  });

  it('a failover is planned from the facts that the decision of that moment recorded', async () => {
    const world = await failedOver();
    const failover = { tag: 'web', dryRun: true };
    const lost = idOf(world, 'node.lost');
    expect(await world.command(adam, 'failover', { ...failover, asOf: lost })).toMatchObject({
      ok: true,
      decider: 'adam',
      events: ['failover.started'],
    });
    const earlier = idOf(world, 'resync.completed');
    expect(await world.command(adam, 'failover', { ...failover, asOf: earlier })).toMatchObject({
      refusal: { code: 'source-alive' },
    });
  });

  it('by time; what is no moment, and a real run, are refused', async () => {
    const world = await failedOver();
    const time = world.events.find(({ type }) => type.includes('resync.completed'))?.time ?? '';
    const run = (body: object) => world.command(adam, 'switchover', { tag: 'web', node: 'adam', ...body });
    expect(await run({ dryRun: true, asOf: time })).toMatchObject({ ok: true });
    for (const body of [{ dryRun: true, asOf: 'lunchtime' }, { asOf: time }])
      expect(await run(body)).toMatchObject({ ok: false, refusal: { code: 'invalid-request' } });
  });
});
