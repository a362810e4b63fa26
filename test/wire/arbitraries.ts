import fc from 'fast-check';
import { compare, encodeUtf8 } from '../../src/bytes.js';
import type { InitFields } from '../../src/wire/frames.js';

/** Exactly `length` bytes; long ones are a pattern made of one number, so that a failure prints in a line. */
export const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  length <= 64
    ? fc.uint8Array({ minLength: length, maxLength: length })
    : fc.nat().map((seed) => Uint8Array.from({ length }, (_, i) => (seed >>> (i % 24)) ^ i));
export const u64 = fc.maxSafeNat();
export const device = fc.integer({ min: 1, max: 0x7fff_ffff });
export const account = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 16 })
  .filter((text) => text.length > 0 && encodeUtf8(text)!.length <= 64);
export const versions = fc.tuple(fc.integer({ min: 1, max: 255 }), fc.integer({ min: 1, max: 255 })).map((pair) => {
  const [verMin, verMax] = pair.sort((a, b) => a - b);
  return { verMin: verMin!, verMax: verMax! };
});

export const deviceList = fc.record({
  account,
  accountKeyHash: bytes(64),
  version: u64,
  issuedAt: u64,
  freshUntil: u64,
  entries: fc
    .uniqueArray(fc.record({ device, keyHash: bytes(64), dhKey: bytes(32) }), {
      minLength: 1,
      maxLength: 64,
      comparator: (a, b) => a.device === b.device || compare(a.keyHash, b.keyHash) === 0,
    })
    .map((entries) => entries.sort((a, b) => a.device - b.device)),
});

export const signedSet = fc
  .record({
    account,
    device,
    deviceKeyHash: bytes(64),
    incarnation: bytes(16),
    seq: u64,
    notAfter: u64,
    versions,
    suites: fc
      .uniqueArray(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
      .map((suites) => [...new Set([...suites, 1])].sort((a, b) => a - b)),
    profiles: fc.integer({ min: 1, max: 7 }),
    setId: bytes(8),
    signedPrekey: bytes(32),
    lastResortKemPrekey: bytes(1568),
    sealKey: bytes(1216),
  })
  .map(({ versions: range, ...set }) => ({ ...set, ...range }));

export const batch = fc.record({
  account,
  device,
  deviceKeyHash: bytes(64),
  batchId: bytes(8),
  count: fc.integer({ min: 1, max: 128 }),
  notAfter: u64,
  root: bytes(32),
});

export const rootStatement = fc.record({ account, accountKeyHash: bytes(64), version: u64, issuedAt: u64, rootKey: bytes(48) });

export const oneTimeEntry = fc.record({
  otId: bytes(8).filter((id) => id.some((byte) => byte !== 0)),
  index: fc.integer({ min: 0, max: 0xffff }),
  oneTimePrekey: bytes(32),
  oneTimeKemPrekey: bytes(1568),
  path: fc.array(bytes(32), { maxLength: 7 }),
});

export const identity = fc.record({ accountKey: bytes(1984), deviceList: fc.uint8Array({ maxLength: 500 }), deviceKey: bytes(1984) });

export const login = fc.record({
  audience: fc.uint8Array({ maxLength: 80 }),
  nonce: fc.uint8Array({ maxLength: 80 }),
  account,
  device,
  storeId: bytes(16),
  generation: u64,
});

export const init: fc.Arbitrary<InitFields & { signature: Uint8Array }> = fc
  .record({
    mode: fc.integer({ min: 0, max: 255 }),
    profile: fc.integer({ min: 0, max: 255 }),
    versions,
    accountId: account.map((text) => encodeUtf8(text)!),
    deviceId: device,
    setId: bytes(8),
    otId: bytes(8),
    ephemeralKey: bytes(32),
    kemCiphertext: bytes(1568),
    accountKey: bytes(1984),
    deviceKey: bytes(1984),
    deviceList: fc.uint8Array({ maxLength: 500 }),
    signature: bytes(3373),
  })
  .map(({ versions: range, ...fields }) => ({ ...fields, ...range }));
