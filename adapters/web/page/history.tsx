import { useEffect, useMemo, useState } from 'preact/hooks';
import type { TimelineEntry } from '../../../projections/timeline.ts';
import type { Found } from '../picture.ts';
import { Choice, EventLine } from './parts.tsx';
import type { Scene } from './scene.ts';
import { getJson } from './store.ts';

/** What happens all the time and says little: left out unless it is asked for. */
const routine = new Set([
  'resync.progressed',
  'command.completed',
  'takeover.promised',
  'node.key-added',
  'generation.started',
]);
export const isRoutine = ({ type }: TimelineEntry): boolean => routine.has(type);

interface Placed {
  readonly entry: TimelineEntry;
  readonly place: number;
}

interface Filter {
  readonly tag: string;
  readonly type: string;
  readonly actor: string;
  readonly text: string;
  readonly everything: boolean;
}

const noFilter: Filter = { tag: '', type: '', actor: '', text: '', everything: false };

export function HistoryPage({ scene }: { scene: Scene }) {
  return (
    <>
      <h1>History</h1>
      <History scene={scene} />
    </>
  );
}

/** The timeline, newest first, with filters; older entries are fetched on demand. */
export function History({ scene, tag }: { scene: Scene; tag?: string }) {
  const [filter, setFilter] = useState<Filter>({ ...noFilter, tag: tag ?? '' });
  const [older, setOlder] = useState<{ readonly entries: readonly Placed[]; readonly more: number | null }>({
    entries: [],
    more: scene.from,
  });
  const [problem, setProblem] = useState('');
  const set = (change: Partial<Filter>) => setFilter({ ...filter, ...change });
  useEffect(() => setOlder({ entries: [], more: scene.from }), [filter, scene.node]);

  const here = useMemo(
    () => scene.entries.map((entry, index) => ({ entry, place: scene.from + index })),
    [scene.entries, scene.from],
  );
  const first = older.entries.at(-1)?.place ?? scene.from;
  const shown = [...older.entries.filter(({ place }) => place < scene.from), ...here].filter(({ entry }) =>
    fits(entry, filter),
  );

  const fetchOlder = async () => {
    const words = Object.entries({
      tag: filter.tag,
      type: filter.type,
      actor: filter.actor,
      text: filter.text,
    });
    const query = new URLSearchParams(words.filter(([, value]) => value !== ''));
    query.set('before', String(older.more ?? first));
    try {
      const { entries, more } = await getJson<Found>(`/api/timeline?${query}`);
      const found = entries.map(({ place, ...entry }) => ({ entry, place }));
      setOlder({ entries: [...found, ...older.entries], more });
      setProblem('');
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const jump = (event: string) => {
    const at = here.find(({ entry }) => entry.event === event);
    if (at !== undefined) document.getElementById(`event-${event}`)?.focus();
  };

  const types = [...new Set(here.map(({ entry }) => entry.type))].sort();
  const actors = [...new Set(here.map(({ entry }) => entry.actor.id))].sort();
  const tags = Object.keys(scene.views)
    .filter((name) => name.startsWith('status.'))
    .map((name) => name.slice('status.'.length));
  return (
    <section aria-labelledby="history" class="history">
      <h2 id="history">
        {tag === undefined ? 'What happened, the newest first' : `What happened to ${tag}`}
      </h2>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        {tag === undefined && (
          <Choice
            label="Resource"
            any="all"
            value={filter.tag}
            options={tags}
            set={(value) => set({ tag: value })}
          />
        )}
        <Choice
          label="Type"
          any="all"
          value={filter.type}
          options={types}
          set={(value) => set({ type: value })}
        />
        <Choice
          label="By"
          any="all"
          value={filter.actor}
          options={actors}
          set={(value) => set({ actor: value })}
        />
        <label>
          Text
          <input
            type="search"
            value={filter.text}
            onInput={(event) => set({ text: event.currentTarget.value })}
          />
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={filter.everything}
            onChange={(event) => set({ everything: event.currentTarget.checked })}
          />
          routine too
        </label>
      </form>
      <ol class="events" reversed>
        {shown
          .slice()
          .reverse()
          .map(({ entry, place }) => (
            <EventLine key={entry.event} entry={entry} place={place} onCause={jump} />
          ))}
      </ol>
      {shown.length === 0 && <p>Nothing of that kind is among the latest events.</p>}
      {problem !== '' && <p role="alert">{problem}</p>}
      {older.more !== null && older.more > 0 && (
        <button type="button" onClick={() => void fetchOlder()}>
          Older events
        </button>
      )}
    </section>
  );
}

function fits(entry: TimelineEntry, { tag, type, actor, text, everything }: Filter): boolean {
  const part = text.trim().toLowerCase();
  return (
    (everything || type !== '' || !isRoutine(entry)) &&
    (tag === '' || entry.tag === tag) &&
    (type === '' || entry.type === type) &&
    (actor === '' || entry.actor.id === actor) &&
    (part === '' || `${entry.sentence} ${entry.reason ?? ''}`.toLowerCase().includes(part))
  );
}
