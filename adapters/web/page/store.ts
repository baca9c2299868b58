import { useEffect, useState } from 'preact/hooks';
import type { Live, Picture } from '../picture.ts';
import { type Scene, sceneOf } from './scene.ts';

export type Connection = 'connecting' | 'live' | 'lost';

/** Everything that the page shows is a function of this. */
export interface PageState {
  readonly connection: Connection;
  readonly present: Scene | null;
  readonly live: Live;
  /** The moment that is looked at instead of the present one. */
  readonly past: Scene | null;
  /** The moment that was asked for and is not here yet; and what came instead of the last one. */
  readonly wanted: Moment | null;
  readonly problem: string;
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
  wanted: null,
  problem: '',
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

export type Moment = { readonly place: number } | { readonly time: string };

let asking = false;

/** Shows the state after the first `place` events, or as of a time; null: the present. */
export function travelTo(moment: Moment | null): void {
  update(moment === null ? { past: null, wanted: null, problem: '' } : { wanted: moment, problem: '' });
  if (!asking) void askForThePast();
}

/** One request at a time: of a slider that moves on meanwhile only the last place is asked for. */
async function askForThePast(): Promise<void> {
  asking = true;
  for (let moment = state.wanted; moment !== null; moment = state.wanted) {
    const words = Object.entries(moment).map(([name, value]) => [name, String(value)]);
    try {
      const picture = await getJson<Picture>(`/api/picture?${new URLSearchParams(words)}`);
      if (state.wanted === moment) update({ past: sceneOf(picture), wanted: null });
    } catch (error) {
      if (state.wanted === moment)
        update({ wanted: null, problem: error instanceof Error ? error.message : String(error) });
    }
  }
  asking = false;
}

/** Errors: a sentence. */
export async function getJson<T>(path: string, headers: Readonly<Record<string, string>> = {}): Promise<T> {
  const response = await fetch(path, { headers });
  const body = (await response.json()) as T & { readonly error?: string };
  if (!response.ok) throw new Error(body.error ?? `the agent answered ${response.status}`);
  return body;
}
