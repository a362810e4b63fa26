/**
 * What there is to recognise: every object and frame of section 1.4, the payloads of codes, and what lies on a disk. A kind is told by its
 * first bytes and its length, and laid out by the table that its codec uses.
 *
 * Of whatever may hold a secret only the members are shown that are named here.
 */

import { HEADER, HEADER_START, headerRestLength, parseHeader, SEALED_CHUNK_BYTES } from '../../backup/stream.js';
import { encodeUtf8, equal } from '../../bytes.js';
import { PX } from '../../crypto/labels.js';
import { DecodeError } from '../../errors.js';
import { LINK_QR, readLinkCode } from '../../identity/link-code.js';
import { SAFETY_QR } from '../../identity/safety-number.js';
import { decodeState } from '../../ratchet/index.js';
import type { Profile } from '../../step.js';
import { decodeHeadClear, decodeSlot, HEAD_CLEAR, RECORD_CLEAR, recordBucket, SLOT_ROW } from '../../store/sealed/layout.js';
import { reader } from '../../wire/codec.js';
import {
  COMPOSITE_SIGNATURE_BYTES,
  FRAME_INIT,
  FRAME_RATCHET,
  FRAME_SEALED,
  frameType,
  INIT,
  parseInit,
  parseSealed,
  SEALED,
} from '../../wire/frames.js';
import { type Layout, readFields } from '../../wire/layout.js';
import * as objects from '../../wire/objects.js';
import { CHUNK_BYTES, parseRatchetFrame } from '../../wire/ratchet-message.js';
import { KEY_FILE } from '../key-file.js';

/** One kind of thing. */
export interface Kind {
  readonly name: string;
  /** Of the protocol's description. */
  readonly section: string;
  /** The first byte, where that tells: what nothing else is, is one that is damaged, or of another version. */
  readonly type?: number;
  /** Whether these bytes are one. */
  is(bytes: Uint8Array): boolean;
  /** Its fields, for these bytes. */
  layout(bytes: Uint8Array): Layout;
  /** The codec's own judgement; throws its error. */
  check(bytes: Uint8Array): unknown;
  /** Told by so little that it is not looked for within fields of others. */
  readonly isVague?: boolean;
  /** Names of the fields that may be shown; all, where it is absent. */
  readonly shows?: readonly string[];
}

const HEAD = { type: 'u8', ver: 'u8', suite: 'u16' } as const;
const PROFILES = [1, 2, 3] as const;
const MAGIC = encodeUtf8(PX)!;
const EXPORT_MAGIC = encodeUtf8('CYPHRBAK')!;

const begins = (bytes: Uint8Array, ...start: readonly number[]): boolean => start.every((byte, i) => bytes[i] === byte);
const beginsWith = (bytes: Uint8Array, start: Uint8Array): boolean => equal(bytes.subarray(0, start.length), start);

