import type { Command } from './commands.ts';
import type { Loss } from './events.ts';
import type { Facts } from './facts.ts';
import { type ResourceState, reigns, totalBytes } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/**
 * Rule 23: what a command would destroy, in words and numbers; null where it destroys nothing. It then runs only
 * with the token below, which names this state of things and no other.
 */
export function lossOf(resource: ResourceState | undefined, command: Command, facts: Facts): Loss | null {
  switch (command.command) {
    case 'create': {
      if (command.content !== 'new-filesystem') return null;
      return overwritten(
        command.volumes.map(({ path }) => path),
        command.node,
        facts,
      );
    }
    case 'extend': {
      if (!command.fullSync) return null;
      return overwritten(
        command.volumes.map(({ path }) => path),
        command.node,
        facts,
      );
    }
    case 'delete':
      return plain(
        `the mirrors of ${command.tag}, its intent logs and its place in failover; the volumes keep their bytes`,
      );
    case 'force-online':
      return resource
        ? behind(resource, command.node, facts, `${command.node} serves its copy as it is`)
        : null;
    case 'resolve-split-brain':
      return resource ? victimLoses(resource, command.victim, facts) : null;
    case 'out-of-service':
      return resource?.phase === 'split-brain' && command.node !== undefined && reigns(resource, command.node)
        ? victimLoses(resource, command.node, facts)
        : null;
    case 'full-resync': {
      const targets = command.targets ?? Object.keys(resource?.mirrors ?? {});
      return plain(
        `what is on ${targets.join(', ')}: it is overwritten with all of the source, and not usable until then`,
      );
    }
    case 'bitmap-mark-clean': {
      const peers = command.peer === undefined ? 'every other replica' : command.peer;
      return plain(
        `the knowledge where ${command.node} and ${peers} differ: the copies count as equal from then on`,
      );
    }
    default:
      return null;
  }
}

const plain = (text: string): Loss => ({ text, writes: null, bytes: null, since: null });

function overwritten(paths: readonly string[], node: NodeName, facts: Facts): Loss | null {
  const filled = paths.filter((path) => facts.paths?.[path]?.blank === false);
  if (filled.length === 0) return null;
  const bytes = filled.reduce((sum, path) => sum + (facts.paths?.[path]?.byteSize ?? 0), 0);
  return {
    text: `what is on ${filled.join(', ')} of ${node} is overwritten`,
    writes: null,
    bytes,
    since: null,
  };
}

/** How old a copy is, and what it is known to miss. */
function behind(resource: ResourceState, node: NodeName, facts: Facts, effect: string): Loss {
  const replica = resource.replicas[node];
  const missed = facts.replicas?.[node]?.behind ?? null;
  const bytes = missed?.bytes ?? markedElsewhere(node, facts);
  const isBehind = replica !== undefined && replica.data !== 'up-to-date';
  const age = isBehind ? `, since ${replica.because}, ${ageText(facts.now - replica.since)} ago` : '';
  const known = missed
    ? `it is known to miss ${missed.writes} writes, ${missed.bytes} bytes`
    : bytes !== null && bytes > 0
      ? `the others have marked ${bytes} bytes that it misses`
      : 'how much it misses is not known here';
  return {
    text: `${effect}: it is ${replica?.data ?? 'unknown'}${age}; ${known}; what another node wrote meanwhile is lost`,
    writes: missed?.writes ?? null,
    bytes,
    since: isBehind ? replica.because : null,
  };
}

/** What the other replicas that answered have marked for this one; null where none keeps an intent log. */
function markedElsewhere(node: NodeName, { replicas }: Facts): number | null {
  const marks = Object.entries(replicas ?? {}).flatMap(([other, { dirtyBytes }]) =>
    other === node || typeof dirtyBytes[node] !== 'number' ? [] : [dirtyBytes[node]],
  );
  return marks.length === 0 ? null : Math.max(...marks);
}

const ages = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const;

/** The largest whole unit: `3 h`. */
function ageText(ms: number): string {
  const [size, unit] = ages.find(([its]) => ms >= its) ?? [1000, 's'];
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`;
}

function victimLoses(resource: ResourceState, victim: NodeName, facts: Facts): Loss {
  const survivor = resource.reigns.find(({ node }) => node !== victim)?.node;
  const dirty = survivor === undefined ? null : (facts.replicas?.[victim]?.dirtyBytes[survivor] ?? null);
  const size = dirty ?? totalBytes(resource, victim);
  return {
    text: `what ${victim} wrote since the split (at most ${size} bytes) is overwritten from ${survivor}`,
    writes: null,
    bytes: size,
    since: resource.because,
  };
}

/** Bound to the command, the resource's version and the generations: after any change it is stale. */
export function acceptanceToken(resource: ResourceState | undefined, command: Command): string {
  const {
    id: _id,
    actor: _actor,
    digest: _digest,
    reason: _reason,
    acceptLoss: _token,
    dryRun: _dryRun,
    deadline: _deadline,
    ...body
  } = command;
  const generations = Object.values(resource?.replicas ?? {}).map(
    ({ node, generation }) => `${node}=${generation}`,
  );
  const named = [body, resource?.id ?? '', resource?.version ?? '', generations.sort()];
  return fingerprint(JSON.stringify(named, inOrderOfNames));
}

/** A command that was read from the journal names its fields in another order than the one that came by the bus. */
const inOrderOfNames = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
    : value;

/** FNV-1a over UTF-16 code units, 64 bits, 16 hex digits: names a text; no secret. */
export function fingerprint(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let index = 0; index < text.length; index += 1) {
    hash ^= BigInt(text.charCodeAt(index));
    hash = (hash * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash.toString(16).padStart(16, '0');
}
