import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * Bundles the dashboard's page (adapters/web/page) into dist/adapters/web/page. Scripts and styles carry the hash of
 * what is in them, so that browsers may keep them for good; `index.html` names them.
 */
const from = fileURLToPath(new URL('../../adapters/web/page/', import.meta.url));
const to = fileURLToPath(new URL('../adapters/web/page/', import.meta.url));

rmSync(to, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: [join(from, 'main.tsx'), join(from, 'style.css')],
  outdir: to,
  entryNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  metafile: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
});
const names = Object.keys(metafile.outputs).map((path) => basename(path));
const nameOf = (pattern: RegExp): string => {
  const name = names.find((one) => pattern.test(one));
  if (name === undefined) throw new Error(`the bundle has no ${pattern}`);
  return name;
};
const html = readFileSync(join(from, 'index.html'), 'utf8')
  .replace('main.tsx', nameOf(/^main-.*\.js$/))
  .replace('style.css', nameOf(/^style-.*\.css$/));
copyFileSync(join(from, 'icon.svg'), join(to, 'icon.svg'));
writeFileSync(join(to, 'index.html'), html);
