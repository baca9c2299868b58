import { useEffect, useState } from 'preact/hooks';
import type { BranchesView, BranchView } from '../../../projections/branches.ts';
import { bytesText } from '../../../projections/status-text.ts';
import { Commands } from './commands.tsx';
import { isRoutine } from './history.tsx';
import type { Shown } from './overview.tsx';
import { StateBadge } from './parts.tsx';
import { resourceOf } from './scene.ts';
import { getJson, usePage } from './store.ts';
import { clockText, shortEvent } from './text.ts';

/** Both branches of a split resource side by side, before a victim can be chosen (rule 12). */
export function SplitBrainPage({ scene, live, tag }: Shown & { tag: string }) {
  const { past } = usePage();
  const [branches, setBranches] = useState<BranchesView | null>(null);
  const [problem, setProblem] = useState('');
  const status = resourceOf(scene, live, tag);
  const isSplit = status?.state === 'split-brain' || status?.state === 'conflicted';
  const place = past?.length ?? null;
  useEffect(() => {
    if (!isSplit) return setBranches(null);
    const at = place === null ? '' : `&place=${place}`;
    getJson<BranchesView>(`/api/branches?tag=${encodeURIComponent(tag)}${at}`).then(
      (view) => {
        setBranches(view);
        setProblem('');
      },
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
  }, [tag, place, isSplit, scene.length]);
  return (
    <>
      <div class="title">
        <h1>Split brain of {tag}</h1>
        {status !== undefined && <StateBadge status={status} />}
      </div>
      {!isSplit && (
        <p>
          {tag} is not split{past === null ? ' now' : ' as of then'}.{' '}
          <a href={`#/resource/${tag}`}>Look at it</a>
        </p>
      )}
      {problem !== '' && <p role="alert">{problem}</p>}
      {isSplit && branches !== null && (
        <>
          <section aria-labelledby="common">
            <h2 id="common">The last common point</h2>
            <p class="card">
              {branches.common === null
                ? 'None is known: the two have no common past.'
                : `${clockText(branches.common.time)}: ${branches.common.sentence} (${shortEvent(branches.common.event)})`}
            </p>
          </section>
          <section aria-labelledby="sides">
            <h2 id="sides">What became of it since</h2>
            <div class="sides">
              {branches.branches.map((branch) => (
                <Branch
                  key={branch.node}
                  branch={branch}
                  tag={tag}
                  others={branches.branches.map(({ node }) => node)}
                />
              ))}
            </div>
          </section>
          {status !== undefined && <Commands status={status} />}
        </>
      )}
    </>
  );
}

function Branch({ branch, tag, others }: { branch: BranchView; tag: string; others: readonly string[] }) {
  const { node, epoch, entered, began, without, entries } = branch;
  return (
    <article class="card" aria-labelledby={`branch-${node}`}>
      <h3 id={`branch-${node}`}>{node}</h3>
      <dl>
        <dt>Source since</dt>
        <dd>{entered === null ? 'not known' : `${clockText(entered.time)}, epoch ${epoch}`}</dd>
        <dt>Why</dt>
        <dd>
          {entered === null
            ? 'not known'
            : `${entered.sentence}; by ${entered.actor.id} (${entered.actor.via})${entered.reason === null ? '' : `, because “${entered.reason}”`}`}
        </dd>
        <dt>Wrote alone</dt>
        <dd>
          {began === null
            ? 'no first write is known'
            : `since ${clockText(began.time)}, without ${without.join(', ')}`}
        </dd>
        <dt>Wrote</dt>
        <dd>
          <Written tag={tag} node={node} others={others} />
        </dd>
      </dl>
      <h4>Its events since then</h4>
      <ol class="plain">
        {entries
          .filter((entry) => !isRoutine(entry))
          .map((entry) => (
            <li key={entry.event}>
              <span class="soft">{clockText(entry.time)}</span> {entry.sentence}
            </li>
          ))}
      </ol>
    </article>
  );
}

interface Bitmaps {
  readonly ok: boolean;
  readonly bitmaps?: ReadonlyArray<{
    readonly peer: string;
    readonly volumes: ReadonlyArray<{ readonly dirtyRegions: number }>;
  }>;
}

const regionBytes = 65_536;

/** What the node's own intent log has marked for the other side, now. */
function Written({ tag, node, others }: { tag: string; node: string; others: readonly string[] }) {
  const [text, setText] = useState('asking …');
  const sides = others.join(' ');
  useEffect(() => {
    const query = new URLSearchParams({ tag, node });
    getJson<Bitmaps>(`/api/bitmap?${query}`).then(
      ({ bitmaps = [] }) => {
        const marked = bitmaps.filter(({ peer }) => sides.split(' ').includes(peer));
        const regions = marked
          .flatMap(({ volumes }) => volumes)
          .reduce((sum, { dirtyRegions }) => sum + dirtyRegions, 0);
        setText(
          marked.length === 0
            ? 'its intent log cannot be read now'
            : `at most ${bytesText(regions * regionBytes)}, in ${regions} regions of 64 KiB`,
        );
      },
      () => setText('it cannot be asked now'),
    );
  }, [tag, node, sides]);
  return <>{text}</>;
}
