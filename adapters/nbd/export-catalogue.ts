import type { Export } from './export.ts';

/**
 * The exports that are being served, by name. A name is `VOLUME@EPOCH`.
 *
 * Why the epoch is in it (FAULTS 34): after A → B → A the same address serves the same volume again, but a client
 * left over from the first reign holds pages that are older than what B wrote meanwhile. It reconnects under the
 * name that it was given, that name no longer exists, and none of its stale pages reaches the volume. Whoever
 * keeps a client attached across reconnects (the agent, `nbdfuse`, `nbd-client -persist`) must therefore use the
 * full name; the bare volume name and the empty name (the first volume) are for people and tools that connect
 * once, and mean the epoch at that moment.
 */
export class ExportCatalogue {
  readonly #exports: Export[] = [];

  /** The caller withdraws a volume's earlier reign first: two at once would both be acknowledged. */
  add(offered: Export): void {
    if (this.#exports.some(({ volume }) => volume === offered.volume)) {
      throw new Error(`volume ${offered.volume} is being served already`);
    }
    this.#exports.push(offered);
  }

  remove(withdrawn: Export): void {
    const index = this.#exports.indexOf(withdrawn);
    if (index >= 0) this.#exports.splice(index, 1);
  }

  resolve(name: string): Export | undefined {
    if (name === '') return this.#exports[0];
    return this.#exports.find((served) => name === exportName(served) || name === served.volume);
  }

  names(): readonly string[] {
    return this.#exports.map(exportName);
  }
}

export function exportName({ volume, epoch }: Pick<Export, 'volume' | 'epoch'>): string {
  return `${volume}@${epoch}`;
}
