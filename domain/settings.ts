import { z } from 'zod';
import type { EndpointOf } from './events.ts';
import { AbsolutePath, Mode } from './vocabulary.ts';

/** Every settings key (REQUIREMENTS 5), with the values it takes as the bus sends them. */
const seconds = z.coerce.number().min(0).max(86_400);
const bytesPerSecond = z.coerce.number().min(0);
/** Replication paths of a pair, tried in turn. */
const pathsMax = 8;
const onOff = z.preprocess((value) => (value === 'on' ? true : value === 'off' ? false : value), z.boolean());

/** `HOST:PORT,HOST:PORT`; none for the empty text, undefined for what is none. IPv6 addresses stand in brackets. */
export function endpointsOf(text: string): readonly EndpointOf[] | undefined {
  if (text === '') return [];
  const endpoints = text.split(',').map((part) => {
    const [, inBrackets, name, port] =
      /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(part) ?? [];
    return { host: inBrackets ?? name ?? '', port: Number(port) };
  });
  const isOne = ({ host, port }: EndpointOf) => host !== '' && port >= 1 && port <= 65_535;
  return endpoints.length <= pathsMax && endpoints.every(isOne) ? endpoints : undefined;
}

export const settingSchemas = {
  'async-limit': z.coerce.number().int().min(1).max(65_536),
  'write-timeout': seconds,
  'auto-pause': z.union([z.literal('off'), seconds]),
  compress: z.coerce.number().int().min(0).max(9),
  mode: Mode,
  path: z
    .string()
    .max(1024)
    .refine((text) => endpointsOf(text) !== undefined, 'a path is HOST:PORT, or several with commas between'),
  'resync-min': bytesPerSecond,
  'resync-max': bytesPerSecond,
  'resync-checksums': onOff,
  bandwidth: bytesPerSecond,
  logdir: z.union([z.literal(''), AbsolutePath]),
  logmax: z
    .string()
    .regex(/^\d+[KMG]?$/, 'logmax is a number of bytes, with K, M or G behind it if you like'),
  'allow-async': onOff,
  priority: z.coerce.number().int().min(1).max(999),
  'confirm-failover': z.union([z.literal('off'), seconds]),
  'confirm-failover-default': z.enum(['proceed', 'block']),
  'block-resource-failover': onOff,
  heartbeat: z.coerce.number().min(0.05).max(60),
  'lost-after': z.coerce.number().int().min(2).max(1000),
  quorum: z.enum(['none', 'majority']),
  'fence-agent': z.string().max(1024),
} as const;

export const SettingKey = z.enum(
  Object.keys(settingSchemas) as [keyof typeof settingSchemas, ...(keyof typeof settingSchemas)[]],
);
export type SettingKey = keyof typeof settingSchemas;
export type SettingValue<K extends SettingKey> = z.infer<(typeof settingSchemas)[K]>;

/** What holds where nobody set anything (REQUIREMENTS 1, 2; rule 14). */
export const settingDefaults = {
  'async-limit': 256,
  'write-timeout': 30,
  'auto-pause': 'off',
  compress: 0,
  'resync-checksums': false,
  'allow-async': false,
  'confirm-failover': 'off',
  'confirm-failover-default': 'proceed',
  'block-resource-failover': false,
  heartbeat: 1,
  'lost-after': 5,
  quorum: 'none',
} as const satisfies Partial<{ [K in SettingKey]: SettingValue<K> }>;

/** A setting is found by the most telling scope first: pair in a resource, node in it, resource, pair, node. */
export interface Scope {
  readonly tag?: string | undefined;
  readonly node?: string | undefined;
  readonly peer?: string | undefined;
}

export type Settings = Record<string, unknown>;

export function scopeKey(scope: Scope, key: SettingKey): string {
  return `${scope.tag ?? ''}/${scope.node ?? ''}/${scope.peer ?? ''}/${key}`;
}

/** The value in force for `key`, or its default; undefined where there is neither. */
export function settingOf<K extends SettingKey>(
  settings: Settings,
  scope: Scope,
  key: K,
): SettingValue<K> | undefined {
  const found = scopeInForce(settings, scope, key);
  if (found !== undefined) return settings[found] as SettingValue<K>;
  return (settingDefaults as Partial<{ [P in SettingKey]: unknown }>)[key] as SettingValue<K> | undefined;
}

/** Under which of the settings' own keys the value in force stands; undefined where nobody set any. */
export function scopeInForce(
  settings: Settings,
  { tag, node, peer }: Scope,
  key: SettingKey,
): string | undefined {
  const scopes: Scope[] = [
    { tag, node, peer },
    { tag, node: peer, peer: node },
    { tag, node },
    { tag },
    { node, peer },
    { node: peer, peer: node },
    { node },
    {},
  ];
  for (const scope of scopes) {
    const name = scopeKey(scope, key);
    if (settings[name] !== undefined) return name;
  }
  return undefined;
}

/** Rule 14: how long a failover waits to be confirmed, and what happens without; undefined where it does not wait. */
export function confirmation(
  settings: Settings,
  tag: string,
  lost: string,
  taker: string,
): { readonly seconds: number; readonly default: 'proceed' | 'block' } | undefined {
  const scope = { tag, node: taker, peer: lost };
  const seconds = settingOf(settings, scope, 'confirm-failover');
  if (typeof seconds !== 'number') return undefined;
  return { seconds, default: settingOf(settings, scope, 'confirm-failover-default') ?? 'proceed' };
}

/** Where `node` dials `peer` instead of the address in the history; undefined where nobody said so. */
export function replicationPath(
  settings: Settings,
  tag: string,
  node: string,
  peer: string,
): readonly EndpointOf[] | undefined {
  const text = settings[scopeKey({ tag, node, peer }, 'path')];
  const endpoints = typeof text === 'string' ? endpointsOf(text) : undefined;
  return endpoints?.length === 0 ? undefined : endpoints;
}
