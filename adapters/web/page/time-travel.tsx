import { useEffect } from 'preact/hooks';
import type { Scene } from './scene.ts';
import { travelTo, usePage } from './store.ts';
import { clockText } from './text.ts';

/** Moves through the history event by event: the whole page shows the state as of then. Escape leads back to now. */
export function TimeTravel({ present }: { present: Scene }) {
  const { past, wanted, problem } = usePage();
  const place = (wanted && 'place' in wanted ? wanted.place : past?.length) ?? present.length;

  useEffect(() => {
    const back = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && document.querySelector('dialog[open]') === null) travelTo(null);
    };
    addEventListener('keydown', back);
    return () => removeEventListener('keydown', back);
  }, []);

  const goTo = (to: number) => travelTo({ place: Math.max(0, Math.min(to, present.length)) });
  const at = past?.asOf.time ?? null;
  const moment = past === null ? 'now' : at === null ? 'before the first event' : clockText(at);
  return (
    <section class="travel" aria-label="Time travel">
      <label for="moment" class="hidden">
        Moment of the history
      </label>
      <button type="button" onClick={() => goTo(place - 1)} disabled={place === 0}>
        <span aria-hidden="true">◀</span>
        <span class="hidden">one event back</span>
      </button>
      <input
        id="moment"
        type="range"
        min={0}
        max={present.length}
        step={1}
        value={place}
        aria-valuetext={`${moment}, ${place} of ${present.length} events`}
        onInput={(event) => goTo(Number(event.currentTarget.value))}
      />
      <button type="button" onClick={() => goTo(place + 1)} disabled={place >= present.length}>
        <span aria-hidden="true">▶</span>
        <span class="hidden">one event on</span>
      </button>
      <span class="moment">
        {moment}
        <span class="soft">
          {' '}
          {place}/{present.length}
        </span>
      </span>
      <label class="when">
        at{' '}
        <input
          type="datetime-local"
          step={1}
          onChange={({ currentTarget: { value } }) =>
            value !== '' && travelTo({ time: new Date(value).toISOString() })
          }
        />
      </label>
      {problem !== '' && <span role="alert">{problem}</span>}
    </section>
  );
}

export function PastBanner({ past }: { past: Scene }) {
  return (
    <div class="past" role="status">
      <span>
        <strong>This is the past:</strong> the state as of{' '}
        {past.asOf.time === null ? 'before the first event' : clockText(past.asOf.time)}, after {past.length}{' '}
        events.
      </span>
      <button type="button" onClick={() => travelTo(null)}>
        Back to now (Esc)
      </button>
    </div>
  );
}
