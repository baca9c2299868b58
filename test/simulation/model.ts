import { blank, Candidates, shows, type Write } from './candidates.ts';
import { sectorSize } from './disk.ts';
import { writeNumberOf } from './stamp.ts';

/** What one node's image may show: as long as its page cache lives, and after a power failure. */
export interface Knowledge {
  readonly cached: Candidates;
  readonly durable: Candidates;
  /** Its page cache was lost since it was last in sync: writes may be missing out of order. */
  readonly hasLostPower: boolean;
}

/**
 * One reign of one source, as the application and an onlooker know it. For every replica, which writes its image may
 * show: a write that was acknowledged is *held* by the source and by every target that the acknowledgement waited
 * for; on any other target it only *may show*. A flush does the same to what survives a power failure.
 */
export class Reign {
  readonly epoch: number;
  readonly source: string;
  /** The one that its source's image came from; null for the first. */
  readonly parent: Reign | null;
  /** Nodes whose images came from the parent too: what was known of them then goes on. */
  readonly inherited: ReadonlySet<string>;
  /** Step of the world. */
  readonly beganStep: number;
  /** An operator has decided that its writes may be lost. */
  isGivenUp = false;
  acknowledgedCount = 0;
  readonly #knowledge: Map<string, Knowledge>;
  readonly #sent = new Map<string, Knowledge>();
  /** Acknowledgements that did not wait for that node since it was last in sync. */
  readonly #missedBy = new Map<string, number>();
  #undurable: Write[] = [];

  constructor(
    epoch: number,
    source: string,
    knowledge: ReadonlyMap<string, Knowledge>,
    parent: Reign | null = null,
    inherited: ReadonlySet<string> = new Set(),
    beganStep = 0,
  ) {
    this.beganStep = beganStep;
    this.inherited = inherited;
    this.epoch = epoch;
    this.source = source;
    this.parent = parent;
    this.#knowledge = new Map(knowledge);
  }

  /** The reign on the way from that one to this one that came next after it; null where there is no way. */
  childOf(ancestor: Reign): Reign | null {
    if (this === ancestor || this.parent === null) return null;
    return this.parent === ancestor ? this : this.parent.childOf(ancestor);
  }

  get name(): string {
    return `${this.source}/${this.epoch}`;
  }

  knowledgeOf(node: string): Knowledge {
    const known = this.#knowledge.get(node);
    if (known === undefined) throw new Error(`${node} has no replica in reign ${this.name}`);
    return known;
  }

  /** The target was brought to the state of the source: it may show just what the source may. */
  inSync(target: string): void {
    const { cached, durable } = this.knowledgeOf(this.source);
    this.#knowledge.set(target, { cached: cached.clone(), durable: durable.clone(), hasLostPower: false });
    this.#missedBy.delete(target);
  }

  /** The node's page cache is gone: its image shows what is durable. */
  powerFailed(node: string): void {
    const { durable } = this.knowledgeOf(node);
    this.#knowledge.set(node, { cached: durable.clone(), durable, hasLostPower: true });
  }

  /** A write was acknowledged that the node does not have. */
  missed(node: string): void {
    this.#missedBy.set(node, this.missedBy(node) + 1);
  }

  /** How many acknowledged writes of this reign that node was not asked to have. */
  missedBy(node: string): number {
    return this.#missedBy.get(node) ?? 0;
  }

  /** All that the source may show now is on its way to the target, and will be there when that one is in sync. */
  sentAll(target: string): void {
    const { cached, durable } = this.knowledgeOf(this.source);
    const sent = { cached: cached.clone(), durable: durable.clone(), hasLostPower: false };
    this.#sent.set(target, sent);
  }

  /** A target that writes do not wait for is in sync: it has what was sent before it was asked to say so. */
  hasAllSent(target: string): void {
    this.#knowledge.set(target, this.#sent.get(target) ?? this.knowledgeOf(target));
    this.#sent.delete(target);
    this.#missedBy.delete(target);
  }

  /** What `sentAll` has noted and is not there yet; null: nothing. */
  sentTo(target: string): Knowledge | null {
    return this.#sent.get(target) ?? null;
  }

