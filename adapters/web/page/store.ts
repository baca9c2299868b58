import { useEffect, useState } from 'preact/hooks';
import type { Live, Picture } from '../picture.ts';
import type { Scene } from './scene.ts';

export type Connection = 'connecting' | 'live' | 'lost';

/** Everything that the page shows is a function of this. */
export interface PageState {
  readonly connection: Connection;
  readonly present: Scene | null;
  readonly live: Live;
  /** The moment that is looked at instead of the present one. */
  readonly past: Scene | null;
  /** The agent's clock less this browser's, milliseconds. */
  readonly clockMs: number;
  /** The operator as whom commands are given; null: read-only. */
  readonly operator: string | null;
  /** The part of the address behind `#`. */
  readonly path: string;
}

type Listener = () => void;

/** `#/resource/t1` is the page `/resource/t1`; whatever else stands behind `#` is none. */
export const pathOf = (hash: string): string => (hash.startsWith('#/') ? hash.slice(1) : '/');

let state: PageState = {
  connection: 'connecting',
  present: null,
  live: {},
  past: null,
  clockMs: 0,
  operator: null,
  path: pathOf(location.hash),
};
const listeners = new Set<Listener>();

export const currentState = (): PageState => state;

export function update(change: Partial<PageState>): void {
  state = { ...state, ...change };
  for (const listener of listeners) listener();
}

export function usePage(): PageState {
  const [shown, show] = useState(state);
  useEffect(() => {
    const listener = () => show(state);
    listeners.add(listener);
    listener();
    return () => void listeners.delete(listener);
  }, []);
  return shown;
}

/** Milliseconds since 1970 by the agent's clock. */
export const agentNow = (): number => Date.now() + state.clockMs;

/** Counts the asking, so that an answer that comes late shows nothing. */
let travels = 0;

/** Shows the state after the first `place` events; null: the present. Errors: a sentence. */
export async function travelTo(query: { place: number } | { time: string } | null): Promise<void> {
  travels += 1;
  const travel = travels;
  if (query === null) return update({ past: null });
  const words = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const picture = await getJson<Picture>(`/api/picture?${words}`);
  if (travel !== travels) return;
  const { timeline, ...rest } = picture;
  update({ past: { ...rest, ...timeline } });
}

/** Errors: a sentence. */
export async function getJson<T>(path: string, headers: Readonly<Record<string, string>> = {}): Promise<T> {
  const response = await fetch(path, { headers });
  const body = (await response.json()) as T & { readonly error?: string };
  if (!response.ok) throw new Error(body.error ?? `the agent answered ${response.status}`);
  return body;
}
