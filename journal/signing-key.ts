import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { canonicalJson } from './canonical-json.ts';
import type { SignedHead } from './journal.ts';

/** A node's Ed25519 key: PKCS #8 in PEM, mode 0600, made at the first start and never changed by us. */
export interface SigningKey {
  /** 64 hex digits */
  readonly publicKey: string;
  signHead(head: Omit<SignedHead, 'key' | 'signature'>): SignedHead;
  /** 128 hex digits */
  sign(text: string): string;
}

export function openSigningKey(path: string): SigningKey {
  const privateKey = readKey(path) ?? createKey(path);
  const publicKey = createPublicKey(privateKey)
    .export({ format: 'der', type: 'spki' })
    .subarray(-32)
    .toString('hex');
  const signText = (text: string) => sign(null, Buffer.from(text), privateKey).toString('hex');
  return {
    publicKey,
    signHead: (head) => {
      const claim = { ...head, key: publicKey };
      return { ...claim, signature: signText(canonicalJson(claim)) };
    },
    sign: signText,
  };
}

/** True when the head was signed by the key it names. Whether that key is its node's is for the caller. */
export const isSignatureGood = ({ signature, ...claim }: SignedHead): boolean =>
  isSignedBy(claim.key, canonicalJson(claim), signature);

/** Key and signature in hex. */
export function isSignedBy(key: string, text: string, signature: string): boolean {
  try {
    return verify(null, Buffer.from(text), publicKeyOf(key), Buffer.from(signature, 'hex'));
  } catch {
    return false;
  }
}

/** SubjectPublicKeyInfo of Ed25519 (RFC 8410) is this prefix and the 32 bytes of the key. */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

const publicKeyOf = (hex: string): KeyObject =>
  createPublicKey({ key: Buffer.concat([spkiPrefix, Buffer.from(hex, 'hex')]), format: 'der', type: 'spki' });

function readKey(path: string): KeyObject | undefined {
  try {
    return createPrivateKey(readFileSync(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function createKey(path: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519');
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return privateKey;
}
