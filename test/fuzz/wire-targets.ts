/** Layouts: everything that is read before anything is verified, and the text and MessagePack inside. */

import { concat, decodeUtf8, encodeUtf8 } from '../../src/bytes.js';
import { compareSafetyQr, safetyNumber } from '../../src/identity/safety-number.js';
import type { Profile } from '../../src/step.js';
import { fromBase64Url, toBase64Url } from '../../src/transport/socket/base64url.js';
import * as frames from '../../src/wire/frames.js';
import { decodeMsgpack, encodeMsgpack } from '../../src/wire/msgpack.js';
import * as objects from '../../src/wire/objects.js';
import { padBody, padSeal, unpadBody, unpadSeal } from '../../src/wire/padding.js';
import { encodePlaintext, parsePlaintext } from '../../src/wire/plaintext.js';
import { CHUNK_BYTES, decodeHeader, encodeHeader, parseRatchetFrame } from '../../src/wire/ratchet-message.js';
import { DECODE, decoder, must, onEdits, refusedAs, same, type Target } from './target.js';

const bytes = (length: number, value = 5): Uint8Array => new Uint8Array(length).fill(value);
const utf8 = (text: string): Uint8Array => encodeUtf8(text)!;

/** One sample of every object and frame. Nothing in them is verified here, so that keys and signatures are filler. */
const list = concat(
  objects.encodeDeviceList({
    account: 'alice',
    accountKeyHash: bytes(64),
    version: 7,
    issuedAt: 1_767_225_600_000,
    freshUntil: 1_767_830_400_000,
    entries: [
      { device: 1, keyHash: bytes(64), dhKey: bytes(32) },
      { device: 9, keyHash: bytes(64, 6), dhKey: bytes(32, 6) },
    ],
  }),
  bytes(frames.COMPOSITE_SIGNATURE_BYTES),
);
const set = concat(
  objects.encodeSignedSet({
    account: 'alice',
    device: 9,
    deviceKeyHash: bytes(64),
    incarnation: bytes(16),
    seq: 3,
    notAfter: 1_767_225_600_000,
    verMin: 1,
    verMax: 2,
    suites: [1, 9],
    profiles: 7,
    setId: bytes(8),
    signedPrekey: bytes(32),
    lastResortKemPrekey: bytes(frames.KEM_KEY_BYTES),
    sealKey: bytes(frames.SEAL_KEY_BYTES),
  }),
  bytes(frames.COMPOSITE_SIGNATURE_BYTES),
);
const batch = concat(
  objects.encodeBatch({
    account: 'alice',
    device: 9,
    deviceKeyHash: bytes(64),
    batchId: bytes(8),
    count: 100,
    notAfter: 1_767_225_600_000,
    root: bytes(32),
  }),
  bytes(frames.COMPOSITE_SIGNATURE_BYTES),
);
const entry = objects.encodeOneTimeEntry({
  otId: bytes(8),
  index: 3,
  oneTimePrekey: bytes(32),
  oneTimeKemPrekey: bytes(frames.KEM_KEY_BYTES),
  path: [bytes(32), bytes(32, 6)],
});
const identity = objects.encodeIdentity({
  accountKey: bytes(frames.COMPOSITE_KEY_BYTES),
  deviceList: list,
  deviceKey: bytes(frames.COMPOSITE_KEY_BYTES),
});
const statement = concat(
  objects.encodeRootStatement({ account: 'alice', accountKeyHash: bytes(64), version: 7, issuedAt: 9, rootKey: bytes(48) }),
  bytes(16_224),
);
const login = concat(
  objects.encodeLogin({
    audience: utf8('relay.example'),
    nonce: bytes(32),
    account: 'alice',
    device: 9,
    storeId: bytes(16),
    generation: 77,
  }),
  bytes(frames.COMPOSITE_SIGNATURE_BYTES),
);
const init = concat(
  frames.encodeInit({
    mode: 1,
    profile: 1,
    verMin: 1,
    verMax: 1,
    accountId: utf8('alice'),
    deviceId: 9,
    setId: bytes(8),
    otId: bytes(8),
    ephemeralKey: bytes(32),
    kemCiphertext: bytes(frames.KEM_CIPHERTEXT_BYTES),
    accountKey: bytes(frames.COMPOSITE_KEY_BYTES),
    deviceKey: bytes(frames.COMPOSITE_KEY_BYTES),
    deviceList: list,
    signature: bytes(frames.COMPOSITE_SIGNATURE_BYTES),
  }),
  bytes(40),
);
const sealed = concat(frames.encodeSealedHead(bytes(8)), bytes(2_200));

