import { describe, expect, it } from 'vitest';
import { type Command, operatorCommands } from '../../domain/commands.ts';
import { acceptanceToken } from '../../domain/loss.ts';

const header = {
  id: 'c1',
  actor: { id: 'root', via: 'socket', verified: false },
  digest: 'd1',
} as const;
const volumes = [{ name: 'data', path: '/srv/a' }];
const body = operatorCommands.create.parse({ tag: 't1', node: 'eve', volumes });
const token = (command: object) => acceptanceToken(undefined, command as Command);

describe('the token of an accepted loss (rule 23)', () => {
  it('is the same for a command whose fields come in another order, as the journal stores them', () => {
    const reversed = Object.fromEntries(Object.entries(body).reverse());
    const stored = { ...reversed, volumes: [{ path: '/srv/a', name: 'data' }], command: 'create', ...header };
    expect(token(stored)).toBe(token({ ...header, command: 'create', ...body }));
  });

  it('is another for another command', () => {
    const other = { ...header, command: 'create', ...body, node: 'adam' };
    expect(token(other)).not.toBe(token({ ...header, command: 'create', ...body }));
  });
});
