import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { sessionLimits } from '../../adapters/nbd/nbd-session.ts';
import { SlabPool } from '../../adapters/nbd/slab.ts';
import { clientFlags, go, structuredReply } from './client-messages.ts';
import { allowedChanges, Dice, damaged, hostileNegotiation, hostileRequests } from './hostile-stream.ts';
import { MemoryExport } from './memory-export.ts';
import { SessionClient } from './session-client.ts';

const byteSize = 16_384;
const inputs = 60_000;
/** One for all, as in a server: what a session forgets to give back would show. */
const pool = new SlabPool();
const isChange = (call: string) => /^(write|zero|trim)/.test(call);

/** Sends a stream in pieces and ends the connection; the memory of the session must be free afterwards. */
function attack(served: MemoryExport, stream: Buffer, pieceSize: number): void {
  const at = new SessionClient([served], pool);
  at.send(stream, pieceSize);
  if (at.session.heldBytes > sessionLimits.bytes) throw new Error(`holds ${at.session.heldBytes} bytes`);
  at.session.closed();
  if (at.session.heldBytes !== 0) throw new Error(`keeps ${at.session.heldBytes} bytes`);
}

describe('a hostile NBD client', () => {
  it(`${inputs} streams of requests do exactly what is valid in them`, { timeout: 120_000 }, () => {
    const opening = Buffer.concat([clientFlags(), structuredReply(), go('sda')]);
    let changes = 0;
    for (let seed = 1; seed <= inputs; seed++) {
      const dice = new Dice(seed);
      const served = new MemoryExport('sda', byteSize);
      const stream = hostileRequests(dice, byteSize);
      attack(
        served,
        Buffer.concat([opening, stream]),
        dice.pick([1 + dice.below(40), 1 << 20, 1 << 20, 1 << 20]),
      );
      const changed = served.calls.filter(isChange);
      const allowed = allowedChanges(stream, byteSize);
      changes += changed.length;
      if (changed.join() !== allowed.join()) expect.soft(changed, `seed ${seed}`).toEqual(allowed);
    }
    expect(changes).toBeGreaterThan(inputs / 5);
  });

  it(`${inputs} hostile negotiations reach no byte of an export`, { timeout: 120_000 }, () => {
    const served = new MemoryExport('sda', byteSize);
    let reachedTransmission = 0;
    for (let seed = 1; seed <= inputs; seed++) {
      const dice = new Dice(seed);
      const stream = hostileNegotiation(dice);
      const bytes = dice.below(2) === 0 ? damaged(dice, stream) : stream;
      const at = new SessionClient([served], pool);
      at.send(bytes, dice.pick([1 + dice.below(40), 1 << 20, 1 << 20, 1 << 20]));
      if (at.session.isTransmitting) reachedTransmission += 1;
      at.session.closed();
      if (at.session.heldBytes !== 0) throw new Error(`seed ${seed} keeps memory`);
    }
    expect(served.calls).toEqual([]);
    expect(pool.lent).toBe(0);
    expect(reachedTransmission).toBeGreaterThan(inputs / 10);
  });
});
