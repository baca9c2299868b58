import { Tag } from '../../domain/vocabulary.ts';
import type { EventDraft } from '../../journal/journal.ts';

export const draft = (number: number, tag = 'datarep-ext3'): EventDraft => ({
  type: 'mirrorkeeper.resync.progressed.v1',
  subject: Tag.parse(tag),
  actor: { id: 'engine', via: 'engine', verified: true },
  data: { number, target: 'adam', percent: number % 100, facts: { dirtyRegions: number } },
});

export const drafts = (count: number, from = 1): EventDraft[] =>
  Array.from({ length: count }, (_, index) => draft(from + index));