/** Whether `check` takes the bytes: for kinds that no first byte tells. */
function passes(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

const isBucket = (length: number): boolean => recordBucket(length) === length;

function whole(bytes: Uint8Array, layout: Layout): void {
  const from = reader(bytes);
  readFields(from, layout);
  from.end();
}

/** The profiles that a ratchet message of this length can be of. */
export function profilesOf(frame: Uint8Array): Profile[] {
  return PROFILES.filter((profile) => passes(() => parseRatchetFrame(frame, profile)));
}

const ratchetLayout = (profile: Profile): Layout => ({
  ...HEAD,
  tag: 16,
  headerNonce: 24,
  headerCiphertext: 72 + CHUNK_BYTES[profile],
  commitment: 32,
  bodyCiphertext: 'rest',
});

/** By the head that every object and frame has. */
const typed = (type: number): Pick<Kind, 'type' | 'is'> => ({ type, is: (bytes) => begins(bytes, type, 1, 0, 1) });

function signedObject(name: string, object: (typeof objects.OBJECTS)[keyof typeof objects.OBJECTS], check: Kind['check']): Kind {
  const layout = { ...HEAD, ...object.fields, signature: object.signatureBytes };
  return { name, section: '1.4', ...typed(object.type), layout: () => layout, check };
}

const { OBJECTS } = objects;

/** Nothing is wrong with it that could be seen without a key. */
const unchecked = (): void => {};

/** In the order in which they are tried. */
export const KINDS: readonly Kind[] = [
  {
    name: 'sealed frame',
    section: '6',
    ...typed(FRAME_SEALED),
    layout: () => ({ ...HEAD, ...SEALED }),
    check: parseSealed,
  },
  {
    name: 'Init',
    section: '2.3',
    ...typed(FRAME_INIT),
    layout: () => ({ ...HEAD, ...INIT, signature: COMPOSITE_SIGNATURE_BYTES, ratchetMessage: 'rest' }),
    check: parseInit,
  },
  {
    name: 'ratchet message',
    section: '1.4',
    ...typed(FRAME_RATCHET),
    layout: (bytes) => ratchetLayout(profilesOf(bytes)[0] ?? 2),
    check(bytes) {
      frameType(bytes);
      if (profilesOf(bytes).length === 0) parseRatchetFrame(bytes, 2);
    },
  },
  signedObject('DeviceList', OBJECTS.deviceList, objects.parseDeviceList),
  signedObject('SignedSet', OBJECTS.signedSet, objects.parseSignedSet),
  signedObject('OneTimeBatch', OBJECTS.batch, objects.parseBatch),
  signedObject('RootStatement', OBJECTS.rootStatement, objects.parseRootStatement),
  signedObject('login proof', OBJECTS.login, objects.parseLogin),
  {
    name: 'ratchet state',
    section: '4',
    is: (bytes) => begins(bytes, 1, 0) && passes(() => decodeState(bytes)),
    layout: () => ({ version: 'u8', coreBytes: 'u32', coreVersion: 'u8', role: 'u8', profile: 'u8', secrets: 'rest' }),
    check: unchecked,
    shows: ['version', 'coreBytes', 'coreVersion', 'role', 'profile'],
  },
  {
    name: 'key slot of a sealed store',
    section: '9.1',
    is: (bytes) => begins(bytes, 1) && passes(() => decodeSlot(bytes)),
    layout: () => ({ format: 'u8', ...SLOT_ROW }),
    check: unchecked,
    shows: ['format', 'kind', 'check'],
  },
  {
    name: 'head of a sealed store',
    section: '9.1',
    is: (bytes) => begins(bytes, 1) && passes(() => decodeHeadClear(bytes)),
    layout: () => ({ format: 'u8', ...HEAD_CLEAR, sealed: 'rest' }),
    check: unchecked,
    shows: ['format', 'storeId', 'version'],
  },
  {
    name: 'code of a linking (QR payload)',
    section: '5.1',
    is: (bytes) => begins(bytes, 1, 0) && bytes.length <= 99 && passes(() => readLinkCode(bytes)),
    layout: () => LINK_QR,
    check: unchecked,
    shows: ['version', 'account'],
  },
  {
    name: 'export',
    section: '9.2',
    is: (bytes) => beginsWith(bytes, EXPORT_MAGIC),
    layout: () => ({ ...HEADER_START, headerBytes: 'u16', ...HEADER, chunks: 'rest' }),
    check(bytes) {
      const start = headerRestLength(bytes.subarray(0, 11));
      parseHeader(bytes.slice(11, 11 + start));
      const chunkBytes = bytes.length - 11 - start;
      if (chunkBytes === 0 || chunkBytes % SEALED_CHUNK_BYTES !== 0) throw new DecodeError('ERR_DECODE', 'cut off', { field: 'chunks' });
    },
    shows: ['magic', 'version', 'headerBytes', 'kind', 'prefix'],
  },
  {
    name: 'safety number (QR payload)',
    section: '10b',
    is: (bytes) => beginsWith(bytes, MAGIC) && passes(() => whole(bytes, SAFETY_QR)),
    layout: () => SAFETY_QR,
    check: unchecked,
  },
  {
    name: 'root key, encrypted',
    section: '2.2',
    is: (bytes) => beginsWith(bytes, MAGIC) && bytes[MAGIC.length] === 1,
    layout: () => ({ magic: MAGIC.length, format: 'u8', ...KEY_FILE }),
    check: unchecked,
    shows: ['magic', 'format', 'publicKey'],
  },
  {
    name: 'identity part of a bundle',
    section: '1.4',
    is: (bytes) => bytes.length > 7_000 && bytes[1986] === 0x40 && passes(() => objects.parseIdentity(bytes)),
    layout: () => objects.IDENTITY,
    check: (bytes) => objects.parseDeviceList(objects.parseIdentity(bytes).deviceList),
  },
  {
    name: 'one-time entry',
    section: '1.4',
    is: (bytes) => bytes.length >= 1611 && bytes.length === 1611 + 32 * bytes[1610]!,
    layout: () => objects.ONE_TIME_ENTRY,
    check: objects.parseOneTimeEntry,
  },
  {
    name: 'record of a sealed store',
    section: '9.1',
    isVague: true,
    is: (bytes) => begins(bytes, 0, 0) && (bytes[2] !== 0 || bytes[3] !== 0) && isBucket(bytes.length - 36 - 16),
    layout: () => ({ ...RECORD_CLEAR, sealed: 'rest' }),
    check: unchecked,
    shows: ['version', 'generation'],
  },
];

/** What is all ciphertext and has no type: told by its length alone, and only if nothing else fits. */
export const BY_LENGTH: readonly (readonly [name: string, least: number, most: number])[] = [
  ['offer of a linking', 1236, 1299],
  ['request of a linking', 3157, 3157],
  ['challenge of a linking', 49, 49],
  ['refusal of a linking', 17, 17],
];
