import type { AlarmView } from '../../../projections/alarms.ts';
import type { ExposureView } from '../../../projections/exposure.ts';
import type { NodeView } from '../../../projections/nodes.ts';
import type { ProgressView } from '../../../projections/progress.ts';
import type { AsOf } from '../../../projections/projection.ts';
import type { StatusMirror, StatusView } from '../../../projections/status.ts';
import type { TimelineEntry } from '../../../projections/timeline.ts';
import type { Live, Picture, PictureChange, Views } from '../picture.ts';

/** What the page shows of one moment: the present one, which changes, or one of the past. Never changed in place. */
export interface Scene {
  readonly node: string;
  readonly cluster: string;
  readonly asOf: AsOf;
  readonly length: number;
  readonly views: Views;
  /** The place of the first entry that is here. */
  readonly from: number;
  readonly entries: readonly TimelineEntry[];
}

/** Entries that a page holds; older ones are asked for. */
const entriesMax = 1000;

export const sceneOf = ({ timeline, ...rest }: Picture): Scene => ({ ...rest, ...timeline });

/** null: the change does not join what is here (it begins before it, or behind it): a new picture is needed. */
export function changed(scene: Scene, change: PictureChange): Scene | null {
  const { timeline, asOf, length } = change;
  const kept = timeline.from - scene.from;
  if (kept < 0 || kept > scene.entries.length) return null;
  const entries = [...scene.entries.slice(0, kept), ...timeline.entries];
  const surplus = Math.max(0, entries.length - entriesMax);
  const views = Object.fromEntries(
    Object.entries({ ...scene.views, ...change.views }).filter(([, view]) => view !== null),
  ) as Views;
  return { ...scene, asOf, length, views, from: scene.from + surplus, entries: entries.slice(surplus) };
}

/** By the views of a moment: their names, sorted, by what stands before the first dot. */
const sorted = new WeakMap<Views, Map<string, string[]>>();

function namesIn(views: Views): Map<string, string[]> {
  const known = sorted.get(views);
  if (known !== undefined) return known;
  const names = new Map<string, string[]>();
  for (const name of Object.keys(views).sort()) {
    const kind = name.slice(0, name.indexOf('.'));
    const others = names.get(kind);
    if (others === undefined) names.set(kind, [name]);
    else others.push(name);
  }
  sorted.set(views, names);
  return names;
}

const viewsNamed = <V>({ views }: Scene, kind: string): V[] =>
  (namesIn(views).get(kind) ?? []).map((name) => views[name] as V);

export const nodesOf = (scene: Scene): NodeView[] => viewsNamed<NodeView>(scene, 'node');

/** The critical ones first. */
export const alarmsOf = (scene: Scene): AlarmView[] =>
  viewsNamed<AlarmView>(scene, 'alarm').sort((a, b) => severity(a) - severity(b));

const severity = (alarm: AlarmView) => (alarm.severity === 'critical' ? 0 : 1);

export const resourcesOf = (scene: Scene, live: Live): StatusView[] =>
  viewsNamed<StatusView>(scene, 'status').map((status) => measured(status, live));

export function resourceOf(scene: Scene, live: Live, tag: string): StatusView | undefined {
  const status = scene.views[`status.${tag}`] as StatusView | undefined;
  return status && measured(status, live);
}

export const exposureOf = (scene: Scene, tag: string, target: string): ExposureView | undefined =>
  scene.views[`exposure.${tag}.${target}`] as ExposureView | undefined;

export const progressOf = (scene: Scene, tag: string, target: string): ProgressView | undefined =>
  scene.views[`progress.${tag}.${target}`] as ProgressView | undefined;

/** What the source's engine measures goes over what the history knows, for as long as that node is the source, and alive. */
function measured(status: StatusView, live: Live): StatusView {
  const known = live[status.tag];
  const isAlive = status.nodes.some(({ node, alive }) => alive && node === known?.source);
  if (!known || known.source !== status.source || !isAlive) return status;
  const mirrors = status.mirrors.map(
    (mirror): StatusMirror => ({ ...mirror, ...known.mirrors[mirror.target] }),
  );
  return { ...status, mirrors };
}

/** Status, progress and exposures of a resource, in one order: the same objects for as long as nothing changes them. */
export function viewsAbout(scene: Scene, tag: string): object[] {
  const status = scene.views[`status.${tag}`] as StatusView | undefined;
  const targets = status?.mirrors.map(({ target }) => target) ?? [];
  const names = targets.flatMap((target) => [`progress.${tag}.${target}`, `exposure.${tag}.${target}`]);
  return [`status.${tag}`, ...names].flatMap((name) => scene.views[name] ?? []);
}
