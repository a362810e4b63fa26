/** Vectors of the ratchet's key derivations and of header encryption. */

import { concat } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { x25519KeyPair, xchachaSeal } from '../../src/crypto/suite.js';
import { deriveHeaderKey } from '../../src/ratchet/keys.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { encodeHeader, type Header } from '../../src/wire/ratchet-message.js';
import { book, flipped, patched } from './book.js';
import { LOW_ORDER, NOT_CANONICAL } from './crypto.js';

export function ratchetKeysVectors(): VectorFile {
  const seed = 'vectors/ratchet-keys';
  const rng = seededRng(seed);
  const { valid, invalid, file } = book({
    kind: 'ratchet-keys',
    section: '4.1, 4.2, 4.3, 4.4',
    description:
      'Key derivations, one operation for each: `root` (DH, then KDF_RK; NHK as what hk makes of it), `headerKey` (hk), `chain` (KDF_CK), `message` (PRK, synthetic header nonce, K, N and commitment; `contentHash` is SHA-256(header ‖ padded)), `sckaStart`, `sckaEpoch`, `sckaChain`, `epochSecret` (k_e), `authenticatorStart`, `authenticatorUpdate`, `headerMac`, `ciphertextMac`.',
    seed,
  });
  const { publicKey } = x25519KeyPair(rng(32));
  const [rootKey, secretKey] = [rng(32), rng(32)];
  valid('root', 'root', { rootKey, secretKey, publicKey });
  for (const [i, point] of [...LOW_ORDER, ...NOT_CANONICAL].entries()) {
    const what = i < LOW_ORDER.length ? 'of small order' : 'that is not canonical';
    invalid(`root-${i}`, 'root', 'ERR_DECRYPT', 'T01', `a ratchet key ${what}`, { rootKey, secretKey, publicKey: point });
  }
  for (let i = 0; i < 2; i++) valid(`header-key-${i}`, 'headerKey', { headerKey: rng(32) });
  let chainKey = rng(32);
  for (let i = 0; i < 4; i++) chainKey = valid(`chain-${i}`, 'chain', { chainKey }, `message ${i} of a chain`).bytes('chainKey');
  const sckaSecret = rng(32);
  let chains = valid('scka-start', 'sckaStart', { sckaSecret });
  let pq = chains.bytes('a2b');
  for (let counter = 1; counter <= 4; counter++) {
    pq = valid(`scka-chain-${counter}`, 'sckaChain', { chainKey: pq, counter }).bytes('chainKey');
  }
  valid('scka-chain-last', 'sckaChain', { chainKey: pq, counter: 2 ** 31 - 1 });
  let root = valid('authenticator-start', 'authenticatorStart', { sckaSecret }).bytes('root');
  for (const epoch of [1, 2, 3, 2 ** 31 - 1]) {
    const epochSecret = valid(`epoch-secret-${epoch}`, 'epochSecret', { sharedSecret: rng(32), epoch }).bytes('epochSecret');
    chains = valid(`scka-epoch-${epoch}`, 'sckaEpoch', { root: chains.bytes('root'), epochSecret, epoch });
    const next = valid(`authenticator-update-${epoch}`, 'authenticatorUpdate', { root, epochSecret, epoch });
    root = next.bytes('root');
    const mac = next.bytes('mac');
    valid(`header-mac-${epoch}`, 'headerMac', { mac, epoch, header: rng(64) });
    valid(`ciphertext-mac-${epoch}`, 'ciphertextMac', { mac, epoch, ct1: rng(960), ct2: rng(128) });
  }
  const message = {
    ecMessageKey: rng(32),
    pqMessageKey: rng(32),
    transcriptHash: rng(64),
    random: rng(32),
    header: rng(56 + 32),
    padded: concat(rng(20), new Uint8Array([0x80]), new Uint8Array(491)),
  };
  valid('message', 'message', message);
  valid(
    'message-other-content',
    'message',
    { ...message, padded: flipped(message.padded, 0) },
    'the same keys and random bytes, other content: another nonce, K and N',
  );
  valid('message-zero-random', 'message', { ...message, random: new Uint8Array(32) }, 'a generator that gives zeros');
  return file();
}

