/** Vectors of composite signatures, sealing, and the KEM in two steps. */

import { concat, encodeUtf8, fromHex, u32 } from '../../src/bytes.js';
import { info, type Label, labelBytes } from '../../src/crypto/labels.js';
import { seal } from '../../src/crypto/seal.js';
import { sha3_256, sha512 } from '../../src/crypto/suite.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { encodeSealedHead } from '../../src/wire/frames.js';
import { padSeal } from '../../src/wire/padding.js';
import { book, flipped, patched } from './book.js';

/** u-coordinates of order 1, 2, 4 and 8 that are canonical (RFC 7748): the agreement with each is zero. */
export const LOW_ORDER: readonly Uint8Array[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map((hex) => fromHex(hex)!);

/** Encodings of u-coordinates that are not canonical: 2²⁵⁵ − 19, and the base point with bit 255 set. */
export const NOT_CANONICAL: readonly Uint8Array[] = [
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0900000000000000000000000000000000000000000000000000000000000080',
].map((hex) => fromHex(hex)!);

const text = (value: string): Uint8Array => encodeUtf8(value)!;

/** L, the order of Ed25519's base point. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

/** 32 bytes, little-endian. */
function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** The scalar of an Ed25519 seed (RFC 8032 section 5.1.5). */
function scalarOf(seed: Uint8Array): bigint {
  const half = sha512(seed).slice(0, 32);
  return numberOf(patched(patched(half, 0, [half[0]! & 0xf8]), 31, [(half[31]! & 0x7f) | 0x40]));
}

/** M' of section 3. */
function representative(message: Uint8Array, label: Label): Uint8Array {
  const context = labelBytes(label);
  const prefix = text('CompositeAlgorithmSignatures2025COMPSIG-MLDSA65-Ed25519-SHA512');
  return concat(prefix, new Uint8Array([context.length]), context, sha512(message));
}

export function compositeVectors(): VectorFile {
  const seed = 'vectors/composite';
  const rng = seededRng(seed);
  const { give, valid, invalid, file } = book({
    kind: 'composite',
    section: '3',
    description:
      'Composite signatures, ML-DSA-65 and Ed25519. `label` is the context without PX; `random` hedges the ML-DSA half. A signature is ML-DSA 3,309 ‖ Ed25519 64, a public key ML-DSA 1,952 ‖ Ed25519 32.',
    seed,
  });
  const secretKey = rng(64);
  const publicKey = valid('public-key', 'publicKey', { secretKey }).bytes('publicKey');
  const message = text('what is signed');
  const sign = (id: string, label: string, said: Uint8Array, key = secretKey) =>
    valid(id, 'sign', { secretKey: key, label, message: said, random: rng(32) }).bytes('signature');
  const signature = sign('sign', 'id/list', message);
  const again = sign('sign-hedged', 'id/list', message);
  const empty = sign('sign-empty', 'hs/sig', new Uint8Array(0));
  const elsewhere = sign('sign-other-label', 'pk/set', message);
  const otherMessage = sign('sign-other-message', 'id/list', text('something else'));
  const otherSecretKey = rng(64);
  const otherKey = valid('public-key-other', 'publicKey', { secretKey: otherSecretKey }).bytes('publicKey');
  const others = sign('sign-other-key', 'id/list', message, otherSecretKey);

  give({ publicKey, label: 'id/list', message, signature });
  valid('verify', 'verify', {});
  valid('verify-hedged', 'verify', { signature: again }, 'a signature of the same message with other random bytes');
  valid('verify-empty', 'verify', { publicKey, label: 'hs/sig', message: new Uint8Array(0), signature: empty });
  const mixed = concat(signature.slice(0, 3309), again.slice(3309));
  valid('verify-mixed', 'verify', { signature: mixed }, 'halves of two valid signatures of one message: EUF-CMA, not SUF-CMA');

  const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array | string>): void =>
    invalid(id, 'verify', 'ERR_SIGNATURE', threats, description, changed);
  const halves = (mldsa: Uint8Array, ed: Uint8Array): Uint8Array => concat(mldsa.slice(0, 3309), ed.slice(3309));
  refuse('forged-mldsa', 'T07', 'a bit of the ML-DSA half changed', { signature: flipped(signature, 0) });
  refuse('forged-ed25519', 'T07', 'a bit of the Ed25519 half changed', { signature: flipped(signature, 3309) });
  refuse('mldsa-of-other-message', 'T07', 'the ML-DSA half is of another message', { signature: halves(otherMessage, signature) });
  refuse('ed25519-of-other-message', 'T07', 'the Ed25519 half is of another message', { signature: halves(signature, otherMessage) });
  refuse('mldsa-of-other-key', 'T07', 'the ML-DSA half is of another key', { signature: halves(others, signature) });
  refuse('ed25519-of-other-key', 'T07', 'the Ed25519 half is of another key', { signature: halves(signature, others) });
  refuse('mldsa-of-other-label', 'T07 T13', 'the ML-DSA half is of another context', { signature: halves(elsewhere, signature) });
  refuse('ed25519-of-other-label', 'T07 T13', 'the Ed25519 half is of another context', { signature: halves(signature, elsewhere) });
  refuse('swapped-halves', 'T07', 'Ed25519 half first', { signature: concat(signature.slice(3309), signature.slice(0, 3309)) });
  refuse('mldsa-alone', 'T07 T50', 'the ML-DSA half alone', { signature: signature.slice(0, 3309) });
  refuse('ed25519-alone', 'T07 T50', 'the Ed25519 half alone', { signature: signature.slice(3309) });
  refuse('ed25519-zero', 'T07', 'zeros for the Ed25519 half', { signature: patched(signature, 3309, new Uint8Array(64)) });
  refuse('mldsa-zero', 'T07', 'zeros for the ML-DSA half', { signature: patched(signature, 0, new Uint8Array(3309)) });
  refuse('empty', 'T50', 'no signature', { signature: new Uint8Array(0) });
  refuse('short', 'T50', 'a byte too few', { signature: signature.slice(0, -1) });
  refuse('long', 'T50', 'a byte too many', { signature: concat(signature, new Uint8Array(1)) });
  refuse('other-label', 'T06 T13', 'the signature of another context', { signature: elsewhere });
  refuse('other-message', 'T07', 'the signature of another message', { signature: otherMessage });
  refuse('other-key', 'T11', 'the signature of another key', { signature: others });
  const scalar = signature.slice(-32);
  refuse('malleated', 'T06', 'S + L for S, which RFC 8032 refuses', {
    signature: patched(signature, -32, littleEndian(numberOf(scalar) + ORDER)),
  });
  const identity = littleEndian(1n);
  const notCanonical = littleEndian(2n ** 255n - 18n);
  const neutral = patched(new Uint8Array(64), 0, [1]);
  refuse('small-order-key', 'T01', 'an Ed25519 key of order 1, under which R of order 1 and S = 0 would hold for every message', {
    publicKey: patched(publicKey, 1952, identity),
    signature: patched(signature, 3309, neutral),
  });
  refuse('key-not-canonical', 'T06', 'an Ed25519 key whose y is p + 1, another spelling of the same point of order 1', {
    publicKey: patched(publicKey, 1952, notCanonical),
    signature: patched(signature, 3309, neutral),
  });
  // The key's owner can sign with r = 0: S = k·a for R in any spelling of the point of order 1.
  const withR = (R: Uint8Array): Uint8Array => {
    const k = numberOf(sha512(concat(R, publicKey.slice(1952), representative(message, 'id/list'))));
    return patched(signature, 3309, concat(R, littleEndian((k * scalarOf(secretKey.slice(32))) % ORDER)));
  };
  valid('r-of-order-1', 'verify', { signature: withR(identity) }, 'R of order 1, which is no fault: only the key’s order counts');
  refuse('r-not-canonical', 'T06', 'the same R in a spelling that is not canonical, y = p + 1', { signature: withR(notCanonical) });
  refuse('hint-counts', 'T06', 'hints of ML-DSA whose counts run backwards', { signature: patched(signature, 3303, [1, 0]) });
  refuse('hint-too-many', 'T06', 'more hints of ML-DSA than there can be', { signature: patched(signature, 3308, [56]) });
  refuse('hint-padding', 'T06', 'an unused place among the hints of ML-DSA that is not zero', { signature: patched(signature, 3302, [1]) });
  refuse('z-too-large', 'T06', 'a coefficient of z that is out of range', { signature: patched(signature, 48, [0, 0, 0, 0, 0]) });
  refuse('key-halves-of-two', 'T07', 'the ML-DSA half of another key', {
    publicKey: concat(otherKey.slice(0, 1952), publicKey.slice(1952)),
  });
  refuse('key-short', 'T50', 'a key of a byte too few', { publicKey: publicKey.slice(0, -1) });
  refuse('key-long', 'T50', 'a key of a byte too many', { publicKey: concat(publicKey, new Uint8Array(1)) });
  return file();
}

