import type { Heads } from '../../domain/envelope.ts';
import type { Subscription, ViewOutcome } from './bus.ts';
import { View, ViewKey } from './messages.ts';
import type { KeyValue } from './wire.ts';

/**
 * Views in a key-value store that several agents write to. A view is older than another when it was made from less:
 * each of its heads is at most the other's, and not all are equal. Two of which each knows something that the other
 * does not replace each other: their writers soon know both. An entry that nobody can read counts as not there.
 */

/** `a` was made from at least what `b` was made from. */
function covers(a: Heads, b: Heads): boolean {
  return Object.entries(b).every(([node, theirs]) => {
    const mine = a[node];
    return (
      mine !== undefined && (mine.incarnation - theirs.incarnation || mine.sequence - theirs.sequence) >= 0
    );
  });
}

export const isOlder = (candidate: Heads, present: Heads): boolean =>
  covers(present, candidate) && !covers(candidate, present);

const encodeView = (view: View): string => JSON.stringify({ heads: view.heads, value: view.value ?? null });

function decodeView(text: string): View | undefined {
  try {
    return View.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** More rounds than agents that can race for one key. */
const raceRounds = 64;

/** Writes an agent's views, one write per key at a time: what comes meanwhile replaces what waits. */
export class ViewWriter {
  readonly #store: KeyValue;
  /** The last own view of each key: all are put again when the store comes back, perhaps empty. */
  readonly #own = new Map<ViewKey, View>();
  readonly #writing = new Map<ViewKey, Promise<ViewOutcome>>();
  readonly #reopened: Subscription;

  constructor(store: KeyValue) {
    this.#store = store;
    this.#reopened = store.whenOpened(() => {
      for (const key of this.#own.keys()) this.#write(key);
    });
  }

  put(key: ViewKey, view: View): Promise<ViewOutcome> {
    const own = this.#own.get(key);
    if (own !== undefined && isOlder(view.heads, own.heads)) return Promise.resolve('older');
    this.#own.set(key, view);
    return this.#write(key);
  }

  end(): void {
    this.#reopened.end();
    this.#own.clear();
  }

  #write(key: ViewKey): Promise<ViewOutcome> {
    const writing = this.#writing.get(key);
    if (writing !== undefined) return writing;
    const started = this.#writeNewest(key).finally(() => this.#writing.delete(key));
    this.#writing.set(key, started);
    return started;
  }

  async #writeNewest(key: ViewKey): Promise<ViewOutcome> {
    let outcome: ViewOutcome = 'unchanged';
    let written: View | undefined;
    for (let view = this.#own.get(key); view !== undefined && view !== written; view = this.#own.get(key)) {
      outcome = await this.#race(key, view).catch(() => 'unavailable' as const);
      written = view;
    }
    return outcome;
  }

  async #race(key: ViewKey, view: View): Promise<ViewOutcome> {
    const text = encodeView(view);
    for (let round = 0; round < raceRounds; round += 1) {
      const entry = await this.#store.get(key);
      if (entry?.value === text) return 'unchanged';
      const present = entry && decodeView(entry.value);
      if (present !== undefined && isOlder(view.heads, present.heads)) return 'older';
      if (await this.#store.set(key, text, entry?.revision ?? 0)) return 'put';
    }
    return 'unavailable';
  }
}

/** Tells each view once and never an older one behind a newer one, whatever the store repeats. */
export function watchViews(
  store: KeyValue,
  prefix: string,
  changed: (key: ViewKey, view: View) => void,
  malformed: () => void,
): Subscription {
  const told = new Map<string, { readonly heads: Heads; readonly text: string }>();
  return store.watch((name, text) => {
    if (!name.startsWith(prefix)) return;
    const key = ViewKey.safeParse(name);
    const view = decodeView(text);
    if (!key.success || view === undefined) return malformed();
    const last = told.get(name);
    if (last !== undefined && (last.text === text || isOlder(view.heads, last.heads))) return;
    told.set(name, { heads: view.heads, text });
    changed(key.data, view);
  });
}
