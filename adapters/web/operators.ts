import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';

const Name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$/);
const Token = z.string().regex(/^[A-Za-z0-9_.~+/=-]{32,256}$/);

interface Operator {
  readonly name: string;
  readonly digest: Buffer;
}

/**
 * Who may give commands from the dashboard: a file with one line `NAME TOKEN` each, for its owner's eyes only. A token
 * has 32 to 256 letters, digits or `_.~+/=-` (as `openssl rand -hex 32` makes it).
 */
export class Operators {
  readonly #operators: readonly Operator[];

  constructor(lines: readonly { readonly name: string; readonly token: string }[]) {
    this.#operators = lines.map(({ name, token }) => ({ name, digest: digestOf(token) }));
  }

  /** Errors: a sentence. */
  static async read(file: string): Promise<Operators> {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0)
      throw new Error(`${file} holds tokens, and others may open it: chmod 600 ${file}`);
    const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.trim());
    return new Operators(
      lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => parseLine(file, line)),
    );
  }

  /** The operator whose token the header carries, or null. Takes as long whether a token nearly fits or not at all. */
  nameOf(authorization: string | undefined): string | null {
    const token = /^Bearer ([^\s]{1,256})$/.exec(authorization ?? '')?.[1];
    if (token === undefined) return null;
    const given = digestOf(token);
    let found: string | null = null;
    for (const { name, digest } of this.#operators) if (timingSafeEqual(given, digest)) found = name;
    return found;
  }
}

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest();

function parseLine(file: string, line: string): { name: string; token: string } {
  const [name = '', token = ''] = line.split(/\s+/);
  if (!Name.safeParse(name).success || !Token.safeParse(token).success)
    throw new Error(
      `${file}: each line is NAME TOKEN, a token has 32 to 256 characters; not so: ${name.slice(0, 63)} …`,
    );
  return { name, token };
}
