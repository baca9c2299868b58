import type { StatusView } from '../../../projections/status.ts';
import { ageText } from '../../../projections/status-text.ts';
import { Commands } from './commands.tsx';
import { History } from './history.tsx';
import { Alarms, type Shown } from './overview.tsx';
import { Badge, MirrorRow, StateBadge } from './parts.tsx';
import { alarmsOf, exposureOf, resourceOf, type Scene } from './scene.ts';
import { usePage } from './store.ts';
import { WhyState } from './why.tsx';

const flagWords = {
  'last-owner': 'last owner',
  'data-corrupt': 'data-corrupt flag',
  'journal-damaged': 'journal damaged',
} as const;

export function ResourcePage({ scene, live, nowMs, tag }: Shown & { tag: string }) {
  const { past } = usePage();
  const status = resourceOf(scene, live, tag);
  if (status === undefined)
    return (
      <>
        <h1>{tag}</h1>
        <p>No resource of that tag was known then.</p>
      </>
    );
  const alarms = alarmsOf(scene).filter((alarm) => alarm.tag === tag);
  return (
    <>
      <div class="title">
        <h1>{tag}</h1>
        <StateBadge status={status} />
      </div>
      <WhyState scene={scene} tag={tag} isPast={past !== null} />
      {alarms.length > 0 && <Alarms alarms={alarms} nowMs={nowMs} />}
      <section aria-labelledby="replicas">
        <h2 id="replicas">Replicas</h2>
        <Replicas status={status} />
        {status.device.map(({ volume, uri }) => (
          <p key={volume} class="soft device">
            {volume}: <code>{uri}</code>
          </p>
        ))}
      </section>
      <section aria-labelledby="mirrors">
        <h2 id="mirrors">Mirrors</h2>
        <ul class="mirrors card">
          {status.mirrors.map((mirror) => (
            <MirrorRow key={mirror.target} status={status} mirror={mirror} scene={scene} nowMs={nowMs} />
          ))}
        </ul>
        <Exposures status={status} scene={scene} />
      </section>
      <Commands status={status} />
      <History scene={scene} tag={tag} />
    </>
  );
}

function Replicas({ status }: { status: StatusView }) {
  return (
    <ul class="nodes">
      {status.nodes.map(({ node, role, alive, flags }) => (
        <li key={node}>
          <strong>{node}</strong>{' '}
          <Badge tone={role === 'source' ? 'good' : 'off'}>{role === 'none' ? 'no role' : role}</Badge>
          {!alive && <Badge tone="bad">lost</Badge>}
          {flags.map((flag) => (
            <Badge key={flag} tone={flag === 'last-owner' ? 'off' : 'bad'}>
              {flagWords[flag]}
            </Badge>
          ))}
        </li>
      ))}
    </ul>
  );
}

/** How often and how long each mirror was no protection. */
function Exposures({ status, scene }: { status: StatusView; scene: Scene }) {
  const rows = status.mirrors.flatMap(({ target }) => exposureOf(scene, status.tag, target) ?? []);
  if (rows.length === 0) return null;
  return (
    <div class="scroll">
      <table>
        <caption>Time without protection, what still lasts not counted</caption>
        <thead>
          <tr>
            <th scope="col">target</th>
            <th scope="col">times</th>
            <th scope="col">in total</th>
            <th scope="col">longest</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ target, episodes, totalMs, longestMs }) => (
            <tr key={target}>
              <th scope="row">{target}</th>
              <td>{episodes}</td>
              <td>{ageText(totalMs)}</td>
              <td>{ageText(longestMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
