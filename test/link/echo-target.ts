import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';

/** Compiled: Node 20 runs no TypeScript. `npm test` builds first. */
const root = join(import.meta.dirname, '../..').replace(/\/dist$/, '');

export interface EchoTarget {
  readonly child: ChildProcess;
  readonly ports: { readonly link: number; readonly bare: number };
}

export function startEchoTarget(): Promise<EchoTarget> {
  const child = spawn(process.execPath, [join(root, 'dist/test/link/echo-target-main.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the echo target ended with ${code}`)));
    child.stdout.once('data', (bytes: Buffer) => resolve({ child, ports: JSON.parse(bytes.toString()) }));
  });
}
