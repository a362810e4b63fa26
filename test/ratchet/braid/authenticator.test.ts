import * as node from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { concat, isZero, toHex } from '../../../src/bytes.js';
import {
  ciphertextMac,
  epochSecret,
  headerMac,
  MAC_BYTES,
  startAuthenticator,
  updateAuthenticator,
} from '../../../src/ratchet/braid/authenticator.js';
import { flip, testRng } from '../../helpers/rng.js';
import { filledDuring } from '../../helpers/secrets.js';

// --- Section 4.4 once more, with another library ---

const u16 = (value: number): Buffer => Buffer.of(value >>> 8, value & 0xff);
const u32 = (value: number): Buffer => Buffer.from(value.toString(16).padStart(8, '0'), 'hex');
const INFO = (label: string, ...fields: Uint8Array[]): Buffer => {
  const name = Buffer.from(`CYPHR/1 ${label}`);
  return Buffer.concat([Buffer.of(name.length), name, ...fields.flatMap((field) => [u16(field.length), field])]);
};
const ZERO = Buffer.alloc(32);
const HKDF = (ikm: Uint8Array, info: Uint8Array, length: number): Uint8Array =>
  new Uint8Array(node.hkdfSync('sha256', ikm, ZERO, info, length));
const HMAC = (key: Uint8Array, data: Uint8Array): Uint8Array => new Uint8Array(node.createHmac('sha256', key).update(data).digest());

const rng = testRng('authenticator');
const [root, secret, header, ct1, ct2] = [32, 32, 64, 960, 128].map((length) => rng(length)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
];

/** Epochs whose bytes differ in every place, and the last one. */
const EPOCHS = [1, 2, 0x0102_0304, 0x7fff_ffff];

describe.each(EPOCHS)('epoch %i', (epoch) => {
  it('update: root ‖ mac = HKDF(0³², root ‖ k, INFO("scka/auth", u32 e), 64)', () => {
    const okm = HKDF(Buffer.concat([root, secret]), INFO('scka/auth', u32(epoch)), 64);
    expect(updateAuthenticator({ root }, epoch, secret)).toEqual({ root: okm.slice(0, 32), mac: okm.slice(32) });
  });

  it('hdrMac and ctMac', () => {
    const auth = updateAuthenticator({ root }, epoch, secret);
    expect(headerMac(auth, epoch, header)).toEqual(HMAC(auth.mac, INFO('scka/hdr-mac', u32(epoch), header)));
    expect(ciphertextMac(auth, epoch, ct1, ct2)).toEqual(HMAC(auth.mac, INFO('scka/ct-mac', u32(epoch), Buffer.concat([ct1, ct2]))));
    expect(headerMac(auth, epoch, header)).toHaveLength(MAC_BYTES);
  });

  it('k_e = HKDF(0³², ss, INFO("scka/key", u32 e), 32)', () => {
    expect(epochSecret(secret, epoch)).toEqual(HKDF(secret, INFO('scka/key', u32(epoch)), 32));
  });
});

it('starts as update(1, SCKA_SK) from zeros', () => {
  const okm = HKDF(Buffer.concat([ZERO, secret]), INFO('scka/auth', u32(1)), 64);
  expect(startAuthenticator(secret)).toEqual({ root: okm.slice(0, 32), mac: okm.slice(32) });
});

it('mutates nothing, and gives buffers of its own', () => {
  const before = [root, secret].map((each) => each.slice());
  const { root: next, mac } = updateAuthenticator({ root }, 1, secret);
  expect([root, secret]).toEqual(before);
  expect(new Set([root, secret, next, mac].map(({ buffer }) => buffer)).size).toBe(4);
  next.fill(0);
  expect(isZero(mac)).toBe(false);
  startAuthenticator(secret).root.fill(1);
  expect(startAuthenticator(secret)).toEqual(startAuthenticator(secret.slice()));
});

it('T20: wipes what the step was made of', () => {
  const { root: next, mac } = updateAuthenticator({ root }, 1, secret);
  const filled = filledDuring(() => updateAuthenticator({ root }, 1, secret));
  expect(filled).toEqual(expect.arrayContaining([toHex(concat(root, secret)), toHex(concat(next, mac))]));
});

it('T15: no MAC or secret stands for another epoch, root, piece or purpose', () => {
  const auth = startAuthenticator(secret);
  const seen = [
    ...[auth, updateAuthenticator(auth, 1, root), updateAuthenticator(auth, 1, flip(root)), updateAuthenticator(auth, 2, root)].flatMap(
      (each) => [each.root, each.mac, headerMac(each, 1, header), headerMac(each, 2, header), ciphertextMac(each, 1, ct1, ct2)],
    ),
    headerMac(auth, 1, flip(header, 0)),
    ciphertextMac(auth, 2, ct1, ct2),
    ciphertextMac(auth, 1, flip(ct1), ct2),
    ciphertextMac(auth, 1, ct1, flip(ct2)),
    ciphertextMac(auth, 1, header.subarray(0, 32), header.subarray(32)),
    epochSecret(secret, 1),
    epochSecret(secret, 2),
  ].map((bytes) => Buffer.from(bytes).toString('hex'));
  expect(new Set(seen).size).toBe(seen.length);
});