/** Byte offset in an ML-KEM key of a coefficient that is set to 3,329, its first value that is out of range. */
const UNREDUCED = [0x01, 0x0d];

export function sealVectors(): VectorFile {
  const seed = 'vectors/seal';
  const rng = seededRng(seed);
  const recipient = { account: 'bob', device: 7, setId: rng(8) };
  const { give, valid, invalid, file } = book({
    kind: 'seal',
    section: '1.1, 6',
    description:
      'HPKE in base mode over X-Wing (`seal`, `open`), and the frames that it hides (`sealFrame`, `openFrame`): INFO and associated data are made of the recipient’s address and set. `random` is what an encapsulation draws, ML-KEM 32 ‖ X25519 32. A public key is ML-KEM-768 1,184 ‖ X25519 32, `enc` likewise 1,088 ‖ 32. `kemSharedSecret`, `key` and `nonce` are values on the way. Only the frame around an inner frame is looked at, and an Init as far as its setId.',
    seed,
  });
  give(recipient);
  const seedKey = rng(32);
  const publicKey = valid('public-key', 'publicKey', { seed: seedKey }).bytes('publicKey');
  const input = { info: text('what it is for'), ad: text('what stands beside it'), plaintext: text('what is sealed') };
  const sealed = valid('seal', 'seal', { publicKey, ...input, random: rng(64) });
  const [enc, ciphertext] = [sealed.bytes('enc'), sealed.bytes('ciphertext')];
  valid('seal-nothing', 'seal', {
    publicKey,
    info: new Uint8Array(0),
    ad: new Uint8Array(0),
    plaintext: new Uint8Array(0),
    random: rng(64),
  });
  const { plaintext: _plaintext, ...bound } = input;
  give({ seed: seedKey, ...bound, enc, ciphertext });
  valid('open', 'open', {});

  const random = rng(64);
  const refuseKey = (id: string, threats: string, description: string, key: Uint8Array): void =>
    invalid(id, 'seal', 'ERR_DECRYPT', threats, description, { publicKey: key, plaintext: input.plaintext, random });
  LOW_ORDER.forEach((point, i) => {
    refuseKey(`seal-low-order-${i}`, 'T01', 'an X25519 half of small order', patched(publicKey, 1184, point));
  });
  refuseKey('seal-not-canonical', 'T01', 'an X25519 half that is not canonical', patched(publicKey, 1184, NOT_CANONICAL[0]!));
  refuseKey('seal-bit-255', 'T01', 'an X25519 half with bit 255 set', patched(publicKey, 1184, NOT_CANONICAL[1]!));
  refuseKey('seal-unreduced', 'T04', 'a coefficient of the ML-KEM half that is 3,329', patched(publicKey, 0, UNREDUCED));
  refuseKey('seal-key-short', 'T04 T50', 'a key of a byte too few', publicKey.slice(0, -1));

  const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array>): void =>
    invalid(id, 'open', 'ERR_DECRYPT', threats, description, changed);
  refuse('open-kem-changed', 'T05', 'a bit of the ML-KEM half of enc changed: implicit rejection', { enc: flipped(enc, 0) });
  refuse('open-x25519-changed', 'T03', 'another X25519 half of enc', { enc: patched(enc, 1088, patched(new Uint8Array(32), 0, [9])) });
  refuse('open-low-order', 'T01', 'an X25519 half of enc of small order', { enc: patched(enc, 1088, LOW_ORDER[2]!) });
  refuse('open-not-canonical', 'T01', 'an X25519 half of enc that is not canonical', { enc: patched(enc, 1088, NOT_CANONICAL[1]!) });
  refuse('open-enc-short', 'T50', 'enc of a byte too few', { enc: enc.slice(0, -1) });
  refuse('open-nothing', 'T50', 'nothing', { enc: new Uint8Array(0), ciphertext: new Uint8Array(0) });
  refuse('open-other-info', 'T11', 'another info', { info: text('something else') });
  refuse('open-other-ad', 'T13', 'other associated data', { ad: text('something else') });
  refuse('open-other-seed', 'T11', 'another recipient', { seed: flipped(seedKey) });
  refuse('open-body-changed', 'T17', 'a bit of the ciphertext changed', { ciphertext: flipped(ciphertext, 0) });
  for (let left = 0; left < 16; left++) {
    refuse(`open-tag-${left}`, 'T50', `a tag of ${left} bytes`, { ciphertext: ciphertext.slice(0, ciphertext.length - 16 + left) });
  }

  const inner = concat(fromHex('20010001')!, rng(16), new Uint8Array(100));
  const frame = valid('seal-frame', 'sealFrame', { publicKey, inner, random: rng(64) }).bytes('frame');
  valid(
    'seal-frame-1024',
    'sealFrame',
    { publicKey, inner: concat(inner, new Uint8Array(1024 - inner.length)), random: rng(64) },
    'the first length beyond the least bucket',
  );
  give({ frame });
  valid('open-frame', 'openFrame', {});
  const frames = (
    id: string,
    code: 'ERR_DECRYPT' | 'ERR_DECODE' | 'ERR_VERSION' | 'ERR_KEY_GONE',
    threats: string,
    description: string,
    changed: Record<string, Uint8Array | string | number>,
  ): void => invalid(id, 'openFrame', code, threats, description, changed);
  frames('frame-other-account', 'ERR_DECRYPT', 'T11', 'sealed for another account', { account: 'rob' });
  frames('frame-other-device', 'ERR_DECRYPT', 'T11', 'sealed for another device', { device: 8 });
  frames('frame-other-set', 'ERR_KEY_GONE', 'T11', 'a set that this device has not', { frame: flipped(frame, 4) });
  frames('frame-changed', 'ERR_DECRYPT', 'T17', 'the last bit changed', { frame: flipped(frame) });
  frames('frame-long', 'ERR_DECRYPT', 'T50', 'a byte too many', { frame: concat(frame, new Uint8Array(1)) });
  frames('frame-short', 'ERR_DECODE', 'T50', 'shorter than any sealed frame', { frame: frame.slice(0, 12 + 1120 + 1039) });
  frames('frame-type', 'ERR_DECODE', 'T13', 'another type', { frame: patched(frame, 0, [0x30]) });
  frames('frame-bare-init', 'ERR_DECODE', 'T12', 'an Init that is not sealed', { frame: patched(frame, 0, [0x10]) });
  frames('frame-version', 'ERR_VERSION', 'T08 T46', 'another version', { frame: patched(frame, 1, [2]) });
  frames('frame-suite', 'ERR_VERSION', 'T08', 'another suite', { frame: patched(frame, 3, [2]) });
  const wrap = (content: Uint8Array): Uint8Array => {
    const head = encodeSealedHead(recipient.setId);
    return concat(head, seal(publicKey, info('seal', text(recipient.account), u32(recipient.device), recipient.setId), head, content, rng));
  };
  frames('frame-in-frame', 'ERR_DECRYPT', 'T13 T40', 'a sealed frame within the seal', { frame: wrap(padSeal(frame)) });
  frames('frame-padding-none', 'ERR_DECRYPT', 'T43', 'no padding within the seal', {
    frame: wrap(patched(new Uint8Array(1024).fill(7), 0, inner)),
  });
  frames('frame-padding-more', 'ERR_DECRYPT', 'T43', 'more padding within the seal than its content asks for', {
    frame: wrap(concat(padSeal(inner), new Uint8Array(64))),
  });
  frames('frame-padding-less', 'ERR_DECRYPT', 'T43', 'less padding within the seal than its content asks for', {
    frame: wrap(padSeal(concat(inner, new Uint8Array(2000))).slice(0, -1)),
  });
  frames('frame-inner-type', 'ERR_DECODE', 'T13', 'what is no frame within the seal', { frame: wrap(padSeal(patched(inner, 0, [0x40]))) });
  frames('frame-inner-version', 'ERR_VERSION', 'T08', 'another version within the seal', { frame: wrap(padSeal(patched(inner, 1, [2]))) });
  return file();
}

