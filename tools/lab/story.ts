import type { NodeName } from '../../domain/vocabulary.ts';
import { bytesText } from '../../projections/status-text.ts';
import type { TimelineEntry } from '../../projections/timeline.ts';
import type { Reply } from '../cli/reply.ts';
import { type Lab, labTag as tag } from './lab.ts';
import { blockBytes, type Ledger, type Verified } from './ledger.ts';
import { Narrator } from './narrator.ts';
import type { NbdClient } from './nbd-client.ts';
import { Operator } from './operator.ts';
import {
  hasEveryWrite,
  newLedger,
  openDevice,
  startLoad,
  verifyCopy,
  verifyDevice,
  withDevice,
  writeBlocks,
} from './workload.ts';

/** Where the story is told. */
export type Say = (line: string) => void;

/** How many checks held; the first that does not ends the story with its sentence. */
export interface StoryEnd {
  readonly checkCount: number;
}

type Arguments = Readonly<Record<string, unknown>>;

const acceptTriesMax = 10;
const mebibyte = 1024 * 1024;
const blocksOf = (bytes: number): number => bytes / blockBytes;

/**
 * An incident from start to end, on real processes: each chapter does something, waits for what must follow, and
 * compares the data by checksum. Errors: a sentence that says what did not hold.
 */
export async function playStory(lab: Lab, say: Say): Promise<StoryEnd> {
  const story = new Story(lab, say);
  await story.play();
  return { checkCount: story.checkCount };
}

class Story {
  checkCount = 0;
  readonly #lab: Lab;
  readonly #say: Say;
  readonly #operator: Operator;
  readonly #narrator: Narrator;
  readonly #startMs = Date.now();
  #chapter = 0;
  readonly #ledger = newLedger();

  constructor(lab: Lab, say: Say) {
    this.#lab = lab;
    this.#say = say;
    this.#operator = new Operator(lab);
    this.#narrator = new Narrator(lab, this.#operator, (entry) => say(eventLine(entry)));
  }

  async play(): Promise<void> {
    this.#narrator.start();
    try {
      await this.#mirror();
      await this.#switchOverAndBack();
      await this.#killTheSource();
      await this.#comeBack();
      await this.#partition();
    } finally {
      await this.#narrator.end();
    }
  }

