import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const folders = ['domain', 'journal', 'projections', 'adapters', 'tools'] as const;
const mayImport: Record<string, readonly string[]> = {
  domain: ['domain'],
  journal: ['domain', 'journal'],
  projections: ['domain', 'projections'],
  adapters: ['domain', 'journal', 'projections', 'adapters'],
  tools: ['domain', 'journal', 'projections', 'adapters', 'tools'],
  test: ['domain', 'journal', 'projections', 'adapters', 'tools', 'test'],
};

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources = [...folders, 'test'].flatMap(read);

function read(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => {
      const path = join(folder, file);
      const text = readFileSync(join(root, path), 'utf8');
      const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
      return { path, text, imports };
    });
}

const top = (path: string) => path.split('/')[0] ?? '';
const resolved = (source: Source, specifier: string) => normalize(join(dirname(source.path), specifier));
const isPure = ({ path }: Source) => /^(domain|projections)\/|-(codec|session)\.ts$/.test(path);
const product = sources.filter(({ path }) => top(path) !== 'test');

describe('house rules', () => {
  it('imports go one way', () => {
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => top(resolved(source, specifier)))
        .filter((target) => target !== top(source.path) && !mayImport[top(source.path)]?.includes(target))
        .map((target) => `${source.path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('only journal/ imports level, only adapters/bus/ imports nats', () => {
    const wrong = product.flatMap(({ path, imports }) =>
      imports
        .filter(
          (specifier) =>
            (/^(classic-)?level$/.test(specifier) &&
              top(path) !== 'journal' &&
              path !== 'tools/bench-journal.ts') ||
            (/^(nats|@nats-io\/.*)$/.test(specifier) && !path.startsWith('adapters/bus/')),
        )
        .map((specifier) => `${path} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('domain, projections, codecs and sessions have no clock, no I/O and no randomness', () => {
    const forbidden =
      /\bDate\.|new Date\(\)|Math\.random|\bsetTimeout\b|\bsetInterval\b|\bprocess\.|performance\.now|randomBytes|randomUUID/;
    const wrong = sources
      .filter(isPure)
      .flatMap(({ path, text, imports }) => [
        ...(forbidden.test(text) ? [`${path} uses ${forbidden.exec(text)?.[0]}`] : []),
        ...imports
          .filter((specifier) => /^node:(?!buffer|crypto|zlib)|^(level|nats|pino)$/.test(specifier))
          .map((specifier) => `${path} imports ${specifier}`),
      ]);
    expect(wrong).toEqual([]);
  });

  it('domain imports only xstate, immer, zod and itself', () => {
    const wrong = sources
      .filter(({ path }) => top(path) === 'domain')
      .flatMap(({ path, imports }) =>
        imports
          .filter((specifier) => !specifier.startsWith('.') && !/^(xstate|immer|zod)(\/|$)/.test(specifier))
          .map((specifier) => `${path} imports ${specifier}`),
      );
    expect(wrong).toEqual([]);
  });

  /** What only tests run, and is part of the product all the same: the second implementation of a port, the invariants. */
  const instruments = ['adapters/bus/in-process-bus.ts', 'domain/invariants.ts', 'domain/redecide.ts'];

  it('no source file is dead: each is imported by the product or is an entry point', () => {
    const imported = new Set(
      product.flatMap((source) => source.imports.map((name) => resolved(source, name))),
    );
    const scripts = readFileSync(join(root, 'package.json'), 'utf8');
    const isEntry = (path: string) =>
      instruments.includes(path) ||
      scripts.includes(`dist/${path.replace(/\.ts$/, '.js')}`) ||
      /^adapters\/(engine|agent|web\/page)\/main\.tsx?$/.test(path);
    const dead = product.map(({ path }) => path).filter((path) => !imported.has(path) && !isEntry(path));
    expect(dead).toEqual([]);
  });

  it('the source says what is built, not what is missing', () => {
    const confess = /\b(TODO|FIXME|XXX|HACK)\b|@ts-(ignore|nocheck)/;
    expect(product.filter(({ text }) => confess.test(text)).map(({ path }) => relative('.', path))).toEqual(
      [],
    );
  });
});
