import { useMemo, useState } from 'preact/hooks';
import { adviceFor } from '../../../projections/advice.ts';
import type { AlarmView } from '../../../projections/alarms.ts';
import type { NodeView } from '../../../projections/nodes.ts';
import type { StatusView } from '../../../projections/status.ts';
import type { Live } from '../picture.ts';
import { isRoutine } from './history.tsx';
import { Badge, EventLine, MirrorRow, StateBadge } from './parts.tsx';
import { alarmsOf, nodesOf, resourceOf, resourcesOf, type Scene, viewsAbout } from './scene.ts';
import { agoText, clockText } from './text.ts';

const latestShown = 8;
/** Fewer are found at a glance. */
const filterFrom = 7;

export interface Shown {
  readonly scene: Scene;
  readonly live: Live;
  /** The moment that is shown, milliseconds since 1970. */
  readonly nowMs: number;
}

export function Overview({ scene, live, nowMs }: Shown) {
  const [wanted, want] = useState('');
  const resources = resourcesOf(scene, live);
  const shown = resources.filter((one) => fits(one, wanted.trim().toLowerCase()));
  return (
    <>
      <h1>Cluster {scene.cluster}</h1>
      <Alarms alarms={alarmsOf(scene)} nowMs={nowMs} />
      <section aria-labelledby="nodes">
        <h2 id="nodes">Nodes</h2>
        <ul class="nodes">
          {nodesOf(scene).map((node) => (
            <Node key={node.node} node={node} nowMs={nowMs} />
          ))}
        </ul>
      </section>
      <section aria-labelledby="resources">
        <div class="title">
          <h2 id="resources">Resources</h2>
          {resources.length >= filterFrom && (
            <label>
              Find{' '}
              <input
                type="search"
                value={wanted}
                placeholder="tag, node or state"
                onInput={(event) => want(event.currentTarget.value)}
              />
            </label>
          )}
        </div>
        {resources.length === 0 && <p>There is no resource yet: mirrorkeeper create makes one.</p>}
        <div class="cards">
          {shown.map((status) => (
            <Card key={status.tag} tag={status.tag} scene={scene} live={live} nowMs={nowMs} />
          ))}
        </div>
      </section>
      <Latest scene={scene} />
    </>
  );
}

const fits = ({ tag, state, nodes }: StatusView, part: string): boolean =>
  part === '' ||
  [tag, state, ...nodes.map(({ node }) => node)].some((word) => word.toLowerCase().includes(part));

export function Alarms({ alarms, nowMs }: { alarms: readonly AlarmView[]; nowMs: number }) {
  return (
    <section aria-labelledby="alarms">
      <h2 id="alarms">Alarms</h2>
      {alarms.length === 0 ? (
        <p>
          <Badge tone="good">no alarms</Badge>
        </p>
      ) : (
        <ul class="alarms">
          {alarms.map((alarm) => (
            <li key={alarm.id} class={alarm.severity}>
              <p>
                <Badge tone={alarm.severity === 'critical' ? 'bad' : 'warn'}>{alarm.severity}</Badge>{' '}
                <strong>{alarm.text}</strong>
                {alarm.since !== null && <span class="soft"> for {agoText(alarm.since, nowMs)}</span>}
              </p>
              <p class="advice">
                <span class="soft">What to do:</span> {adviceFor(alarm)}
              </p>
              {alarm.tag !== null && (
                <p>
                  <a
                    href={
                      alarm.code === 'split-brain' ? `#/split-brain/${alarm.tag}` : `#/resource/${alarm.tag}`
                    }
                  >
                    {alarm.code === 'split-brain'
                      ? `Compare both branches of ${alarm.tag}`
                      : `Look at ${alarm.tag}`}
                  </a>
                </p>
              )}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Node({ node, nowMs }: { node: NodeView; nowMs: number }) {
  const { alive, journalDamaged, clockAheadMs, since } = node;
  return (
    <li>
      <strong>{node.node}</strong> <Badge tone={alive ? 'good' : 'bad'}>{alive ? 'alive' : 'lost'}</Badge>
      <span class="soft">
        {node.host ?? ''}
        {since === null ? '' : `, for ${agoText(since, nowMs)}`}
      </span>
      {journalDamaged && <Badge tone="bad">journal damaged</Badge>}
      {clockAheadMs !== null && <Badge tone="warn">clock {Math.round(clockAheadMs / 1000)} s ahead</Badge>}
    </li>
  );
}

interface CardProps extends Shown {
  readonly tag: string;
}

/** Drawn anew only when something changes that it shows: there may be hundreds. */
function Card({ scene, live, nowMs, tag }: CardProps) {
  const shown = viewsAbout(scene, tag);
  const isCounting = shown.some((view) => 'atRisk' in view && view.atRisk === true);
  return useMemo(
    () => <CardNow scene={scene} live={live} nowMs={nowMs} tag={tag} />,
    [tag, live[tag], isCounting ? nowMs : 0, ...shown],
  );
}

function CardNow({ scene, live, nowMs, tag }: CardProps) {
  const status = resourceOf(scene, live, tag);
  if (status === undefined) return null;
  const { source, sources, lastOwner, epoch, mirrors } = status;
  const where = source ?? (sources.length > 0 ? sources.join(' and ') : null);
  return (
    <article class="card" aria-labelledby={`tag-${tag}`}>
      <header>
        <h3 id={`tag-${tag}`}>
          <a href={`#/resource/${tag}`}>{tag}</a>
        </h3>
        <StateBadge status={status} />
      </header>
      <p class="soft">
        {where === null ? `nobody serves it; last owner ${lastOwner ?? 'none'}` : `on ${where}`}, epoch{' '}
        {epoch}
      </p>
      <ul class="mirrors">
        {mirrors.map((mirror) => (
          <MirrorRow key={mirror.target} status={status} mirror={mirror} scene={scene} nowMs={nowMs} />
        ))}
      </ul>
      {mirrors.length === 0 && <p>It has one replica only: mirrorkeeper extend makes another.</p>}
    </article>
  );
}

function Latest({ scene }: { scene: Scene }) {
  const latest = scene.entries
    .map((entry, index) => ({ entry, place: scene.from + index }))
    .filter(({ entry }) => !isRoutine(entry))
    .slice(-latestShown)
    .reverse();
  return (
    <section aria-labelledby="latest">
      <div class="title">
        <h2 id="latest">Latest events</h2>
        <a href="#/history">All of the history</a>
      </div>
      <ol class="events">
        {latest.map(({ entry, place }) => (
          <EventLine key={entry.event} entry={entry} place={place} />
        ))}
      </ol>
      {scene.asOf.time !== null && (
        <p class="soft">
          As of {clockText(scene.asOf.time)}, {scene.length} events.
        </p>
      )}
    </section>
  );
}