/** A signed object, from an edited sample. */
function signed<T extends objects.Signed>(sample: Uint8Array, decode: (input: Uint8Array) => T, encode: (value: T) => Uint8Array): Target {
  return onEdits([sample], decoder({ seeds: [], codes: DECODE, decode, encode: (value) => concat(encode(value), value.signature) }));
}

const values: readonly Parameters<typeof encodeMsgpack>[0][] = [
  { t: 'text', at: 1_767_225_600_000, text: 'é' },
  [null, true, -1, -33, -129, 1.5, 2 ** 40, 2n ** 63n, -(2n ** 62n), new Uint8Array(3), 'x'.repeat(40), [], {}, [[[[[[[1]]]]]]]],
];

/** Whether text is what the platform's strict decoder reads. */
function sameText(input: Uint8Array, text: string | undefined): void {
  let expected: string | undefined;
  try {
    expected = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(input);
  } catch {}
  must(text === expected, 'not the text that the platform reads');
}

const own = { account: 'alice', accountKeyHash: bytes(64, 1) };
const peer = { account: 'bob', accountKeyHash: bytes(64, 2) };

export const wireTargets: Readonly<Record<string, () => Target>> = {
  'wire-frame-type': () =>
    decoder({ seeds: [sealed.slice(0, 20), new Uint8Array([0x20, 1, 0, 1])], codes: DECODE, decode: frames.frameType }),
  'wire-sealed': () =>
    onEdits(
      [sealed],
      decoder({ seeds: [], codes: DECODE, decode: frames.parseSealed, encode: (frame) => concat(frame.head, frame.sealed) }),
    ),
  'wire-init': () =>
    onEdits(
      [init],
      decoder({
        seeds: [],
        codes: DECODE,
        decode: frames.parseInit,
        encode: (frame) => concat(frames.encodeInit(frame), frame.ratchetMessage),
      }),
    ),
  'wire-device-list': () => signed(list, objects.parseDeviceList, objects.encodeDeviceList),
  'wire-signed-set': () => signed(set, objects.parseSignedSet, objects.encodeSignedSet),
  'wire-batch': () => signed(batch, objects.parseBatch, objects.encodeBatch),
  'wire-root-statement': () => signed(statement, objects.parseRootStatement, objects.encodeRootStatement),
  'wire-login': () => signed(login, objects.parseLogin, objects.encodeLogin),
  'wire-one-time-entry': () =>
    onEdits([entry], decoder({ seeds: [], codes: DECODE, decode: objects.parseOneTimeEntry, encode: objects.encodeOneTimeEntry })),
  'wire-identity': () =>
    onEdits([identity], decoder({ seeds: [], codes: DECODE, decode: objects.parseIdentity, encode: objects.encodeIdentity })),
  'wire-ratchet-frame': () => ({
    seeds: ([1, 2, 3] as const).map((profile) => new Uint8Array([profile, 0, 0, 0, 0, 0])),
    play(input) {
      const profile = (1 + ((input[0] ?? 0) % 3)) as Profile;
      const frame = concat(new Uint8Array([0x20, 1, 0, 1]), bytes(16 + 24 + 56 + CHUNK_BYTES[profile] + 16 + 32 + 512 + 16));
      const target = decoder({
        seeds: [],
        codes: DECODE,
        decode: (given) => parseRatchetFrame(given, profile),
        encode: ({ beforeBody, bodyCiphertext }) => concat(beforeBody, bodyCiphertext),
      });
      onEdits([frame], target).play(concat(new Uint8Array(1), input.subarray(1)));
    },
  }),
  'wire-header': () => {
    // Its length is that of the profile: the AEAD has seen to it.
    const ofProfile = (input: Uint8Array): Uint8Array => {
      const out = new Uint8Array(56 + CHUNK_BYTES[2]);
      out.set(input.subarray(0, out.length));
      return out;
    };
    const target = decoder({ seeds: [], codes: ['ERR_DECRYPT'], decode: decodeHeader, encode: encodeHeader });
    const fields = { previousChainLength: 3, n: 4, pqEpoch: 2, pqCounter: 3, pqPrevious: 4, type: 1, index: 2 };
    return {
      seeds: [encodeHeader({ ...fields, ratchetKey: bytes(32), chunk: bytes(32) })],
      play: (input) => target.play(ofProfile(input)),
    };
  },
  'wire-plaintext': () =>
    decoder({
      seeds: [
        encodePlaintext({
          kind: 'app',
          messageId: bytes(16),
          ownListVersion: 1,
          peerListVersion: 2,
          ownListHash: bytes(8),
          payload: bytes(9),
        }),
      ],
      codes: DECODE,
      decode: parsePlaintext,
      encode: encodePlaintext,
    }),
  'wire-padding': () => ({
    seeds: [concat(new Uint8Array([0, 7, 0x80]), new Uint8Array(8)), new Uint8Array([1, 7, 7, 0x80])],
    play(input) {
      // Buckets begin at 512 bytes: the rest is filled up with zeros, two bytes say how many.
      const [kind, high, low] = [input[0] ?? 0, input[1] ?? 0, input[2] ?? 0];
      const padded = concat(input.subarray(3), new Uint8Array((((high & 15) << 8) | low) % 3_000));
      const [pad, unpad] = kind % 2 === 0 ? [padBody, unpadBody] : [padSeal, unpadSeal];
      const result = refusedAs(['ERR_DECRYPT'], () => unpad(padded));
      if ('value' in result) must(same(pad(result.value), padded), 'pads to other bytes');
    },
    work: { fixed: 20_000, perByte: 60 },
  }),
  'wire-msgpack': () => {
    const target = decoder({
      seeds: values.map((value) => encodeMsgpack(value)),
      codes: DECODE,
      decode: (input) => ({ value: decodeMsgpack(input) }),
      encode: ({ value }) => encodeMsgpack(value),
    });
    return {
      ...target,
      play(input) {
        target.play(input);
        must(!('polluted' in {}) && Object.keys(Object.prototype).length === 0, 'the prototype of objects was changed');
      },
    };
  },
  'text-utf8': () => ({
    // Well-formed; overlong; surrogates; above U+10FFFF; cut off; no beginning.
    seeds: [
      ...['aé€😀', '\ufeff\u0000', '\ud7ff\ue000\u{10ffff}'].map(utf8),
      ...[
        'c080',
        'c1bf',
        'e0809f',
        'e09fbf',
        'f08fbfbf',
        'eda080',
        'edbfbf',
        'f4908080',
        'f5808080',
        'c3',
        'e282',
        'f09f98',
        '80',
        'c328',
      ].map((hex) => new Uint8Array(Buffer.from(hex, 'hex'))),
    ],
    play(input) {
      const text = decodeUtf8(input);
      sameText(input, text);
      if (text !== undefined) must(same(utf8(text), input), 'encodes to other bytes');
    },
  }),
  'text-base64url': () => ({
    seeds: ['', 'AA', 'AAE', 'AAEC', '-_-_'].map(utf8),
    play(input) {
      const text = String.fromCharCode(...input);
      const decoded = fromBase64Url(text);
      if (decoded !== undefined) must(toBase64Url(decoded) === text, 'encodes to other text');
    },
  }),
  'safety-qr': () => ({
    seeds: [safetyNumber(peer, own).qr, safetyNumber(own, peer).qr],
    work: { fixed: 200_000, perByte: 60 },
    play(input) {
      const found = compareSafetyQr(own, peer, input);
      must(found !== 'match' || same(input, safetyNumber(peer, own).qr), 'another code matches');
    },
  }),
};
