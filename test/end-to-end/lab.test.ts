import { describe, expect, it } from 'vitest';
import type { Status } from '../../tools/cli/status-query.ts';
import { pidsUnder } from '../../tools/lab/processes.ts';
import { done, emptyFolder, Terminal, typed } from './lab-terminal.ts';

describe('lab', { timeout: 180_000 }, () => {
  it('--story plays an incident, and every check of the data holds (FAULTS 1, 10)', async () => {
    const { code, out } = await new Terminal(emptyFolder(), '--story').ended;
    expect(code, out).toBe(0);
    expect(out).toMatch(/All of it held: \d+ checks\.\n$/);
    expect(out).toContain('eve#'); // told in the words of the events
  });

  it('is written to, loses its source and gets it back from a second terminal, and goes on with its data', async () => {
    const folder = emptyFolder();
    expect((await typed(folder, 'lab verify')).code).toBe(3);

    const lab = new Terminal(folder);
    await lab.until('Ctrl-C stops everything');
    expect(await done(folder, 'lab write 4M')).toContain('written to the device on eve');
    await done(folder, 'wait datarep-ext3 --for in-sync --timeout 60');
    expect(await done(folder, 'lab verify')).toMatch(
      /device on eve: \d+ checksums are right.*\nthe copy on adam: .* right.*\nthe copy on sophocles: .* right/,
    );
    expect((await typed(folder, 'lab')).out).toContain('a lab runs already');

    await done(folder, 'switchover datarep-ext3 adam --reason maintenance');
    await done(folder, 'wait datarep-ext3 --for in-sync --timeout 60');
    await done(folder, 'lab kill adam');
    await done(folder, 'wait datarep-ext3 --for in-service --target eve --timeout 60');
    expect(await done(folder, 'lab verify')).toContain('the device on eve');
    await done(folder, 'lab heal adam');
    await done(folder, 'wait datarep-ext3 --for in-sync --timeout 60');
    expect(await done(folder, 'lab verify')).toContain('the copy on adam');
    const history = await done(folder, 'journal list --tag datarep-ext3 --type switchover');
    expect(history).toContain('because "maintenance"');
    expect((await typed(folder, 'lab partition nobody')).code).toBe(1);

    lab.child.kill('SIGINT');
    const ended = await lab.ended;
    expect(ended.code).toBe(0);
    expect(ended.out).toContain('are kept in');
    expect(pidsUnder(folder)).toEqual([]);

    const again = new Terminal(folder);
    await again.until('It goes on from what .lab had kept');
    await done(folder, 'wait datarep-ext3 --for in-service --timeout 60');
    expect(await done(folder, 'lab verify')).toContain('checksums are right');
    const status = JSON.parse(await done(folder, 'status datarep-ext3 --json')) as Status;
    expect(status.source).toBe('eve');
    again.child.kill('SIGINT');
    expect((await again.ended).code).toBe(0);
  });
});