  async #mirror(): Promise<void> {
    this.#begin('Three servers: eve holds the data, adam mirrors it synchronously, sophocles asynchronously');
    await this.#operator.protect();
    await this.#operator.inSync('eve');
    await this.#write('eve', 8 * mebibyte);
    await this.#verify('eve', ['adam', 'sophocles']);
  }

  async #switchOverAndBack(): Promise<void> {
    this.#begin('Planned: the service moves to adam, and back; each resync is partial');
    for (const to of ['adam', 'eve']) {
      await this.#do(`switchover ${tag} ${to}`, 'switchover', { tag, node: to });
      const status = await this.#operator.inSync(to);
      for (const { target, lastResync } of status.mirrors)
        await this.#check(
          `${to} -> ${target}: in sync after ${lastResync === null ? 'no resync at all' : `a ${lastResync.kind} resync of ${bytesText(lastResync.bytes)}`}`,
          lastResync?.kind !== 'full',
        );
      await this.#write(to, 2 * mebibyte);
      await this.#verify(to, others(to));
    }
  }

  async #killTheSource(): Promise<void> {
    this.#begin('Unplanned: eve loses power in the middle of writing');
    const load = await startLoad(this.#operator, 'eve', this.#ledger, 200);
    const killedMs = Date.now();
    await this.#lab.node('eve').kill();
    const acknowledged = await load.ended;
    await this.#tell(
      `eve is dead: agent and engine killed (SIGKILL) after ${acknowledged} acknowledged writes`,
    );
    await this.#operator.inService('adam', 'adam');
    const seconds = ((Date.now() - killedMs) / 1000).toFixed(1);
    await this.#check(`adam serves, ${seconds} s after the kill`, true);
    await this.#verify('adam', []);
  }

  async #comeBack(): Promise<void> {
    this.#begin('Meanwhile adam goes on alone with sophocles; then eve comes back, as a target');
    await this.#operator.inSync('adam', ['sophocles' as NodeName]);
    await this.#write('adam', 4 * mebibyte);
    await this.#lab.heal('eve');
    const status = await this.#operator.inSync('adam');
    const back = status.mirrors.find(({ target }) => target === 'eve');
    await this.#check(
      `eve came back by a partial resync of ${bytesText(back?.lastResync?.bytes ?? 0)}`,
      back?.lastResync?.kind === 'partial',
    );
    await this.#verify('adam', ['eve', 'sophocles']);
  }

  async #partition(): Promise<void> {
    this.#begin('The network fails: adam, which serves, is cut off from the others on every path');
    this.#lab.partition('adam');
    await this.#operator.inService('eve', 'eve');
    await this.#check('eve took over: it cannot know that adam lives (policy "none")', true);
    const cutOff = this.#ledger.fork();
    await withDevice(this.#operator, 'adam', async (device) => {
      await writeBlocks(device, cutOff, blocksOf(mebibyte));
      const acknowledged = await verifyDevice(device, cutOff);
      await this.#check('adam acknowledged writes that nobody else has', isRight(acknowledged));
    });
    const application = await openDevice(this.#operator, 'eve');
    try {
      await this.#writeTo(application, 'eve', mebibyte);
      await this.#splitBrain(application, cutOff);
    } finally {
      application.close();
    }
  }

  async #splitBrain(application: NbdClient, cutOff: Ledger): Promise<void> {
    this.#begin('The network is mended: both have written, a split brain');
    await this.#lab.heal('adam');
    for (const node of ['eve', 'adam'])
      await this.#operator.until(node, 'split brain', ({ state }) => state === 'split-brain');
    await this.#check('eve and adam both report the split brain', true);
    const eveIsWhole = isRight(await verifyCopy(this.#lab, 'eve', this.#ledger));
    const adamIsWhole = isRight(await verifyCopy(this.#lab, 'adam', cutOff));
    await this.#check('no byte was copied in either direction', eveIsWhole && adamIsWhole);
    await this.#resolve();
    await this.#writeTo(application, 'eve', mebibyte);
    await this.#verify('eve', ['adam', 'sophocles']);
  }

  async #resolve(): Promise<void> {
    this.#begin('Somebody has to decide whose writes are given up: adam’s');
    const command = 'resolve-split-brain';
    const victim = { tag, victim: 'adam' };
    const words = `${command} ${tag} --victim adam`;
    this.#say(`  $ npx mirrorkeeper ${words}`);
    const asked = await this.#operator.command('eve', command, victim);
    await this.#check(
      `nothing happens without consent: ${asked.loss?.text ?? asked.message}`,
      asked.refusal?.code === 'loss-not-accepted',
    );
    await this.#accept(words, command, victim, asked);
    await this.#operator.inSync('eve');
  }

  /** A token is for one state of things: while nodes still find each other again, it may be stale a moment later. */
  async #accept(words: string, command: string, args: Arguments, asked: Reply): Promise<void> {
    let refused = asked;
    for (let tries = 0; tries < acceptTriesMax; tries += 1) {
      const acceptLoss = refused.token;
      this.#say(`  $ npx mirrorkeeper ${words} --accept-loss ${acceptLoss}`);
      const reply = await this.#operator.command('eve', command, { ...args, acceptLoss });
      if (reply.refusal?.code !== 'stale-command') return this.#done(command, reply);
      await this.#tell(`refused: ${reply.refusal.message}; so ask again`);
      refused = await this.#operator.command('eve', command, args);
    }
    await this.#check(`${command} was done in ${acceptTriesMax} tries`, false);
  }

  // What every chapter is made of

  #write(node: string, bytes: number): Promise<void> {
    return withDevice(this.#operator, node, (device) => this.#writeTo(device, node, bytes));
  }

  async #writeTo(device: NbdClient, node: string, bytes: number): Promise<void> {
    await writeBlocks(device, this.#ledger, blocksOf(bytes));
    await this.#tell(`${bytesText(bytes)} were written to the device on ${node}`);
  }

  #verify(source: string, targets: readonly string[]): Promise<void> {
    return withDevice(this.#operator, source, (device) => this.#verifyOn(device, source, targets));
  }

  async #verifyOn(device: NbdClient, source: string, targets: readonly string[]): Promise<void> {
    const verified = await verifyDevice(device, this.#ledger);
    await this.#check(
      `every acknowledged write is on the device of ${source} (${verified.blockCount} checksums)`,
      isRight(verified),
    );
    for (const target of targets) {
      await this.#operator.until(source, `${target} has every write`, ({ mirrors }) =>
        mirrors.some((mirror) => mirror.target === target && hasEveryWrite(mirror)),
      );
      const copy = await verifyCopy(this.#lab, target, this.#ledger);
      await this.#check(`and in the copy on ${target}`, isRight(copy));
    }
  }

  async #do(words: string, command: string, args: Arguments): Promise<void> {
    this.#say(`  $ npx mirrorkeeper ${words}`);
    await this.#done(command, await this.#operator.command('eve', command, args));
  }

  #done(command: string, { ok, refusal, message }: Reply): Promise<void> {
    const why = ok ? '' : `: ${refusal?.message ?? message}`;
    return this.#check(`${command} was done${why}`, ok);
  }

  #begin(title: string): void {
    this.#chapter += 1;
    this.#say(`\n${this.#chapter}. ${title} (${((Date.now() - this.#startMs) / 1000).toFixed(0)} s)`);
  }

  async #tell(sentence: string): Promise<void> {
    await this.#narrator.catchUp();
    this.#say(`  ${sentence}`);
  }

  async #check(sentence: string, holds: boolean): Promise<void> {
    await this.#narrator.catchUp();
    if (!holds) throw new Error(`this did not hold: ${sentence}`);
    this.checkCount += 1;
    this.#say(`  ✓ ${sentence}`);
  }
}

const others = (source: string): string[] => ['eve', 'adam', 'sophocles'].filter((node) => node !== source);

const isRight = ({ wrong, blockCount }: Verified): boolean => wrong.length === 0 && blockCount > 0;

/** `    eve#42  datarep-ext3: …` */
function eventLine({ event, sentence }: TimelineEntry): string {
  const [node, , sequence] = event.split('/');
  return `      ${node}#${sequence}  ${sentence}`;
}
