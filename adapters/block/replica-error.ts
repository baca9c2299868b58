export type ReplicaErrorCode =
  | 'metadata-missing'
  | 'metadata-damaged'
  | 'metadata-version'
  | 'metadata-invalid'
  | 'metadata-too-large'
  | 'other-cluster'
  | 'other-resource'
  | 'other-node'
  | 'volume-mismatch'
  | 'intent-log-invalid'
  | 'replica-in-use'
  | 'path-in-use'
  | 'path-missing';

/** Why a replica cannot be used as asked: a stable code, and one sentence for people. */
export class ReplicaError extends Error {
  readonly code: ReplicaErrorCode;

  constructor(code: ReplicaErrorCode, sentence: string) {
    super(sentence);
    this.name = 'ReplicaError';
    this.code = code;
  }
}
