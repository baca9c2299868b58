import { useEffect, useRef, useState } from 'preact/hooks';
import type { TimelineEntry } from '../../../projections/timeline.ts';
import type { Scene } from './scene.ts';

/** What somebody who does not see the page has to hear of. */
const spoken =
  /^(failover|switchover|split-brain|data-corrupt|local-recovery)\.|^resource\.(entered-service|left-service|forced-online)$|^node\.(lost|returned)$|^(mirror\.lost-sync|resync\.completed|takeover\.conflicted|journal\.damaged)$/;
const burstMs = 400;

const keptMax = 20;

/** Says what changes, for screen readers: a burst of events in one go, each event once, also one that comes late. */
export function Announcer({ scene }: { scene: Scene }) {
  const [said, say] = useState<readonly TimelineEntry[]>([]);
  const known = useRef(new Set(scene.entries.map(({ event }) => event)));
  const waiting = useRef<TimelineEntry[]>([]);
  useEffect(() => {
    waiting.current.push(...scene.entries.filter(({ event }) => !known.current.has(event)));
    known.current = new Set(scene.entries.map(({ event }) => event));
    const timer = setTimeout(() => {
      const fresh = waiting.current.splice(0).filter(({ type }) => spoken.test(type));
      if (fresh.length > 0) say((before) => [...before, ...fresh].slice(-keptMax));
    }, burstMs);
    return () => clearTimeout(timer);
  }, [scene.entries]);
  return (
    <div class="hidden" role="log" aria-live="polite" aria-label="Changes">
      {said.map(({ event, sentence }) => (
        <p key={event}>{sentence}</p>
      ))}
    </div>
  );
}
