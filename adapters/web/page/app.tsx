import { useEffect, useState } from 'preact/hooks';
import { Announcer } from './announcer.tsx';
import { CapacityPage } from './capacity.tsx';
import { HistoryPage } from './history.tsx';
import { OperatorButton } from './operator.tsx';
import { Overview } from './overview.tsx';
import { ResourcePage } from './resource.tsx';
import { SplitBrainPage } from './split-brain.tsx';
import { agentNow, type PageState, usePage } from './store.ts';
import { PastBanner, TimeTravel } from './time-travel.tsx';

const ticksMs = 1000;

export function App() {
  const page = usePage();
  const [nowMs, setNow] = useState(agentNow());
  useEffect(() => {
    const timer = setInterval(() => setNow(agentNow()), ticksMs);
    return () => clearInterval(timer);
  }, []);
  const { present, past, path } = page;
  const scene = past ?? present;
  const shownMs = past?.asOf.time ? Date.parse(past.asOf.time) : nowMs;
  return (
    <div class={past === null ? 'app' : 'app in-past'}>
      <a class="skip" href="#main">
        To the content
      </a>
      <Head page={page} />
      {past !== null && <PastBanner past={past} />}
      <main id="main" tabIndex={-1}>
        {scene === null ? (
          <p role="status">Asking the agent …</p>
        ) : (
          <Routed page={page} path={path} nowMs={shownMs} />
        )}
      </main>
      {present !== null && <Announcer scene={present} />}
      {present !== null && (
        <footer>
          <TimeTravel present={present} />
        </footer>
      )}
    </div>
  );
}

function Routed({ page, path, nowMs }: { page: PageState; path: string; nowMs: number }) {
  const { past, present } = page;
  const scene = past ?? present;
  if (scene === null) return null;
  const live = past === null ? page.live : {};
  const shown = { scene, live, nowMs };
  const [, what = '', name = ''] = path.split('/');
  switch (what) {
    case '':
      return <Overview {...shown} />;
    case 'history':
      return <HistoryPage scene={scene} />;
    case 'capacity':
      return <CapacityPage />;
    case 'resource':
      return <ResourcePage key={name} {...shown} tag={decodeURIComponent(name)} />;
    case 'split-brain':
      return <SplitBrainPage key={name} {...shown} tag={decodeURIComponent(name)} />;
    default:
      return (
        <p>
          There is no such page. <a href="#/">To the overview</a>
        </p>
      );
  }
}

const connectionWords = {
  connecting: 'connecting …',
  live: 'live',
  lost: 'no answer; trying again',
} as const;

function Head({ page: { connection, present, path, operator } }: { page: PageState }) {
  const link = (to: string, text: string) => (
    <a href={`#${to}`} aria-current={path === to ? 'page' : undefined}>
      {text}
    </a>
  );
  return (
    <header class="head">
      <span class="brand">Mirrorkeeper</span>
      <nav aria-label="Pages">
        {link('/', 'Overview')}
        {link('/history', 'History')}
        {link('/capacity', 'Capacity')}
      </nav>
      <OperatorButton operator={operator} />
      <span class={`connection ${connection}`} role="status">
        {connectionWords[connection]}
        {present === null ? '' : `, told by ${present.node}`}
      </span>
    </header>
  );
}
