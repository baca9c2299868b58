import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { StatusMirror, StatusView } from '../../../projections/status.ts';
import { bytesText, durationText } from '../../../projections/status-text.ts';
import type { TimelineEntry } from '../../../projections/timeline.ts';
import { exposureOf, progressOf, type Scene } from './scene.ts';
import { travelTo } from './store.ts';
import {
  clockText,
  exposureText,
  mirrorWords,
  shortEvent,
  stateTones,
  stateWords,
  type Tone,
  takeoverText,
} from './text.ts';
import { WhyRefused } from './why.tsx';

/** Each tone has a symbol of its own (style.css), so that nobody depends on colours. */
export const Badge = ({ tone, children }: { tone: Tone; children: ComponentChildren }) => (
  <span class={`badge ${tone}`}>{children}</span>
);

export const StateBadge = ({ status }: { status: StatusView }) => (
  <Badge tone={stateTones[status.state]}>{stateWords[status.state]}</Badge>
);

/** One mirror: direction, mode, status, whether its target can take over, and what would be lost. */
export function MirrorRow({
  status,
  mirror,
  scene,
  nowMs,
}: {
  status: StatusView;
  mirror: StatusMirror;
  scene: Scene;
  nowMs: number;
}) {
  const { words, tone } = mirrorWords(mirror);
  const exposure = exposureOf(scene, status.tag, mirror.target);
  return (
    <li class="mirror">
      <div class="way">
        <span class="end">{mirror.source}</span>
        <span class={`arrow ${tone}`} aria-hidden="true" />
        <span class="hidden">mirrors to</span>
        <span class="end">{mirror.target}</span>
        <span class="mode">{mirror.mode}</span>
        <Badge tone={tone}>{words}</Badge>
      </div>
      {mirror.status === 'resyncing' && <ResyncBar scene={scene} tag={status.tag} mirror={mirror} />}
      <p class="facts">
        <span class={mirror.eligible ? 'can' : 'cannot'}>{takeoverText(mirror)}</span>
        <span>{exposureText(mirror, exposure, nowMs)}</span>
      </p>
    </li>
  );
}

function ResyncBar({ scene, tag, mirror }: { scene: Scene; tag: string; mirror: StatusMirror }) {
  const percent = Math.floor(mirror.percent ?? 0);
  const progress = progressOf(scene, tag, mirror.target);
  const { speedBytesPerSecond: speed, etaSeconds: eta } = mirror;
  return (
    <div class="resync">
      <progress max={100} value={percent} aria-label={`resync of ${mirror.target}`} />
      <span>
        {progress?.kind ?? ''} {percent}%{speed ? `, ${bytesText(speed)}/s` : ''}
        {eta === null ? '' : `, ${durationText(eta)} left`}
      </span>
    </div>
  );
}

/** An event as one sentence, with who and why; its time leads to the state as of then. */
export function EventLine({
  entry,
  place,
  onCause,
}: {
  entry: TimelineEntry;
  place: number;
  onCause?: (event: string) => void;
}) {
  const { actor, reason, cause } = entry;
  return (
    <li class="event" id={`event-${entry.event}`} tabIndex={-1}>
      <button
        type="button"
        class="time"
        title="show everything as of then"
        onClick={() => travelTo({ place: place + 1 })}
      >
        <span class="hidden">show the state as of </span>
        {clockText(entry.time)}
      </button>
      <div>
        <p class="sentence">{entry.sentence}</p>
        <div class="origin">
          <span>{shortEvent(entry.event)}</span>
          <span class="type">{entry.type}</span>
          <span>
            by {actor.id} ({actor.via}
            {actor.verified ? '' : ', not verified'})
          </span>
          {reason !== null && <span>because “{reason}”</span>}
          {entry.type === 'command.refused' && <WhyRefused event={entry.event} />}
          {cause !== null &&
            (onCause === undefined ? (
              <span>after {shortEvent(cause)}</span>
            ) : (
              <button type="button" class="link" onClick={() => onCause(cause)}>
                after {shortEvent(cause)}
              </button>
            ))}
        </div>
      </div>
    </li>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly string[];
  readonly set: (value: string) => void;
  /** The word for no choice, where none has to be made. */
  readonly any?: string;
}

export function Choice({ label, value, options, set, any }: ChoiceProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => set(event.currentTarget.value)}>
        {any !== undefined && <option value="">{any}</option>}
        {options.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    </div>
  );
}