export function incrementalKemVectors(): VectorFile {
  const seed = 'vectors/incremental-kem';
  const rng = seededRng(seed);
  const { valid, invalid, file } = book({
    kind: 'incremental-kem',
    section: '4.5',
    description:
      'Incremental ML-KEM-768: `key` gives header and vector of a seed, `encaps1` needs the header alone, `encaps2` the vector too, `decaps` is that of FIPS 203. A ciphertext that is not the key’s gives another secret (implicit rejection), which ctMac shows.',
    seed,
  });
  for (let i = 0; i < 3; i++) {
    const kemSeed = rng(64);
    const key = valid(`key-${i}`, 'key', { seed: kemSeed });
    const [header, vector] = [key.bytes('header'), key.bytes('vector')];
    const m = rng(32);
    const first = valid(`encaps1-${i}`, 'encaps1', { header, m });
    const ct1 = first.bytes('ct1');
    const ct2 = valid(`encaps2-${i}`, 'encaps2', { header, vector, m, ct1 }).bytes('ct2');
    const whole = valid(`decaps-${i}`, 'decaps', { seed: kemSeed, ct1, ct2 });
    if (whole.json['sharedSecret'] !== first.json['sharedSecret']) throw new Error('the two sides disagree');
    if (i > 0) continue;
    valid('decaps-ct1-changed', 'decaps', { seed: kemSeed, ct1: flipped(ct1, 0), ct2 }, 'a bit of ct1 changed: another secret');
    valid('decaps-ct2-changed', 'decaps', { seed: kemSeed, ct1, ct2: flipped(ct2) }, 'a bit of ct2 changed: another secret');
    const liar = flipped(header, 63);
    const lied = valid('encaps1-any-header', 'encaps1', { header: liar, m }, 'a header whose vector nobody has: it does not show yet');
    const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array>): void =>
      invalid(id, 'encaps2', 'ERR_DECRYPT', threats, description, { header, vector, m, ct1, ...changed });
    refuse('encaps2-liar', 'T03 T04', 'the vector is not the one that the header names', { header: liar, ct1: lied.bytes('ct1') });
    refuse('encaps2-vector-changed', 'T03', 'a bit of the vector changed', { vector: flipped(vector, 0) });
    refuse('encaps2-rho-changed', 'T03', 'a bit of ρ changed', { header: flipped(header, 0) });
    const unreduced = patched(vector, 0, UNREDUCED);
    const rho = header.slice(0, 32);
    const named = concat(rho, sha3_256(concat(unreduced, rho)));
    const given = valid(
      'encaps1-unreduced',
      'encaps1',
      { header: named, m },
      'the header of a key that FIPS 203 refuses: it does not show yet',
    );
    refuse('encaps2-unreduced', 'T04', 'a coefficient of the vector that is 3,329, under a header that names it', {
      header: named,
      vector: unreduced,
      ct1: given.bytes('ct1'),
    });
    refuse('encaps2-ct1-changed', 'T05 T42', 'another ct1 than the first step gave: a fault of this side', { ct1: flipped(ct1, 959) });
    refuse('encaps2-other-m', 'T42', 'another m than in the first step', { m: rng(32) });
  }
  return file();
}
