/**
 * Every message between two engines, in one table. The link (link.ts) gives each the same fixed fields; what they
 * mean for a type stands here. `json` and the bytes are payloads; `epoch` is always that of the reign spoken for.
 *
 * | name                | who             | answered by       | fields                                               |
 * |---------------------|-----------------|-------------------|------------------------------------------------------|
 * | write               | source → target | ack               | volume; number = sequence; offset; byteCount =       |
 * |                     |                 |                   | `overtakes`; flags fua, resync, deflated; payload    |
 * | zero, trim          | source → target | ack               | volume; number = sequence; offset; byteCount; flags  |
 * | flush               | source → target | flushed           | volume; number = of the flush                        |
 * | clear               | source → target | nothing           | volume; json {peers, ranges}                         |
 * | generation          | source → target | generation-stored | json {generation, away}                              |
 * | compare             | source → target | compared          | volume; number = of the question; offset; byteCount; |
 * |                     |                 |                   | flags mark; payload = a digest per region            |
 * | resync-finish       | source → target | resync-finished   | number = attempt; json                               |
 * | state               | either, first   | state             | json; again whenever it changes                      |
 * | ack                 | target → source |                   | number = written through; offset = received through  |
 * | flushed             | target → source |                   | number = of the flush                                |
 * | compared            | target → source |                   | number = of the question; payload = bits of the      |
 * |                     |                 |                   | regions that differ, low bit first                   |
 * | generation-stored   | target → source |                   | json {generation}                                    |
 * | resync-start        | source → target | bitmap, recorded  | number = attempt; json                               |
 * | bitmap              | either          | nothing           | volume; number = attempt; offset = first region;     |
 * |                     |                 |                   | byteCount = regions; flags = 0: the log is about the |
 * |                     |                 |                   | receiver, n: about the n-th of the `logs` in the     |
 * |                     |                 |                   | message that follows; payload = bits, low bit first  |
 * | recorded            | target → source |                   | number = attempt or request; json                    |
 * | resync-finished     | target → source |                   | number = attempt                                     |
 * | out-of-sync-request | source → target | recorded          | number = request                                     |
 * | pause               | source → target | recorded          | number = request; json {reason}                      |
 * | resume              | source → target | state             | number = request                                     |
 * | hand-over           | source → target | hand-over-ready   | number = attempt; json; bitmaps came before          |
 * | hand-over-ready     | target → source |                   | number = attempt                                     |
 * | promise-request     | candidate → any | promise           | number = epoch asked for                             |
 * | promise             | any → candidate |                   | number = epoch asked for; json                       |
 * | refused             | either          |                   | number = that of what is refused; json               |
 *
 * Order. Bulk messages (16 to 127) keep theirs; urgent ones (128 on) keep theirs but may overtake bulk ones, so
 * nothing that must stand behind a write is urgent. One sequence runs over all volumes of a resource, in the order
 * in which the source issues writes (REQUIREMENTS 2.4). A `write` may be applied as soon as every sequence up to
 * number − 1 − overtakes is; zero and trim overtake nothing. Sequences that a target does not need (regions that a
 * resync copies later) are left out, so gaps are normal; an `ack` covers everything that was sent up to its number.
 */
import { z } from 'zod';
import { GenerationSet, IntentLogState, ResyncMark } from '../../domain/generation-state.ts';
import { Epoch, Generation, NodeName, VolumeName } from '../../domain/vocabulary.ts';

export const messageType = {
  write: 16,
  zero: 17,
  trim: 18,
  flush: 19,
  clear: 20,
  generation: 21,
  'resync-finish': 22,
  compare: 23,
  state: 128,
  ack: 129,
  flushed: 130,
  'generation-stored': 131,
  'resync-start': 132,
  bitmap: 133,
  recorded: 134,
  'resync-finished': 135,
  'out-of-sync-request': 136,
  pause: 137,
  resume: 138,
  'hand-over': 139,
  'hand-over-ready': 140,
  'promise-request': 141,
  promise: 142,
  refused: 143,
  compared: 144,
} as const;
export type MessageName = keyof typeof messageType;

/**
 * Of write, zero, trim. `fua`: on stable storage before it is acknowledged. `resync`: copied, not written by the
 * application. `deflated`: the payload is compressed (compression-codec.ts).
 */
