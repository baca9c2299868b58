import type { Live, Picture, PictureChange, Tick } from '../picture.ts';
import { changed, sceneOf } from './scene.ts';
import { currentState, update } from './store.ts';

/** The agent says something every 5 s: after that long a silence the line is dead, whatever the browser thinks. */
const silenceMsMax = 15_000;
const againMs = 2000;

/**
 * Keeps the page's events coming. The browser reconnects by itself and says where it was (`Last-Event-ID`); where it
 * has given up (an agent that was restarted answers nothing for a while) this begins anew, and says it too.
 */
export function connect(): void {
  let position = '';
  let source: EventSource;
  let silence = 0;

  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(again, silenceMsMax);
    if (currentState().connection !== 'live') update({ connection: 'live' });
  };
  const again = () => {
    source.close();
    clearTimeout(silence);
    update({ connection: 'lost' });
    silence = setTimeout(open, againMs);
  };
  const on = <T>(name: string, take: (body: T) => void) =>
    source.addEventListener(name, ({ data, lastEventId }: MessageEvent<string>) => {
      heard();
      position = lastEventId;
      take(JSON.parse(data) as T);
    });
  const open = () => {
    source = new EventSource(
      position === '' ? '/events' : `/events?position=${encodeURIComponent(position)}`,
    );
    source.onopen = heard;
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) again();
      else update({ connection: 'lost' });
    };
    on<Picture>('picture', (picture) => update({ present: sceneOf(picture) }));
    on<PictureChange>('change', (change) => {
      const { present } = currentState();
      const next = present && changed(present, change);
      if (next) return update({ present: next });
      position = '';
      again();
    });
    on<Live>('live', (live) => update({ live: { ...currentState().live, ...live } }));
    on<Tick>('tick', ({ now }) => update({ clockMs: now - Date.now() }));
  };
  open();
}
