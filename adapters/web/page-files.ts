import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

export interface PageFile {
  readonly content: Buffer;
  readonly type: string;
  /** Its name holds the hash of what is in it, so a browser may keep it for good. */
  readonly isForGood: boolean;
}

/** The page as the build left it, by the path it is asked for at; empty where it was not built. Names from outside are looked up, never opened. */
export function readPageFiles(folder: string): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  if (!existsSync(join(folder, 'index.html'))) return files;
  for (const name of readdirSync(folder)) {
    const type = types[name.split('.').at(-1) ?? ''];
    if (type === undefined) continue;
    const content = readFileSync(join(folder, name));
    files.set(name === 'index.html' ? '/' : `/${name}`, { content, type, isForGood: name !== 'index.html' });
  }
  return files;
}
