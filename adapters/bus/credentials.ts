import { type Authenticator, nkeyAuthenticator, nkeys, usernamePasswordAuthenticator } from 'nats';
import { z } from 'zod';
import { ActorName } from './subjects.ts';

/**
 * What a credentials file holds, in JSON: the user and the secret that proves it. With a seed nothing secret is on
 * the server: it knows the public key (`mirrorkeeper nats-config` makes both).
 */
const Credentials = z.union([
  z.strictObject({ user: ActorName, seed: z.string().regex(/^SU[A-Z2-7]{56}$/) }),
  z.strictObject({ user: ActorName, password: z.string().min(1) }),
]);
export type Credentials = Readonly<z.infer<typeof Credentials>>;

/** Throws a sentence where the text is nothing of the kind. */
export function parseCredentials(text: string): Credentials {
  const parsed = Credentials.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new Error('a credentials file holds {"user": …, "seed": "SU…"} or {"user": …, "password": …}');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function authenticatorOf(credentials: Credentials): Authenticator {
  return 'seed' in credentials
    ? nkeyAuthenticator(new TextEncoder().encode(credentials.seed))
    : usernamePasswordAuthenticator(credentials.user, credentials.password);
}

type Key = Extract<Credentials, { seed: string }>;

/** A new key pair of which the server need only know the public half. */
export const createCredentials = (user: ActorName): Key => ({
  user,
  seed: new TextDecoder().decode(nkeys.createUser().getSeed()),
});

export const publicKeyOf = ({ seed }: Key): string =>
  nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
