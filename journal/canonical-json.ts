/**
 * Canonical JSON (RFC 8785): keys sorted by UTF-16 code units, no blanks, numbers and strings as ECMAScript
 * writes them. Hashes are taken over it, so every reader in any language can recompute them.
 */
export function canonicalJson(value: unknown): string {
  return isInOrder(value) ? JSON.stringify(value) : write(value);
}

/** True when the engine's own writer gives the canonical text already, and much faster. */
function isInOrder(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return isPlain(value);
  if (Array.isArray(value)) return value.every(isInOrder);
  requirePlainObject(value);
  let last = '';
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    if (key < last || member === undefined || !isInOrder(member)) return false;
    last = key;
  }
  return true;
}

function write(value: unknown): string {
  if (value === null || typeof value !== 'object') {
    isPlain(value);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  requirePlainObject(value);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${write(member)}`);
  return `{${members.join(',')}}`;
}

function isPlain(value: unknown): true {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number' && Number.isFinite(value)) return true;
  throw new TypeError(`${typeof value} has no place in JSON: ${String(value)}`);
}

function requirePlainObject(value: object): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError('only plain objects and arrays have a place in an event');
}
