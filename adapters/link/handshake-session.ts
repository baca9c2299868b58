import { frameTypes } from './frame-codec.ts';
import {
  Challenge,
  type Claim,
  Hello,
  isProof,
  mismatch,
  Proof,
  parsePayload,
  payloadOf,
  proofOf,
  protocolVersion,
  Refused,
  type SessionKeys,
  sessionKeysOf,
  type Transcript,
  Welcome,
} from './handshake-codec.ts';
import type { LinkFault, LinkIdentity } from './link.ts';

/** `Consumer`: who the session works for once both sides are proven. */
export type HandshakeRole<Consumer> =
  | { readonly kind: 'dialer'; readonly claim: Claim; readonly consumer: Consumer }
  | {
      readonly kind: 'listener';
      readonly identity: LinkIdentity;
      /** Asked about a proven claim of the right cluster, tag, resource and node. */
      admit(claim: Claim): Consumer | Refused['fault'];
    };

interface Reply {
  readonly type: number;
  readonly payload: Buffer;
}

/** What one frame of the peer leads to. A reply goes out first, whatever follows. */
export interface HandshakeStep<Consumer> {
  readonly reply?: Reply;
  readonly fault?: LinkFault;
  readonly proven?: { readonly consumer: Consumer; readonly keys: SessionKeys };
}

/** One side of the handshake (handshake-codec.ts): the peer's payloads in, replies and the verdict out. */
export class Handshake<Consumer extends object> {
  readonly #role: HandshakeRole<Consumer>;
  readonly #key: Uint8Array;
  readonly #nonce: string;
  #peerNonce = '';
  #awaits: number;

  /** `nonce`: 64 hex digits, fresh randomness for this handshake alone. */
  constructor(role: HandshakeRole<Consumer>, key: Uint8Array, nonce: string) {
    this.#role = role;
    this.#key = key;
    this.#nonce = nonce;
    this.#awaits = role.kind === 'dialer' ? frameTypes.challenge : frameTypes.hello;
  }

  /** What is said before anything was heard: the dialer's HELLO. */
  get opening(): Reply | null {
    if (this.#role.kind === 'listener') return null;
    return reply(frameTypes.hello, { protocol: protocolVersion, nonce: this.#nonce } satisfies Hello);
  }

  accepts(type: number): boolean {
    return type === this.#awaits || (type === frameTypes.refused && this.#role.kind === 'dialer');
  }

  take(type: number, payload: Uint8Array): HandshakeStep<Consumer> {
    const role = this.#role;
    if (role.kind === 'listener') {
      return type === frameTypes.hello ? this.#takeHello(payload) : this.#takeProof(role, payload);
    }
    if (type === frameTypes.refused) return { fault: parsePayload(Refused, payload)?.fault ?? 'bad-frame' };
    return type === frameTypes.challenge
      ? this.#takeChallenge(role.claim, payload)
      : this.#takeWelcome(role.claim, role.consumer, payload);
  }

  #takeHello(payload: Uint8Array): HandshakeStep<Consumer> {
    const hello = parsePayload(Hello, payload);
    if (hello === null) return { fault: 'bad-frame' };
    if (hello.protocol !== protocolVersion) return refusal('wrong-version');
    this.#peerNonce = hello.nonce;
    this.#awaits = frameTypes.proof;
    return { reply: reply(frameTypes.challenge, { nonce: this.#nonce } satisfies Challenge) };
  }

  #takeChallenge(claim: Claim, payload: Uint8Array): HandshakeStep<Consumer> {
    const challenge = parsePayload(Challenge, payload);
    if (challenge === null) return { fault: 'bad-frame' };
    this.#peerNonce = challenge.nonce;
    this.#awaits = frameTypes.welcome;
    const proof = proofOf(this.#key, 'dialer', this.#transcript(claim));
    return { reply: reply(frameTypes.proof, { ...claim, proof } satisfies Proof) };
  }

  #takeProof(
    role: HandshakeRole<Consumer> & { kind: 'listener' },
    payload: Uint8Array,
  ): HandshakeStep<Consumer> {
    const given = parsePayload(Proof, payload);
    if (given === null) return { fault: 'bad-frame' };
    const { proof, ...claim } = given;
    const transcript = this.#transcript(claim);
    if (!isProof(proof, this.#key, 'dialer', transcript)) return refusal('wrong-key');
    const consumer = mismatch(role.identity, claim) ?? role.admit(claim);
    if (typeof consumer === 'string') return refusal(consumer);
    const welcome: Welcome = { proof: proofOf(this.#key, 'listener', transcript) };
    return {
      reply: reply(frameTypes.welcome, welcome),
      proven: { consumer, keys: sessionKeysOf(this.#key, transcript) },
    };
  }

  #takeWelcome(claim: Claim, consumer: Consumer, payload: Uint8Array): HandshakeStep<Consumer> {
    const welcome = parsePayload(Welcome, payload);
    if (welcome === null) return { fault: 'bad-frame' };
    const transcript = this.#transcript(claim);
    if (!isProof(welcome.proof, this.#key, 'listener', transcript)) return { fault: 'wrong-key' };
    return { proven: { consumer, keys: sessionKeysOf(this.#key, transcript) } };
  }

  #transcript(claim: Claim): Transcript {
    return this.#role.kind === 'dialer'
      ? { claim, dialerNonce: this.#nonce, listenerNonce: this.#peerNonce }
      : { claim, dialerNonce: this.#peerNonce, listenerNonce: this.#nonce };
  }
}

const reply = (type: number, value: object): Reply => ({ type, payload: payloadOf(value) });

const refusal = (fault: Refused['fault']) => ({
  reply: reply(frameTypes.refused, { fault } satisfies Refused),
  fault,
});
