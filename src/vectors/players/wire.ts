/** Players of bytes without keys: layouts, MessagePack, padding. */

import { concat, equal } from '../../bytes.js';
import { InternalError } from '../../errors.js';
import { encodeTranscript } from '../../pqxdh/transcript.js';
import type { Profile } from '../../step.js';
import { accountBytes, malformed } from '../../wire/codec.js';
import { encodeInit, encodeSealedHead, parseInit, parseSealed } from '../../wire/frames.js';
import { decodeMsgpack, encodeMsgpack, type MsgpackValue } from '../../wire/msgpack.js';
import {
  encodeBatch,
  encodeDeviceList,
  encodeIdentity,
  encodeLogin,
  encodeOneTimeEntry,
  encodeRootStatement,
  encodeSignedSet,
  parseBatch,
  parseDeviceList,
  parseIdentity,
  parseLogin,
  parseOneTimeEntry,
  parseRootStatementTbs,
  parseSignedSet,
  type Signed,
} from '../../wire/objects.js';
import { padBody, padme, padSeal, unpadBody, unpadSeal } from '../../wire/padding.js';
import { encodePlaintext, parsePlaintext } from '../../wire/plaintext.js';
import { decodeHeader, encodeHeader, parseRatchetFrame } from '../../wire/ratchet-message.js';
import type { Operation, Player } from '../player.js';
import type { Inputs, Output } from '../schema.js';

/** Throws `ERR_BUG` where what was decoded does not encode to the bytes it came from. */
function same(bytes: Uint8Array, encoded: Uint8Array): void {
  if (!equal(bytes, encoded)) throw new InternalError('ERR_BUG', 'decoded and encoded again it is something else');
}

/** Decodes `bytes`, encodes what they say, and compares: a layout has one encoding. */
const layout =
  <T extends object>(decode: (bytes: Uint8Array) => T, encode: (fields: T) => Uint8Array): Operation =>
  (inputs) => {
    const bytes = inputs.bytes('bytes');
    const fields = decode(bytes);
    same(bytes, encode(fields));
    return fields as Record<string, Output>;
  };

/** The same for TBS‖sig, of which the signature is no output but where it begins. */
const signed =
  <T extends Signed>(decode: (bytes: Uint8Array) => T, encode: (fields: T) => Uint8Array): Operation =>
  (inputs) => {
    const bytes = inputs.bytes('bytes');
    const { tbs, signature, ...fields } = decode(bytes);
    same(bytes, concat(encode({ tbs, signature, ...fields } as T), signature));
    return { ...(fields as Record<string, Output>), tbsBytes: tbs.length };
  };

function party(inputs: Inputs) {
  return {
    account: inputs.text('account'),
    device: inputs.number('device'),
    accountKeyHash: inputs.bytes('accountKeyHash'),
    deviceKeyHash: inputs.bytes('deviceKeyHash'),
    dhKey: inputs.bytes('dhKey'),
  };
}

/** Section 1.4. */
export const layouts: Player = {
  operations: {
    deviceList: signed(parseDeviceList, encodeDeviceList),
    signedSet: signed(parseSignedSet, encodeSignedSet),
    oneTimeBatch: signed(parseBatch, encodeBatch),
    login: signed(parseLogin, encodeLogin),
    rootStatementTbs: layout(parseRootStatementTbs, encodeRootStatement),
    oneTimeEntry: layout(parseOneTimeEntry, encodeOneTimeEntry),
    identity: layout(parseIdentity, encodeIdentity),
    sealedFrame: layout(
      (bytes) => {
        const { setId, sealed } = parseSealed(bytes);
        return { setId, enc: sealed.slice(0, 1120), ciphertext: sealed.slice(1120) };
      },
      ({ setId, enc, ciphertext }) => concat(encodeSealedHead(setId), enc, ciphertext),
    ),
    init: layout(
      (bytes) => {
        const { accountId: _bytes, signedPart, prefix, ...fields } = parseInit(bytes);
        return { ...fields, signedBytes: signedPart.length };
      },
      ({ signedBytes: _length, ...fields }) =>
        concat(encodeInit({ ...fields, accountId: accountBytes(fields.account) }), fields.ratchetMessage),
    ),
    ratchetMessage: (inputs) => {
      const frame = inputs.bytes('bytes');
      const { prefix, tag, headerNonce, headerCiphertext, commitment, bodyCiphertext } = parseRatchetFrame(frame, profileOf(inputs));
      same(frame, concat(prefix, headerNonce, headerCiphertext, commitment, bodyCiphertext));
      return { tag, headerNonce, headerCiphertext, commitment, bodyCiphertext };
    },
    header: layout(decodeHeader, encodeHeader),
    plaintext: layout((bytes) => {
      const plaintext = parsePlaintext(bytes);
      if (plaintext === undefined) throw malformed('plaintext');
      return plaintext;
    }, encodePlaintext),
    transcript: (inputs) => ({
      transcript: encodeTranscript({
        profile: inputs.number('profile'),
        verMin: inputs.number('verMin'),
        verMax: inputs.number('verMax'),
        initiator: party(inputs.object('initiator')),
        responder: party(inputs.object('responder')),
        setHash: inputs.bytes('setHash'),
        setId: inputs.bytes('setId'),
        signedPrekey: inputs.bytes('signedPrekey'),
        kemPrekey: inputs.bytes('kemPrekey'),
        oneTime: inputs.has('oneTime')
          ? {
              batchHash: inputs.object('oneTime').bytes('batchHash'),
              otId: inputs.object('oneTime').bytes('otId'),
              oneTimePrekey: inputs.object('oneTime').bytes('oneTimePrekey'),
            }
          : undefined,
        ephemeralKey: inputs.bytes('ephemeralKey'),
        kemCiphertext: inputs.bytes('kemCiphertext'),
      }),
    }),
  },
};

/** The profile of the inputs, 1 to 3. */
export function profileOf(inputs: Inputs): Profile {
  const profile = inputs.number('profile');
  if (profile !== 1 && profile !== 2 && profile !== 3) throw malformed('profile');
  return profile;
}

/** A value as JSON: bytes are { $bytes }, integers beyond 2⁵³ { $integer }. No key of a map can begin so. */
function jsonOf(value: MsgpackValue): Output {
  if (value instanceof Uint8Array) return { $bytes: value };
  if (typeof value === 'bigint') return { $integer: value };
  if (Array.isArray(value)) return value.map(jsonOf);
  if (typeof value !== 'object' || value === null) return value as Output;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, jsonOf(member)]));
}

/** Section 10. */
export const msgpack: Player = {
  operations: {
    decode(inputs) {
      const bytes = inputs.bytes('bytes');
      const value = decodeMsgpack(bytes) as MsgpackValue;
      same(bytes, encodeMsgpack(value));
      return { value: jsonOf(value) };
    },
  },
};

/** Section 6. */
export const padding: Player = {
  operations: {
    padme: (inputs) => ({ padded: padme(inputs.number('length')) }),
    padBody: (inputs) => ({ padded: padBody(inputs.bytes('content')) }),
    unpadBody: (inputs) => ({ content: unpadBody(inputs.bytes('padded')) }),
    padSeal: (inputs) => ({ padded: padSeal(inputs.bytes('content')) }),
    unpadSeal: (inputs) => ({ content: unpadSeal(inputs.bytes('padded')) }),
  },
};
