import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { LinuxHost } from '../../adapters/host/host.ts';

let folder = '';
const host = new LinuxHost();
const nobody = new Map<string, string>();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mk-host-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function file(name: string, byteSize: number, at?: { offset: number; text: string }): string {
  const path = join(folder, name);
  const bytes = at ? Buffer.concat([Buffer.alloc(at.offset), Buffer.from(at.text)]) : Buffer.alloc(0);
  writeFileSync(path, bytes);
  truncateSync(path, byteSize);
  return path;
}

describe('a path of this machine (rules 1 and 2)', () => {
  it('that is not there', async () => {
    expect(await host.inspect(join(folder, 'nothing'), nobody)).toMatchObject({ exists: false });
  });

  it('without an allocated block is blank, with its size', async () => {
    expect(await host.inspect(file('sparse', 8 * 1024 * 1024), nobody)).toEqual({
      exists: true,
      usedBy: null,
      mountedAt: null,
      fstype: null,
      byteSize: 8 * 1024 * 1024,
      blank: true,
    });
  });

  it('full of zeros is blank', async () => {
    const path = join(folder, 'zeros');
    writeFileSync(path, Buffer.alloc(3_000_001));
    expect(await host.inspect(path, nobody)).toMatchObject({ blank: true, byteSize: 3_000_001 });
  });

  it.each([0, 1_048_575, 1_048_576, 2_999_999])(
    'with one byte of data at %i is not blank',
    async (offset) => {
      const path = file('data', 3_000_000, { offset, text: 'x' });
      expect(await host.inspect(path, nobody)).toMatchObject({ blank: false });
    },
  );

  it('that is a folder, or a character device, is no volume', async () => {
    for (const path of [folder, '/dev/null'])
      expect(await host.inspect(path, nobody)).toMatchObject({
        exists: true,
        usedBy: 'neither a file nor a block device',
      });
  });

  it('is protected by what is behind its links', async () => {
    const path = file('real', 4096);
    const link = join(folder, 'link');
    symlinkSync(path, link);
    expect(await host.realPath(link)).toBe(await host.realPath(path));
    const taken = new Map([[await host.realPath(path), 'a volume of t1']]);
    expect(await host.inspect(link, taken)).toMatchObject({ usedBy: 'a volume of t1' });
  });

  it('of which nobody can tell whether it is attached, beside a device that hangs, is in use', async () => {
    const path = file('asked', 4096);
    const hanging = join(folder, 'losetup');
    writeFileSync(hanging, `#!${process.execPath}\nsetInterval(() => undefined, 1000);\n`);
    chmodSync(hanging, 0o755);
    const before = process.env['PATH'] ?? '';
    process.env['PATH'] = folder + delimiter + before;
    onTestFinished(() => {
      process.env['PATH'] = before;
    });
    expect((await host.inspect(path, nobody)).usedBy).toContain('nobody can tell');
  });

  it('a link to nothing is itself, and is not there', async () => {
    const link = join(folder, 'dangling');
    symlinkSync(join(folder, 'gone'), link);
    expect(await host.realPath(link)).toBe(link);
    expect(await host.inspect(link, nobody)).toMatchObject({ exists: false });
  });
});
