import { describe, expect, it, vi } from 'vitest';
import { concat, encodeUtf8, fromHex, isZero, toHex } from '../../src/bytes.js';
import type * as hpkeModule from '../../src/crypto/hpke.js';
import { hpkeKeySchedule } from '../../src/crypto/hpke.js';
import { openSeal, SEAL_ENC_BYTES, SEAL_PUBLIC_KEY_BYTES, seal, sealPublicKey } from '../../src/crypto/seal.js';
import type * as xwingModule from '../../src/crypto/xwing.js';
import { xwingDecapsulate } from '../../src/crypto/xwing.js';
import { flip, testRng } from '../helpers/rng.js';

/** What the KEM and the key schedule gave: the buffers themselves, since HKDF wipes blocks that hold the same bytes. */
const derived = vi.hoisted((): Uint8Array[] => []);
vi.mock('../../src/crypto/xwing.js', async (original) => {
  const xwing = await original<typeof xwingModule>();
  const xwingEncapsulate: typeof xwing.xwingEncapsulate = (...call) => {
    const encapsulation = xwing.xwingEncapsulate(...call);
    derived.push(encapsulation.kemSharedSecret);
    return encapsulation;
  };
  const xwingDecapsulate: typeof xwing.xwingDecapsulate = (...call) => {
    const secret = xwing.xwingDecapsulate(...call);
    derived.push(secret);
    return secret;
  };
  return { ...xwing, xwingEncapsulate, xwingDecapsulate };
});
vi.mock('../../src/crypto/hpke.js', async (original) => {
  const hpke = await original<typeof hpkeModule>();
  const hpkeKeySchedule: typeof hpke.hpkeKeySchedule = (...call) => {
    const keys = hpke.hpkeKeySchedule(...call);
    derived.push(keys.key, keys.nonce);
    return keys;
  };
  return { ...hpke, hpkeKeySchedule };
});

const DECRYPT = expect.objectContaining({ code: 'ERR_DECRYPT', message: 'message could not be authenticated' });
const rng = testRng('seal');
const seed = rng(32);
const publicKey = sealPublicKey(seed);
const [info, ad, plaintext] = [rng(20), rng(30), rng(100)];
const sealed = seal(publicKey, info, ad, plaintext, rng);

it('opens what was sealed to its key', () => {
  expect(publicKey).toHaveLength(SEAL_PUBLIC_KEY_BYTES);
  expect(sealed).toHaveLength(SEAL_ENC_BYTES + 100 + 16);
  expect(openSeal(seed, info, ad, sealed)).toEqual(plaintext);
  const empty = new Uint8Array(0);
  expect(openSeal(seed, empty, empty, seal(publicKey, empty, empty, empty, rng))).toEqual(empty);
});

it('opens nothing else, and says no more than that', () => {
  for (const at of [0, 1087, 1088, 1119, 1120, sealed.length - 1])
    expect(() => openSeal(seed, info, ad, flip(sealed, at))).toThrow(DECRYPT);
  expect(() => openSeal(seed, flip(info), ad, sealed)).toThrow(DECRYPT);
  expect(() => openSeal(seed, info, flip(ad), sealed)).toThrow(DECRYPT);
  expect(() => openSeal(rng(32), info, ad, sealed)).toThrow(DECRYPT);
});

it('T50: refuses truncations and tails', () => {
  for (let cut = 1; cut <= 20; cut++) expect(() => openSeal(seed, info, ad, sealed.subarray(0, sealed.length - cut))).toThrow(DECRYPT);
  for (const length of [0, 1, 16, SEAL_ENC_BYTES - 1, SEAL_ENC_BYTES, SEAL_ENC_BYTES + 15]) {
    expect(() => openSeal(seed, info, ad, sealed.subarray(0, length))).toThrow(DECRYPT);
  }
  expect(() => openSeal(seed, info, ad, concat(sealed, new Uint8Array(1)))).toThrow(DECRYPT);
});

it('refuses public keys of a wrong length or content', () => {
  expect(() => seal(publicKey.subarray(1), info, ad, plaintext, rng)).toThrow(DECRYPT);
  expect(() => seal(new Uint8Array(1216).fill(0xff), info, ad, plaintext, rng)).toThrow(DECRYPT);
});

it('wipes the randomness that it took', () => {
  let taken: Uint8Array | undefined;
  seal(publicKey, info, ad, plaintext, (lengthBytes) => {
    taken = rng(lengthBytes);
    return taken;
  });
  expect(taken).toEqual(new Uint8Array(64));
});

it('wipes what sealing and opening have derived, whether it succeeds or not', () => {
  const expectWiped = (run: () => unknown): void => {
    derived.length = 0;
    run();
    expect(derived.length).toBe(3);
    for (const secret of derived) expect(isZero(secret)).toBe(true);
  };
  expectWiped(() => seal(publicKey, info, ad, plaintext, rng));
  expectWiped(() => openSeal(seed, info, ad, sealed));
  expectWiped(() => expect(() => openSeal(seed, info, ad, flip(sealed))).toThrow(DECRYPT));
});

describe('draft-ietf-hpke-pq-04, appendix A.5: MLKEM768-X25519, HKDF-SHA256, ChaCha20Poly1305', () => {
  const secret = fromHex('3ec47fa82dd5689d27c6190e724c74ec8f608df3331ce331929e37b829676630')!;
  const random = fromHex(
    '2a1c0a3745fe8a48fb62034d300f54dfe1974a5b2e169e580a8789cb1cf5fd190fc00f3fd899594e01a8b15334b9f3fa03d8de44da86e19f5776850fb689e6c8',
  )!;
  // info and the message are hexadecimal text in the draft, too.
  const draftInfo = encodeUtf8('4f6465206f6e2061204772656369616e2055726e')!;
  const message = encodeUtf8('4265617574792069732074727574682c20747275746820626561757479')!;
  const first = encodeUtf8('Count-0')!;
  const output = seal(sealPublicKey(secret), draftInfo, first, message, () => new Uint8Array(random));

  it('the first message', () => {
    expect(toHex(output.subarray(SEAL_ENC_BYTES))).toBe(
      'c5c591f99092d5e38df0a52699af249c66f8275a863423c076de8147a53e65cc584041c963b77a7e59ea93841b1339b5efda8909b71f74bb0073ad62e899de310c1566dea2fd29eba377',
    );
    expect(openSeal(secret, draftInfo, first, output)).toEqual(message);
  });

  it('shared secret, key and nonce', () => {
    const sharedSecret = xwingDecapsulate(secret, output.subarray(0, SEAL_ENC_BYTES));
    expect(toHex(sharedSecret)).toBe('58200ed1f137bd95a921bb47f6aaecf2395b26f7fd24efd3a5ffae4849e8dea3');
    const { key, nonce } = hpkeKeySchedule({ kemId: 0x647a, aeadId: 3 }, sharedSecret, draftInfo);
    expect(toHex(key)).toBe('131c2ebb469b909a40915914afd7ff5e638888ac7195dcaaaef8f9a84f0e4030');
    expect(toHex(nonce)).toBe('2b7a68f19e6cdbd43dda3c6d');
  });
});
