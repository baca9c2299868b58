import { z } from 'zod';
import { type Scope, type Settings, scopeKey, settingSchemas } from '../domain/settings.ts';
import { NodeName, Tag } from '../domain/vocabulary.ts';

/**
 * The file of `journal backtest --policy FILE`: settings as `mirrorkeeper settings` takes them, that the history is
 * judged by instead of what was set. One with a narrower scope that stands in the history still wins over a wider one
 * of the file, as it would have then.
 */
const scope = { tag: Tag.optional(), node: NodeName.optional(), peer: NodeName.optional() };

const entry = <K extends keyof typeof settingSchemas>(key: K) =>
  z.strictObject({ ...scope, key: z.literal(key), value: settingSchemas[key] });

const PolicySetting = z.discriminatedUnion('key', [
  entry('heartbeat'),
  entry('lost-after'),
  entry('confirm-failover'),
  entry('confirm-failover-default'),
  entry('priority').required({ node: true }),
]);

export const BacktestPolicy = z.strictObject({ settings: z.array(PolicySetting).min(1).max(1000) });
export type BacktestPolicy = z.infer<typeof BacktestPolicy>;

/** What was set, with the policy's own over it. */
export function settingsUnder(policy: BacktestPolicy, settings: Settings): Settings {
  const own = policy.settings.map(({ tag, node, peer, key, value }) => [
    scopeKey({ tag, node, peer } as Scope, key),
    value,
  ]);
  return { ...settings, ...Object.fromEntries(own) };
}

/** The priority that the policy gives a node in a resource; undefined where it says nothing. */
export function priorityUnder(policy: BacktestPolicy, tag: string, node: string): number | undefined {
  const found = policy.settings.findLast(
    (one) => one.key === 'priority' && one.node === node && (one.tag === undefined || one.tag === tag),
  );
  return found?.key === 'priority' ? found.value : undefined;
}