  /** The reign was over when the target had it all. */
  holds(target: string, knowledge: Knowledge): void {
    this.#knowledge.set(target, knowledge);
    this.#sent.delete(target);
    this.#missedBy.delete(target);
  }

  issued(write: Write): void {
    for (const { cached, durable } of [...this.#knowledge.values(), ...this.#sent.values()]) {
      cached.mayShow(write);
      durable.mayShow(write);
    }
  }

  /** `holders`: the source and the targets that must have it by now. `isDurable`: it was written with FUA. */
  acknowledged(write: Write, step: number, holders: readonly string[], isDurable: boolean): void {
    write.endedStep = step;
    write.isAcknowledged = true;
    this.acknowledgedCount++;
    for (const node of holders) this.knowledgeOf(node).cached.holds(write);
    if (isDurable) for (const node of holders) this.knowledgeOf(node).durable.holds(write);
    else this.#undurable.push(write);
  }

  failed(write: Write, step: number): void {
    write.endedStep = step;
  }

  /** A flush that was issued at that step is answered: what had been acknowledged before it, is on stable storage. */
  flushed(issuedStep: number, holders: readonly string[]): readonly Write[] {
    const covered = this.#undurable.filter((write) => write.endedStep < issuedStep);
    this.#undurable = this.#undurable.filter((write) => write.endedStep >= issuedStep);
    for (const node of holders) for (const write of covered) this.knowledgeOf(node).durable.holds(write);
    return covered;
  }
}

/** Write numbers of a whole image, one per sector. */
export function readImage(image: Buffer): Int32Array {
  const shown = new Int32Array(image.byteLength / sectorSize);
  for (let sector = 0; sector < shown.length; sector++) {
    shown[sector] = writeNumberOf(image, sector * sectorSize, sector);
  }
  return shown;
}

export const blankCandidates = (sectorCount: number) =>
  new Candidates(new Array<readonly Write[]>(sectorCount).fill([blank]));

/** One sentence per sector that shows what it must not (at most five). */
export function wrongSectors(shown: Int32Array, allowed: Candidates): string[] {
  const wrong: string[] = [];
  for (let sector = 0; sector < shown.length && wrong.length < 5; sector++) {
    const number = shown[sector] ?? 0;
    if (allowed.match(sector, number) !== undefined) continue;
    const expected = allowed.of(sector).map(describe).join(', ');
    wrong.push(`sector ${sector} shows ${number < 0 ? 'garbage' : `write ${number}`}, allowed: ${expected}`);
  }
  return wrong;
}

/**
 * I6: the image is what some prefix of the source's writes leaves. If any sector shows a write that was issued
 * after another one had been acknowledged, that other one must be there too, or something newer.
 */
export function outOfOrderSectors(shown: Int32Array, allowed: Candidates): string[] {
  let newest = blank;
  for (let sector = 0; sector < shown.length; sector++) {
    const number = shown[sector] ?? 0;
    const write = number > 0 ? allowed.match(sector, number) : undefined;
    if (write !== undefined && write.issuedStep > newest.issuedStep) newest = write;
  }
  const wrong: string[] = [];
  for (let sector = 0; sector < shown.length && wrong.length < 5; sector++) {
    const writes = allowed.of(sector);
    const isMissing = (write: Write, later: Write) =>
      later.isAcknowledged && later.issuedStep > write.endedStep && later.endedStep < newest.issuedStep;
    const fits = writes.some(
      (write) => shows(write, shown[sector] ?? 0) && !writes.some((later) => isMissing(write, later)),
    );
    if (fits) continue;
    wrong.push(
      `sector ${sector} shows ${shown[sector]} of ${writes.map(describe).join(', ')}, yet ${describe(newest)} is there`,
    );
  }
  return wrong;
}

function describe(write: Write): string {
  if (write === blank) return 'blank';
  const end = write.isAcknowledged
    ? `acknowledged ${write.endedStep}`
    : write.endedStep === Infinity
      ? 'unanswered'
      : `failed ${write.endedStep}`;
  return `${write.isZeros ? 'zeros' : 'write'} ${write.number} (issued ${write.issuedStep}, ${end})`;
}
