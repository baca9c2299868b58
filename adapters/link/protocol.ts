/**
 * Every message between two engines, in one table. The link (link.ts) gives each the same fixed fields; what they
 * mean for a type stands here. Words in the last column are the fields that are used; `json` and `bits` are payloads.
 *
 * | name                  | who              | answered by         | number, offset, byteCount, flags, payload            |
 * |-----------------------|------------------|---------------------|------------------------------------------------------|
 * | write                 | source → target  | ack                 | number = sequence; offset; byteCount = `overtakes`;  |
 * |                       |                  |                     | flags fua, resync; payload = the bytes               |
 * | zero, trim            | source → target  | ack                 | number = sequence; offset; byteCount; flags          |
 * | flush                 | source → target  | flushed             | number = of the flush                                |
 * | clear                 | source → target  | nothing             | volume; number = sequence; json {peers, ranges}      |
 * | resync-start          | source → target  | bitmap…, recorded   | number = attempt; json                               |
 * | bitmap                | either           | nothing             | volume; number = attempt; offset = first region;     |
 * |                       |                  |                     | byteCount = regions; flags = index of the peer in    |
 * |                       |                  |                     | the sorted node names; payload = bits, low bit first |
 * | resync-finish         | source → target  | resync-finished     | number = attempt; json                               |
 * | hand-over             | source → target  | hand-over-ready     | number = attempt; json                               |
 * | state                 | either, first    | state               | json; again whenever it changes                      |
 * | ack                   | target → source  |                     | number = written through; offset = received through  |
 * | flushed               | target → source  |                     | number = of the flush                                |
 * | recorded              | target → source  |                     | number = attempt or request; json                    |
 * | resync-finished       | target → source  |                     | number = attempt                                     |
 * | hand-over-ready       | target → source  |                     | number = attempt                                     |
 * | handed-over           | source → target  | nothing             | number = attempt; json {epoch, to}                   |
 * | out-of-sync-request   | source → target  | recorded            | number = request; json                               |
 * | promise-request       | candidate → any  | promise             | number = epoch asked for                             |
 * | promise               | any → candidate  |                     | number = epoch asked for; json                       |
 * | pause, resume         | source → target  | recorded / state    | number = request; json {reason}                      |
 * | refused               | either           |                     | number = that of the refused message; json           |
 *
 * Order. Bulk messages keep theirs. One sequence runs over all volumes of a resource, in the order in which the
 * source issues writes (REQUIREMENTS 2.4). A `write` may be applied as soon as every sequence up to
 * number − 1 − overtakes is; zero and trim overtake nothing. Sequences that a target does not need (regions that a
 * resync copies later) are left out, so gaps are normal; an `ack` is cumulative: everything sent up to there.
 * An urgent message overtakes: so nothing that must stand behind a write is urgent.
 */
import { z } from 'zod';
import { Epoch, Generation, NodeName, VolumeName } from '../../domain/vocabulary.ts';

export const messageType = {
  // bulk: source → target, in the order of the writes
  write: 16,
  zero: 17,
  trim: 18,
  flush: 19,
  clear: 20,
  'resync-start': 21,
  bitmap: 22,
  'resync-finish': 23,
  'hand-over': 24,
  // urgent
  state: 128,
  ack: 129,
  flushed: 130,
  recorded: 131,
  'resync-finished': 132,
  'hand-over-ready': 133,
  'handed-over': 134,
  'out-of-sync-request': 135,
  'promise-request': 136,
  promise: 137,
  pause: 138,
  resume: 139,
  refused: 140,
} as const;
export type MessageName = keyof typeof messageType;

/** Of write, zero, trim. `fua`: on stable storage before it is acknowledged. `resync`: copied, not written by the application. */
export const writeFlag = { fua: 1, resync: 2 } as const;

const Count = z.int().min(0);

/** The generations beside a replica's data, as domain/generations.ts compares them. */
export const GenerationState = z.object({
  current: Generation.nullable(),
  history: z.array(Generation).max(32),
  peers: z.record(
    NodeName,
    z.object({
      base: Generation.nullable(),
      outOfSync: z.boolean(),
      intentLog: z.enum(['kept', 'none', 'invalid']),
    }),
  ),
});

/** What a replica is and has, sent first in every session and at every change. Decides who may copy what to whom. */
export const StatePayload = z.object({
  role: z.enum(['source', 'target', 'none']),
  /** Of this engine process: another one has forgotten what it had not flushed. 32 hex digits. */
  incarnation: z.string().regex(/^[0-9a-f]{32}$/),
  epoch: Epoch,
  promised: Epoch,
  volumes: z.array(z.object({ name: VolumeName, byteSize: Count })).max(64),
  inSync: z.boolean(),
  consistent: z.boolean(),
  paused: z.string().max(200).nullable(),
  resyncing: z.object({ source: NodeName, kind: z.enum(['full', 'partial']) }).nullable(),
  crashedSource: z.boolean(),
  lastOwner: z.boolean(),
  handedTo: z.object({ node: NodeName, epoch: Epoch }).nullable(),
  generation: GenerationState,
});
export type StatePayload = z.infer<typeof StatePayload>;

/** The target records durably that it is out of sync (and inconsistent, if a byte will be copied), then answers. */
export const ResyncStartPayload = z.object({
  kind: z.enum(['full', 'partial']),
  /** Asked for by an operator: overrides what the generations say (rule 13). */
  forced: z.boolean(),
});
export type ResyncStartPayload = z.infer<typeof ResyncStartPayload>;

/** The generations that the target takes over when all that was sent before is on its stable storage. */
export const ResyncFinishPayload = z.object({
  current: Generation.nullable(),
  history: z.array(Generation).max(32),
});
export type ResyncFinishPayload = z.infer<typeof ResyncFinishPayload>;

/** `markedRegions`: what the target's own log holds for the source, all volumes. */
export const RecordedPayload = z.object({ generation: Generation.nullable(), markedRegions: Count });
export type RecordedPayload = z.infer<typeof RecordedPayload>;

/** First and last region of each range that both sides of a pair hold on stable storage; the pairs are receiver and each of `peers`. */
export const ClearPayload = z.object({
  peers: z.array(NodeName).max(8),
  ranges: z.array(z.tuple([Count, Count])).max(4096),
});
export type ClearPayload = z.infer<typeof ClearPayload>;

/** Rule 6, steps 3 and 4: bitmaps of the source's logs came before; the receiver makes them its own, durably. */
export const HandOverPayload = z.object({ to: NodeName, epoch: Epoch });
export type HandOverPayload = z.infer<typeof HandOverPayload>;

export const ReasonPayload = z.object({ reason: z.string().max(200) });
export type ReasonPayload = z.infer<typeof ReasonPayload>;

/** Rule 7. `highest`: the highest epoch served, followed or promised that the answering replica knows. */
export const PromisePayload = z.object({
  promised: z.boolean(),
  highest: Epoch,
  reason: z.string().max(200).nullable(),
});
export type PromisePayload = z.infer<typeof PromisePayload>;

export const RefusedPayload = z.object({
  what: z.string().max(40),
  code: z.string().max(60),
  message: z.string().max(500),
});
export type RefusedPayload = z.infer<typeof RefusedPayload>;