export const writeFlag = { fua: 1, resync: 2, deflated: 4 } as const;

/** Of compare. `mark`: what differs is marked in the target's logs before it answers. */
export const compareFlag = { mark: 1 } as const;

const Count = z.int().min(0);
const Known = Generation.nullable();
/** domain/generations.ts `GenerationRecord`: the sender about itself and the receiver. */
const GenerationRecordSchema = z.object({
  node: NodeName,
  current: Known,
  history: z.array(Generation).max(32),
  forced: Known,
  base: Known,
  peerOutOfSync: z.boolean(),
  moved: z.boolean(),
  intentLog: IntentLogState,
  logFrom: NodeName.nullable(),
  marked: z.boolean(),
  inSync: z.boolean(),
  consistent: z.boolean(),
  resyncing: ResyncMark.nullable(),
  serving: z.boolean(),
  crashedSource: z.boolean(),
  epoch: Epoch,
});

/** What a replica is and has, sent first in every session and at every change. Decides who may copy what to whom. */
export const StatePayload = z.object({
  role: z.enum(['source', 'target', 'none']),
  promised: Epoch,
  volumes: z.array(z.object({ name: VolumeName, byteSize: Count })).max(64),
  paused: z.string().max(200).nullable(),
  lastOwner: z.boolean(),
  handedTo: z.object({ node: NodeName, epoch: Epoch }).nullable(),
  record: GenerationRecordSchema,
});
export type StatePayload = DeepReadonly<z.infer<typeof StatePayload>>;

/** The target records durably that it is out of sync, and inconsistent if a byte will be copied, then answers. */
export const ResyncStartPayload = z.object({
  mark: ResyncMark,
  /** Asked for by an operator: overrides what the generations say (rules 12 and 13). */
  forced: z.boolean(),
  /** In the source's log for the target, all volumes. */
  markedRegions: Count,
});
export type ResyncStartPayload = z.infer<typeof ResyncStartPayload>;

/** Everything sent before is to be on stable storage; then the target takes over the source's generations. */
export const ResyncFinishPayload = z.object({
  inSync: z.boolean(),
  generation: GenerationSet,
  /** The third replicas for whom the source's intent logs came before, as bitmaps. */
  logs: z.array(NodeName).max(8),
});
export type ResyncFinishPayload = z.infer<typeof ResyncFinishPayload>;

/** In force from here on in the stream; `away`: the replicas that do not take part in it. */
export const GenerationPayload = z.object({ generation: Generation, away: z.array(NodeName).max(8) });
export type GenerationPayload = z.infer<typeof GenerationPayload>;

export const GenerationStoredPayload = z.object({ generation: Generation });

/** `markedRegions`: in the target's log for the source, all volumes; as many bits came as bitmaps. */
export const RecordedPayload = z.object({ markedRegions: Count, consistent: z.boolean() });
export type RecordedPayload = z.infer<typeof RecordedPayload>;

/** First and last region of ranges that receiver and each of `peers` both hold on stable storage. */
export const ClearPayload = z.object({
  peers: z.array(NodeName).max(8),
  ranges: z.array(z.tuple([Count, Count])).max(4096),
});
export type ClearPayload = z.infer<typeof ClearPayload>;

/** Rule 6, step 3: the receiver makes the logs and what the source knows about the others its own, durably. */
export const HandOverPayload = z.object({ epoch: Epoch, finish: ResyncFinishPayload });
export type HandOverPayload = DeepReadonly<z.infer<typeof HandOverPayload>>;

export const ReasonPayload = z.object({ reason: z.string().max(200) });
export type ReasonPayload = z.infer<typeof ReasonPayload>;

/** Rule 7. `highest`: the highest epoch served, followed or promised that the answering replica knows. */
export const PromisePayload = z.object({
  promised: z.boolean(),
  highest: Epoch,
  code: z.string().max(60).nullable(),
});
export type PromisePayload = z.infer<typeof PromisePayload>;

export const RefusedPayload = z.object({
  what: z.string().max(40),
  code: z.string().max(60),
  message: z.string().max(500),
});
export type RefusedPayload = z.infer<typeof RefusedPayload>;

/** Branded names are objects to the compiler: they stay as they are. */
type DeepReadonly<T> = T extends string
  ? T
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;