export function headerVectors(): VectorFile {
  const seed = 'vectors/header';
  const rng = seededRng(seed);
  const { give, valid, invalid, file } = book({
    kind: 'header',
    section: '1.4, 4.2',
    description:
      'The header of a ratchet message. `prefix` is frame[0:20], `header` the plaintext, `ad` the associated data. `headerNonce` is opaque here. A header that opens is judged by the rules that need no state.',
    seed,
  });
  const fields: Header = {
    ratchetKey: rng(32),
    previousChainLength: 7,
    n: 3,
    pqEpoch: 2,
    pqCounter: 5,
    pqPrevious: 11,
    type: 5,
    index: 29,
    chunk: rng(32),
  };
  const keys = { headerKey: rng(32), headerNonce: rng(24), transcriptHash: rng(64) };
  give(keys);
  const sealed = valid('seal', 'seal', { ...fields });
  for (const [profile, chunkBytes] of [
    [1, 192],
    [3, 1152],
  ]) {
    valid(`seal-profile-${profile}`, 'seal', { ...fields, type: 1, index: 0, chunk: rng(chunkBytes!), headerNonce: rng(24) });
  }
  valid('seal-none', 'seal', { ...fields, type: 0, index: 0, chunk: new Uint8Array(32) }, 'a message that carries nothing for the braid');
  const [prefix, headerCiphertext] = [sealed.bytes('prefix'), sealed.bytes('headerCiphertext')];
  give({ prefix, headerCiphertext });
  valid('open', 'open', {});
  const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array>): void =>
    invalid(id, 'open', 'ERR_DECRYPT', threats, description, changed);
  refuse('tag-changed', 'T11', 'another tag in the frame', { prefix: flipped(prefix) });
  refuse('type-changed', 'T13', 'another type in the frame', { prefix: flipped(prefix, 0) });
  refuse('suite-changed', 'T08', 'another suite in the frame', { prefix: flipped(prefix, 3, 2) });
  refuse('nonce-changed', 'T17', 'another nonce', { headerNonce: flipped(keys.headerNonce) });
  refuse('header-changed', 'T15 T17', 'a bit of n changed', { headerCiphertext: flipped(headerCiphertext, 39) });
  refuse('mac-changed', 'T17', 'a bit of the tag changed', { headerCiphertext: flipped(headerCiphertext) });
  refuse('other-session', 'T11', 'another transcript', { transcriptHash: flipped(keys.transcriptHash) });
  refuse('other-key', 'T11', 'another header key', { headerKey: flipped(keys.headerKey) });
  for (const left of [0, 1, 15]) {
    refuse(`mac-${left}`, 'T50', `a tag of ${left} bytes`, {
      headerCiphertext: headerCiphertext.slice(0, headerCiphertext.length - 16 + left),
    });
  }
  const { key } = deriveHeaderKey(keys.headerKey);
  /** A header that breaks a rule, sealed as its honest sender never would. */
  const broken = (id: string, threats: string, description: string, changed: Partial<Header>, flags = 0): void => {
    const plaintext = patched(encodeHeader({ ...fields, ...changed }), 55, [flags]);
    refuse(id, threats, description, {
      headerCiphertext: xchachaSeal(key, keys.headerNonce, info('hdr', keys.transcriptHash, prefix), plaintext),
    });
  };
  broken('n-large', 'T16 T18', 'n = 2³¹', { n: 2 ** 31 });
  broken('n-most', 'T16 T18', 'n = 2³²−1', { n: 2 ** 32 - 1 });
  broken('pn-large', 'T16 T18', 'pn = 2³¹ + 1', { previousChainLength: 2 ** 31 + 1 });
  broken('epoch-0', 'T08', 'pqEpoch = 0', { pqEpoch: 0 });
  broken('epoch-large', 'T18', 'pqEpoch = 2³¹', { pqEpoch: 2 ** 31 });
  broken('counter-0', 'T18', 'pqCtr = 0', { pqCounter: 0 });
  broken('counter-large', 'T16 T18', 'pqCtr = 2³¹', { pqCounter: 2 ** 31 });
  broken('previous-large', 'T16 T18', 'pqPrev = 2³¹', { pqPrevious: 2 ** 31 });
  broken('previous-in-epoch-1', 'T16', 'pqPrev = 11 while pqEpoch = 1', { pqEpoch: 1 });
  broken('type-7', 'T13', 'type 7', { type: 7 });
  broken('flags', 'T08', 'flags = 1', {}, 1);
  broken('none-chunk', 'T40', 'type 0 with a chunk', { type: 0, index: 0 });
  broken('ack-index', 'T40', 'type 4 with an idx', { type: 4, chunk: new Uint8Array(32) });
  return file();
}
