import { compareGenerations } from '../../domain/generations.ts';
import type { Epoch, Generation } from '../../domain/vocabulary.ts';
import type { OrderRefusal } from './control-protocol.ts';
import type { Peer } from './peer.ts';
import { Refused } from './refusal.ts';
import type { Replica } from './replica.ts';

/** This replica's own veto against serving (rule 13): it can only forbid what the history allows. */
export function serveRefusal(
  replica: Replica,
  peers: Iterable<Peer>,
  epoch: Epoch,
  force: boolean,
): Refused | null {
  const { record, failure } = replica;
  const no = (code: OrderRefusal, why: string) => new Refused(code, `${record.node} cannot serve: ${why}`);
  if (failure !== null) return no('device-failed', `its disk failed: ${failure}`);
  // A reign that was its own goes on after its engine has died.
  const isMine = record.epoch === epoch && record.lastOwner && record.role !== 'target';
  if (epoch < record.epoch || (epoch === record.epoch && !isMine)) {
    return no('stale-epoch', `epoch ${record.epoch} was served or followed already`);
  }
  const isPromised = epoch === record.promised && record.promisedTo !== record.node;
  if (epoch < record.promised || (isPromised && !isMine)) {
    return no('stale-epoch', `epoch ${record.promised} is promised to ${record.promisedTo}`);
  }
  const { current } = record.generation;
  if (force) return current === null ? no('target-inconsistent', 'it never had data') : null;
  if (record.handedTo !== null) return no('handed-over', `it was handed to ${record.handedTo.node}`);
  if (record.paused !== null) return no('target-paused', record.paused);
  if (record.resyncing !== null) return no('target-resyncing', 'a resync has not completed');
  if (!record.consistent || current === null)
    return no('target-inconsistent', 'its bytes are no state of the data');
  if (!record.inSync) return no('target-out-of-sync', 'it has recorded itself as out of sync');
  for (const peer of peers) {
    if (hasSplit(replica, peer)) return no('split-brain', `it has split from ${peer.node}`);
    if (isPassedBy(current, peer)) {
      return no('target-out-of-sync', `${peer.node} has newer data`);
    }
  }
  return null;
}

function hasSplit(replica: Replica, { node, theirs }: Peer): boolean {
  if (theirs === null) return false;
  return compareGenerations(replica.generationRecord(node, false), theirs.record).verdict === 'split-brain';
}

/** The peer went through this generation and has left it behind. */
function isPassedBy(current: Generation, { theirs }: Peer): boolean {
  if (theirs === null || theirs.record.current === current) return false;
  return theirs.record.history.includes(current) || theirs.record.base === current;
}
