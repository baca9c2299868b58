import { useEffect, useRef, useState } from 'preact/hooks';
import type { Scene } from './scene.ts';

/** What somebody who does not see the page has to hear of. */
const spoken =
  /^(failover|switchover|split-brain|data-corrupt|local-recovery)\.|^resource\.(entered-service|left-service|forced-online)$|^node\.(lost|returned)$|^(mirror\.lost-sync|resync\.completed|takeover\.conflicted|journal\.damaged)$/;
const burstMs = 400;

/** Says what changes, for screen readers: a burst of events in one go. */
export function Announcer({ scene }: { scene: Scene }) {
  const [text, say] = useState('');
  const heard = useRef(scene.length);
  const waiting = useRef<string[]>([]);
  useEffect(() => {
    const fresh = scene.entries.slice(Math.max(0, heard.current - scene.from));
    heard.current = scene.length;
    waiting.current.push(...fresh.filter(({ type }) => spoken.test(type)).map(({ sentence }) => sentence));
    const timer = setTimeout(() => {
      if (waiting.current.length > 0) say(waiting.current.splice(0).join('. '));
    }, burstMs);
    return () => clearTimeout(timer);
  }, [scene.length]);
  return (
    <div class="hidden" role="log" aria-live="polite" aria-label="Changes">
      {text}
    </div>
  );
}
