import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { clientFlags, go, request } from './client-messages.ts';
import { MemoryExport } from './memory-export.ts';
import { SessionClient } from './session-client.ts';

const write = 1;

class CorkedExport extends MemoryExport {
  cork(): void {
    this.calls.push('cork');
  }

  uncork(): void {
    this.calls.push('uncork');
  }
}

describe('writes that come together', () => {
  const writeAt = (page: number) =>
    request(write, { cookie: BigInt(page), offset: page * 4096, payload: Buffer.alloc(4096, page) });

  function connected() {
    const served = new CorkedExport('sda', 65_536);
    const at = new SessionClient([served]);
    at.send(Buffer.concat([clientFlags(), go('')]));
    return { served, at };
  }

  it('go to the export between cork and uncork', () => {
    const { served, at } = connected();
    at.send(Buffer.concat([writeAt(1), writeAt(2), writeAt(3)]));
    expect(served.calls).toEqual([
      'cork',
      'write 4096 4096',
      'write 8192 4096',
      'write 12288 4096',
      'uncork',
    ]);
    at.send(Buffer.concat([writeAt(1), writeAt(2).subarray(0, 100)]));
    expect(served.calls.slice(5)).toEqual(['cork', 'write 4096 4096', 'uncork']);
  });

  it('a single one waits for nothing', () => {
    const { served, at } = connected();
    at.send(writeAt(1));
    expect(served.calls).toEqual(['write 4096 4096']);
  });
});
