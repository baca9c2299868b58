import { connect } from 'node:net';
import type { RefusalCode } from '../../domain/refusals.ts';
import type { NodeView } from '../../projections/nodes.ts';
import type { StatusView } from '../../projections/status.ts';
import type { TimelineEntry } from '../../projections/timeline.ts';

export type Status = StatusView & {
  readonly asOf: {
    readonly heads: Readonly<Record<string, readonly [incarnation: number, sequence: number]>>;
  };
};

/** A reply as REQUIREMENTS 5 writes it down; queries add what was asked for. */
export interface Reply {
  readonly ok: boolean;
  readonly commandId: string;
  readonly decider: string;
  readonly events: readonly string[];
  readonly refusal?: { readonly code: RefusalCode; readonly message: string };
  readonly loss?: { readonly text: string; readonly writes: number | null; readonly bytes: number | null };
  readonly token?: string;
  readonly error?: string;
  readonly message?: string;
  readonly status?: readonly Status[];
  readonly nodes?: readonly NodeView[];
  readonly timeline?: readonly TimelineEntry[];
  readonly bitmaps?: ReadonlyArray<{
    readonly peer: string;
    readonly volumes: ReadonlyArray<{ readonly dirtyRegions: number }>;
  }>;
  readonly command?: { readonly outcome: string; readonly events: readonly TimelineEntry[] };
}

/** One request over DIR/agent.sock, as the CLI makes it. */
export function askAgent(socketPath: string, command: string, body: object, boundMs: number): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.setTimeout(boundMs + 2000, () => fail(`no reply to ${command} within ${boundMs} ms`));
    const fail = (why: string) => {
      socket.destroy();
      reject(new Error(`${socketPath}: ${why}`));
    };
    socket.on('error', (error) => fail(error.message));
    socket.once('close', () => fail(`closed without a reply to ${command}`));
    socket.once('connect', () =>
      socket.write(
        `${JSON.stringify({ request: 1, command, user: 'operator', timeoutMs: boundMs, body })}\n`,
      ),
    );
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (more: string) => {
      text += more;
      const end = text.indexOf('\n');
      if (end < 0) return;
      resolve((JSON.parse(text.slice(0, end)) as { reply: Reply }).reply);
      socket.destroy();
    });
  });
}
