import { Buffer } from 'node:buffer';
import type { Export } from './export.ts';
import { type ExportCatalogue, exportName } from './export-catalogue.ts';
import {
  decodeInfoRequest,
  decodeMetaContextRequest,
  encodeExport,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeInfoName,
  encodeMetaContext,
  encodeOptionReply,
  encodeServer,
} from './nbd-codec.ts';
import type { Outbox } from './outbox.ts';
import {
  allocationContext,
  handshakeFlag,
  infoType,
  limit,
  option,
  optionReply,
  transmissionFlag,
} from './protocol.ts';

/** What an option leads to: on with haggling, into transmission, or the end of the connection. */
export type Outcome = 'haggling' | 'transmission' | 'end' | 'violation';

const nothing = Buffer.alloc(0);

/** Fixed newstyle negotiation: client flags, then options, until one of them selects an export. */
export class Negotiation {
  readonly #catalogue: ExportCatalogue;
  readonly #out: Outbox;
  #padding: 0 | 124 = 124;
  #contextOf: Export | null = null;
  /** The export that was agreed on, once the outcome is `transmission`. */
  target: Export | null = null;
  isStructured = false;

  constructor(catalogue: ExportCatalogue, out: Outbox) {
    this.#catalogue = catalogue;
    this.#out = out;
  }

  /** Contexts are selected for one export; they do not carry over to another. */
  get hasAllocationContext(): boolean {
    return this.#contextOf !== null && this.#contextOf === this.target;
  }

  /** False: flags that nobody offered. */
  clientFlags(flags: number): boolean {
    if ((flags & ~(handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes)) !== 0) return false;
    if ((flags & handshakeFlag.noZeroes) !== 0) this.#padding = 0;
    return true;
  }

  /** The data of this option is longer than any that makes sense; it is dropped unread. */
  oversized(chosen: number): Outcome {
    if (chosen === option.exportName) return 'violation';
    if (chosen === option.abort) return this.#abort();
    if (chosen === option.setMetaContext) this.#contextOf = null;
    const isKnown = chosen !== option.startTls && Object.values<number>(option).includes(chosen);
    return this.#answer(chosen, isKnown ? optionReply.tooBig : optionReply.unsupported);
  }

  option(chosen: number, data: Buffer): Outcome {
    switch (chosen) {
      case option.exportName:
        return this.#exportName(data);
      case option.abort:
        return this.#abort();
      case option.list:
        return this.#list(data);
      case option.info:
      case option.go:
        return this.#infoOrGo(chosen, data);
      case option.structuredReply:
        if (data.length > 0) return this.#invalid(chosen, 'this option takes no data');
        this.isStructured = true;
        return this.#answer(chosen, optionReply.ack);
      case option.listMetaContext:
        return this.#listMetaContext(data);
      case option.setMetaContext:
        return this.#setMetaContext(data);
      default:
        return this.#answer(chosen, optionReply.unsupported);
    }
  }

  /** This option cannot be answered with an error: an unknown export ends the connection. */
  #exportName(data: Buffer): Outcome {
    const target = data.length > limit.name ? undefined : this.#catalogue.resolve(data.toString('utf8'));
    if (!target) return 'violation';
    this.target = target;
    this.#out.append(encodeExport(target.byteSize, this.#transmissionFlags(target), this.#padding));
    return 'transmission';
  }

  #abort(): Outcome {
    this.#answer(option.abort, optionReply.ack);
    return 'end';
  }

  #list(data: Buffer): Outcome {
    if (data.length > 0) return this.#invalid(option.list, 'this option takes no data');
    for (const name of this.#catalogue.names()) {
      this.#answer(option.list, optionReply.server, encodeServer(name));
    }
    return this.#answer(option.list, optionReply.ack);
  }

  #infoOrGo(chosen: typeof option.info | typeof option.go, data: Buffer): Outcome {
    const request = decodeInfoRequest(data);
    if (!request) return this.#invalid(chosen, 'the lengths in this option contradict each other');
    const target = this.#catalogue.resolve(request.name);
    if (!target) return this.#unknownExport(chosen, request.name);

    const flags = this.#transmissionFlags(target);
    this.#answer(chosen, optionReply.info, encodeInfoExport(target.byteSize, flags));
    if (request.infoTypes.includes(infoType.name)) {
      this.#answer(chosen, optionReply.info, encodeInfoName(exportName(target)));
    }
    if (request.infoTypes.includes(infoType.blockSize)) {
      this.#answer(chosen, optionReply.info, encodeInfoBlockSize());
    }
    this.#answer(chosen, optionReply.ack);
    if (chosen === option.info) return 'haggling';
    this.target = target;
    return 'transmission';
  }

  #listMetaContext(data: Buffer): Outcome {
    const chosen = option.listMetaContext;
    if (!this.isStructured) return this.#invalid(chosen, 'structured replies come first');
    const request = decodeMetaContextRequest(data);
    if (!request) return this.#invalid(chosen, 'the lengths in this option contradict each other');
    if (!this.#catalogue.resolve(request.name)) return this.#unknownExport(chosen, request.name);

    const { name, namespace } = allocationContext;
    const isWanted = request.queries.some((query) => query === namespace || query === name);
    if (isWanted || request.queries.length === 0) {
      this.#answer(chosen, optionReply.metaContext, encodeMetaContext(0, name));
    }
    return this.#answer(chosen, optionReply.ack);
  }

  /** Replaces what was selected before, even when it fails. */
  #setMetaContext(data: Buffer): Outcome {
    const chosen = option.setMetaContext;
    this.#contextOf = null;
    if (!this.isStructured) return this.#invalid(chosen, 'structured replies come first');
    const request = decodeMetaContextRequest(data);
    if (!request) return this.#invalid(chosen, 'the lengths in this option contradict each other');
    const target = this.#catalogue.resolve(request.name);
    if (!target) return this.#unknownExport(chosen, request.name);

    const { name, id } = allocationContext;
    if (request.queries.includes(name)) {
      this.#contextOf = target;
      this.#answer(chosen, optionReply.metaContext, encodeMetaContext(id, name));
    }
    return this.#answer(chosen, optionReply.ack);
  }

  #transmissionFlags(target: Export): number {
    return (
      transmissionFlag.hasFlags |
      transmissionFlag.sendFlush |
      transmissionFlag.sendFua |
      transmissionFlag.sendTrim |
      transmissionFlag.sendWriteZeroes |
      transmissionFlag.canMultiConn |
      transmissionFlag.sendCache |
      (target.readOnly ? transmissionFlag.readOnly : 0) |
      (this.isStructured ? transmissionFlag.sendDf : 0)
    );
  }

  #unknownExport(chosen: number, name: string): Outcome {
    const served = this.#catalogue.names().join(', ') || 'nothing';
    const text = `there is no export "${name.slice(0, 200)}" here; served now: ${served.slice(0, 1000)}`;
    return this.#answer(chosen, optionReply.unknownExport, Buffer.from(text));
  }

  #invalid(chosen: number, reason: string): Outcome {
    return this.#answer(chosen, optionReply.invalid, Buffer.from(reason));
  }

  #answer(
    chosen: number,
    type: (typeof optionReply)[keyof typeof optionReply],
    data: Buffer = nothing,
  ): Outcome {
    this.#out.append(encodeOptionReply(chosen, type, data));
    return 'haggling';
  }
}
