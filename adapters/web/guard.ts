import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/**
 * What a browser must be told, and what it must not be believed. No page from elsewhere may read this one or send it
 * commands: no scripts or styles but our own files, no requests to other hosts, no frames.
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/**
 * Whether the request is addressed to this server by a name that is its own: a name that somebody else's DNS lets
 * point here (DNS rebinding) is not. Addresses are no names, so they are fine.
 */
export function isOwnHost({ headers }: IncomingMessage, ownNames: readonly string[]): boolean {
  const address = `http://${headers.host}`;
  if (headers.host === undefined || !URL.canParse(address)) return false;
  const name = new URL(address).hostname.replace(/^\[|\]$/g, '');
  return isIP(name) !== 0 || ownNames.includes(name.toLowerCase());
}

/** What a browser says of where the request comes from, if it says anything, is this very server. */
export function isOwnOrigin({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  const { origin, host } = headers;
  if (origin === undefined) return true;
  const own = hostOf(`http://${host}`);
  return own !== null && hostOf(origin) === own;
}

/** As browsers write it: without the port that goes without saying. */
const hostOf = (url: string): string | null => (URL.canParse(url) ? new URL(url).host : null);
