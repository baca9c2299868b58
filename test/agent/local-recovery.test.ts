import { describe, expect, it } from 'vitest';
import type { AgentContext } from '../../adapters/agent/context.ts';
import { LocalRecovery } from '../../adapters/agent/local-recovery.ts';
import { tag } from '../domain/given.ts';

/** A replica whose disk fails as long as `failed` says so. */
function repair() {
  const world = { nowMs: 0, failed: 'EIO' as string | null, restarts: 0, ended: [] as unknown[] };
  const context = {
    clock: { nowMs: () => world.nowMs },
    engines: {
      isRunning: () => true,
      status: async () => ({ open: true, replica: { failed: world.failed } }),
      giveUp: async () => {
        world.restarts += 1;
      },
    },
    submit: async (_: string, { ok }: { ok: boolean }) => {
      world.ended.push(ok);
      return { ok: true };
    },
  } as unknown as AgentContext;
  return { world, recovery: new LocalRecovery(context) };
}

describe('a failed disk (rule 15)', () => {
  it('is repaired by an engine that begins anew', async () => {
    const { world, recovery } = repair();
    expect(await recovery.recover(tag, 'EIO')).toBe(false);
    world.failed = null;
    expect(await recovery.recover(tag, 'EIO')).toBe(true);
    expect(world).toMatchObject({ restarts: 1, ended: [true] });
  });

  it('that fails again after each of three restarts is given up', async () => {
    const { world, recovery } = repair();
    for (const _ of [1, 2, 3]) expect(await recovery.recover(tag, 'EIO')).toBe(false);
    expect(await recovery.recover(tag, 'EIO')).toBe(true);
    expect(world).toMatchObject({ restarts: 3, ended: [false] });
  });

  it('that did well for ten minutes has failed anew', async () => {
    const { world, recovery } = repair();
    for (const _ of [1, 2, 3]) await recovery.recover(tag, 'EIO');
    world.nowMs = 600_000;
    expect(await recovery.recover(tag, 'EIO')).toBe(false);
    expect(world.restarts).toBe(4);
  });
});
