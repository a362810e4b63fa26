/** Vectors of fixed layouts: each object of section 1.4 as it must be read and written, and what must be refused beside it. */

import { concat, encodeUtf8, u32 } from '../../src/bytes.js';
import type { ErrorCode } from '../../src/errors.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { encodeInit, encodeSealedHead } from '../../src/wire/frames.js';
import {
  encodeBatch,
  encodeDeviceList,
  encodeIdentity,
  encodeLogin,
  encodeOneTimeEntry,
  encodeRootStatement,
  encodeSignedSet,
} from '../../src/wire/objects.js';
import { encodePlaintext } from '../../src/wire/plaintext.js';
import { CHUNK_BYTES, encodeHeader } from '../../src/wire/ratchet-message.js';
import { book, flipped, patched } from './book.js';

const NOW = 1_767_225_600_000;
/** 2⁵³, the first u64 that is refused. */
const TOO_LARGE = [0, 0x20, 0, 0, 0, 0, 0, 0];
/** Where an account of three bytes begins behind a head of four. */
const ACCOUNT_AT = 6;

export function layoutVectors(): VectorFile {
  const seed = 'vectors/layouts';
  const rng = seededRng(seed);
  const { give, valid, invalid, file } = book({
    kind: 'layout',
    section: '1.2, 1.4',
    description:
      'Fixed layouts. Decoding `bytes` gives the outputs, and encoding those gives `bytes` again. Keys, hashes and signatures are random bytes: nothing is verified here. `tbsBytes` and `signedBytes` say where the signature begins. `transcript` is encoded only.',
    seed,
  });
  const refuse = (id: string, op: string, code: ErrorCode, threats: string, description: string, bytes: Uint8Array, more = {}): void =>
    invalid(id, op, code, threats, description, { bytes, ...more });
  const decode = (id: string, op: string, description: string, bytes: Uint8Array): void =>
    refuse(id, op, 'ERR_DECODE', 'T40', description, bytes);
  /** What is wrong with any object: cut, longer, of another type, version or suite. */
  const siblings = (op: string, bytes: Uint8Array, hasRest = false): void => {
    refuse(
      `${op}-cut`,
      op,
      'ERR_DECODE',
      'T40 T50',
      hasRest ? 'cut off within its fixed part' : 'a byte too few',
      bytes.slice(0, hasRest ? 40 : -1),
    );
    if (!hasRest) decode(`${op}-long`, op, 'a byte too many', concat(bytes, new Uint8Array(1)));
    refuse(`${op}-type`, op, 'ERR_DECODE', 'T13', 'another type', flipped(bytes, 0, 0x80));
    refuse(`${op}-version`, op, 'ERR_VERSION', 'T08 T46', 'another version', patched(bytes, 1, [2]));
    refuse(`${op}-suite`, op, 'ERR_VERSION', 'T08', 'another suite', patched(bytes, 2, [0, 2]));
  };
  /** What is wrong with an account of three bytes at `at`. */
  const accounts = (op: string, bytes: Uint8Array, at: number): void => {
    const named = (name: Uint8Array): Uint8Array => concat(bytes.slice(0, at - 2), u32(name.length).slice(2), name, bytes.slice(at + 3));
    decode(`${op}-account-empty`, op, 'an account of no bytes', named(new Uint8Array(0)));
    decode(`${op}-account-long`, op, 'an account of 65 bytes', named(new Uint8Array(65).fill(0x61)));
    decode(`${op}-account-overlong`, op, 'an account in overlong UTF-8', named(new Uint8Array([0xc1, 0xa1])));
    decode(`${op}-account-surrogate`, op, 'an account with a surrogate', named(new Uint8Array([0xed, 0xa0, 0x80])));
  };
  const devices = (op: string, bytes: Uint8Array, at: number): void => {
    decode(`${op}-device-0`, op, 'device 0', patched(bytes, at, [0, 0, 0, 0]));
    decode(`${op}-device-large`, op, 'device 2³¹', patched(bytes, at, [0x80, 0, 0, 0]));
  };
  const signature = rng(3373);

  const entries = [3, 70_000, 0x7fff_ffff].map((device) => ({ device, keyHash: rng(64), dhKey: rng(32) }));
  const listFields = { account: 'bob', accountKeyHash: rng(64), version: NOW, issuedAt: NOW, freshUntil: NOW + 604_800_000, entries };
  const list = concat(encodeDeviceList(listFields), signature);
  give({ list });
  valid('device-list', 'deviceList', { bytes: list });
  const longest = {
    ...listFields,
    account: 'é'.repeat(32),
    version: Number.MAX_SAFE_INTEGER,
    issuedAt: 0,
    freshUntil: 0,
    entries: entries.slice(0, 1),
  };
  valid(
    'device-list-longest-account',
    'deviceList',
    { bytes: concat(encodeDeviceList(longest), signature) },
    'an account of 64 bytes, the greatest version',
  );
  siblings('deviceList', list);
  accounts('deviceList', list, ACCOUNT_AT);
  devices('deviceList', list, 98);
  decode('deviceList-version-large', 'deviceList', 'a version of 2⁵³', patched(list, 73, TOO_LARGE));
  const listed = (changed: typeof entries): Uint8Array => concat(encodeDeviceList({ ...listFields, entries: changed }), signature);
  decode('deviceList-empty', 'deviceList', 'no devices', listed([]));
  const crowd = Array.from({ length: 65 }, (_, i) => ({
    device: i + 1,
    keyHash: patched(new Uint8Array(64), 0, [i]),
    dhKey: new Uint8Array(32),
  }));
  decode('deviceList-65', 'deviceList', '65 devices', listed(crowd));
  decode('deviceList-descending', 'deviceList', 'devices in descending order', listed([entries[1]!, entries[0]!]));
  decode('deviceList-twice', 'deviceList', 'one number twice', listed([entries[0]!, { ...entries[1]!, device: 3 }]));
  decode(
    'deviceList-one-key',
    'deviceList',
    'one key under two numbers',
    listed([entries[0]!, { ...entries[1]!, keyHash: entries[0]!.keyHash }]),
  );

  const owner = { account: 'bob', device: 3, deviceKeyHash: rng(64) };
  const setFields = {
    ...owner,
    incarnation: rng(16),
    seq: NOW,
    notAfter: NOW + 3_888_000_000,
    verMin: 1,
    verMax: 1,
    suites: [1],
    profiles: 7,
    setId: rng(8),
    signedPrekey: rng(32),
    lastResortKemPrekey: rng(1568),
    sealKey: rng(1216),
  };
  const set = (changed: Partial<typeof setFields> = {}): Uint8Array => concat(encodeSignedSet({ ...setFields, ...changed }), signature);
  give({ set: set() });
  valid('signed-set', 'signedSet', { bytes: set() });
  valid(
    'signed-set-later',
    'signedSet',
    { bytes: set({ verMax: 9, suites: [1, 2, 0xffff], profiles: 2 }) },
    'of a device that also speaks what is unknown here',
  );
  siblings('signedSet', set());
  accounts('signedSet', set(), ACCOUNT_AT);
  devices('signedSet', set(), 9);
  const downgrade = (id: string, description: string, changed: Partial<typeof setFields>): void =>
    refuse(id, 'signedSet', 'ERR_DECODE', 'T08', description, set(changed));
  downgrade('signedSet-no-profile', 'no profile', { profiles: 0 });
  downgrade('signedSet-profile-8', 'a profile that is reserved', { profiles: 15 });
  downgrade('signedSet-no-suite', 'no suite', { suites: [] });
  downgrade('signedSet-other-suite', 'suite 1 is not among the suites', { suites: [2] });
  downgrade('signedSet-suites-descending', 'suites in descending order', { suites: [2, 1] });
  downgrade('signedSet-suite-twice', 'a suite twice', { suites: [1, 1] });
  downgrade('signedSet-version-0', 'versions from 0', { verMin: 0 });
  downgrade('signedSet-versions-backwards', 'a least version above the greatest', { verMin: 2 });
  decode('signedSet-seq-large', 'signedSet', 'a seq of 2⁵³', patched(set(), 93, TOO_LARGE));

  const batchFields = { ...owner, batchId: rng(8), count: 128, notAfter: NOW, root: rng(32) };
  const batch = (count: number): Uint8Array => concat(encodeBatch({ ...batchFields, count }), signature);
  give({ batch: batch(128) });
  valid('one-time-batch', 'oneTimeBatch', { bytes: batch(128) });
  valid('one-time-batch-1', 'oneTimeBatch', { bytes: batch(1) });
  siblings('oneTimeBatch', batch(128));
  decode('oneTimeBatch-0', 'oneTimeBatch', 'no units', batch(0));
  decode('oneTimeBatch-129', 'oneTimeBatch', '129 units', batch(129));

  const unit = {
    otId: rng(8),
    index: 99,
    oneTimePrekey: rng(32),
    oneTimeKemPrekey: rng(1568),
    path: Array.from({ length: 7 }, () => rng(32)),
  };
  const entry = encodeOneTimeEntry(unit);
  give({ entry });
  valid('one-time-entry', 'oneTimeEntry', { bytes: entry });
  valid(
    'one-time-entry-alone',
    'oneTimeEntry',
    { bytes: encodeOneTimeEntry({ ...unit, index: 0, path: [] }) },
    'the only unit of its batch',
  );
  refuse('oneTimeEntry-cut', 'oneTimeEntry', 'ERR_DECODE', 'T40 T50', 'a byte too few', entry.slice(0, -1));
  decode('oneTimeEntry-long', 'oneTimeEntry', 'a byte too many', concat(entry, new Uint8Array(1)));
  refuse('oneTimeEntry-none', 'oneTimeEntry', 'ERR_DECODE', 'T02 T09', 'otId zero, which means none', patched(entry, 0, new Uint8Array(8)));
  decode('oneTimeEntry-path-8', 'oneTimeEntry', 'a path of eight nodes', encodeOneTimeEntry({ ...unit, path: [...unit.path, rng(32)] }));

  const part = encodeIdentity({ accountKey: rng(1984), deviceList: new Uint8Array([1, 2, 3]), deviceKey: rng(1984) });
  give({ identityPart: part });
  valid('identity', 'identity', { bytes: part }, 'the list is not looked at');
  refuse('identity-cut', 'identity', 'ERR_DECODE', 'T40 T50', 'a byte too few', part.slice(0, -1));
  decode('identity-long', 'identity', 'a byte too many', concat(part, new Uint8Array(1)));
  decode('identity-list-length', 'identity', 'a list longer than what is there', patched(part, 1984, [0xff, 0xff]));

  const loginFields = {
    audience: encodeUtf8('relay.example')!,
    nonce: rng(32),
    account: 'bob',
    device: 3,
    storeId: rng(16),
    generation: 41,
  };
  const login = concat(encodeLogin(loginFields), signature);
  give({ login });
  valid('login', 'login', { bytes: login });
  valid(
    'login-empty',
    'login',
    { bytes: concat(encodeLogin({ ...loginFields, audience: new Uint8Array(0), nonce: new Uint8Array(0) }), signature) },
    'without audience and nonce',
  );
  siblings('login', login);
  accounts('login', login, 4 + 15 + 34 + 2);
  decode('login-generation-large', 'login', 'a generation of 2⁵³', patched(login, login.length - 3373 - 8, TOO_LARGE));

  const statement = encodeRootStatement({ account: 'bob', accountKeyHash: rng(64), version: 2, issuedAt: NOW, rootKey: rng(48) });
  give({ statement });
  valid('root-statement-tbs', 'rootStatementTbs', { bytes: statement }, 'without its signature');
  siblings('rootStatementTbs', statement);
  accounts('rootStatementTbs', statement, ACCOUNT_AT);

  const sealed = concat(encodeSealedHead(rng(8)), rng(1120), rng(1040));
  give({ sealed });
  valid('sealed-frame', 'sealedFrame', { bytes: sealed }, 'the shortest');
  siblings('sealedFrame', sealed, true);
  decode('sealedFrame-short', 'sealedFrame', 'a ciphertext of 1,039 bytes', sealed.slice(0, -1));

  const initFields = {
    mode: 1,
    profile: 1,
    verMin: 1,
    verMax: 1,
    accountId: encodeUtf8('bob')!,
    deviceId: 3,
    setId: rng(8),
    otId: rng(8),
    ephemeralKey: rng(32),
    kemCiphertext: rng(1568),
    accountKey: rng(1984),
    deviceKey: rng(1984),
    deviceList: rng(100),
    signature,
  };
  const init = (changed: Partial<typeof initFields> = {}): Uint8Array =>
    concat(encodeInit({ ...initFields, ...changed }), new Uint8Array([0x20, 1, 0, 1]));
  give({ init: init() });
  valid('init', 'init', { bytes: init() }, 'what the list and the ratchet message behind the signature hold, is not looked at');
  valid(
    'init-unknown',
    'init',
    { bytes: init({ mode: 9, profile: 9, verMax: 9, otId: new Uint8Array(8), deviceList: new Uint8Array(0) }) },
    'mode and profile are judged later',
  );
  siblings('init', init(), true);
  accounts('init', init(), 10);
  devices('init', init(), 13);
  refuse('init-version-0', 'init', 'ERR_DECODE', 'T08', 'versions from 0', init({ verMin: 0 }));
  refuse('init-versions-backwards', 'init', 'ERR_DECODE', 'T08', 'a least version above the greatest', init({ verMin: 2 }));
  refuse('init-list-length', 'init', 'ERR_DECODE', 'T40', 'a list longer than what is there', patched(init(), 5601, [0xff, 0xff]));
  refuse(
    'init-large',
    'init',
    'ERR_TOO_LARGE',
    'T16 T40',
    'more than 24 KiB before the ratchet message',
    init({ deviceList: new Uint8Array(15_601) }),
  );

  for (const profile of [1, 2, 3] as const) {
    const bytes = concat(new Uint8Array([0x20, 1, 0, 1]), rng(16 + 24 + 72 + CHUNK_BYTES[profile] + 32 + 528));
    if (profile === 2) give({ message: bytes });
    valid(`ratchet-message-${profile}`, 'ratchetMessage', { profile, bytes }, `the shortest of profile ${profile}`);
    if (profile !== 2) continue;
    const message = (id: string, code: ErrorCode, threats: string, description: string, changed: Uint8Array): void =>
      refuse(`ratchetMessage-${id}`, 'ratchetMessage', code, threats, description, changed, { profile });
    message('cut', 'ERR_DECODE', 'T50', 'a byte too few', bytes.slice(0, -1));
    message('long', 'ERR_DECODE', 'T43 T50', 'a byte too many', concat(bytes, new Uint8Array(1)));
    message('bucket', 'ERR_DECODE', 'T43', 'a body of 1,536 bytes, which is no bucket', concat(bytes, new Uint8Array(1024)));
    message('head', 'ERR_DECODE', 'T50', 'the first 19 bytes', bytes.slice(0, 19));
    message('type', 'ERR_DECODE', 'T13', 'another type', patched(bytes, 0, [0x30]));
    message('version', 'ERR_VERSION', 'T08 T46', 'another version', patched(bytes, 1, [2]));
    message('suite', 'ERR_VERSION', 'T08', 'another suite', patched(bytes, 3, [2]));
  }

  const headerFields = {
    ratchetKey: rng(32),
    previousChainLength: 2,
    n: 3,
    pqEpoch: 2,
    pqCounter: 5,
    pqPrevious: 4,
    type: 5,
    index: 65_535,
    chunk: rng(32),
  };
  const header = (changed: Partial<typeof headerFields> = {}, flags = 0): Uint8Array =>
    patched(encodeHeader({ ...headerFields, ...changed }), 55, [flags]);
  const least = { previousChainLength: 0, n: 0, pqEpoch: 1, pqCounter: 1, pqPrevious: 0, type: 0, index: 0, chunk: new Uint8Array(32) };
  valid('header', 'header', { bytes: header() });
  valid('header-least', 'header', { bytes: header(least) }, 'the least that every field can be');
  const most = {
    previousChainLength: 2 ** 31,
    n: 2 ** 31 - 1,
    pqEpoch: 2 ** 31 - 1,
    pqCounter: 2 ** 31 - 1,
    pqPrevious: 2 ** 31 - 1,
    type: 6,
  };
  valid('header-most', 'header', { bytes: header(most) }, 'the greatest that every field can be');
  const field = (id: string, threats: string, description: string, bytes: Uint8Array): void =>
    refuse(`header-${id}`, 'header', 'ERR_DECRYPT', threats, description, bytes);
  field('pn-large', 'T16 T18', 'pn = 2³¹ + 1', header({ previousChainLength: 2 ** 31 + 1 }));
  field('n-large', 'T16 T18', 'n = 2³¹', header({ n: 2 ** 31 }));
  field('epoch-0', 'T08', 'pqEpoch = 0', header({ pqEpoch: 0 }));
  field('epoch-large', 'T18', 'pqEpoch = 2³¹', header({ pqEpoch: 2 ** 31 }));
  field('counter-0', 'T18', 'pqCtr = 0', header({ pqCounter: 0 }));
  field('counter-large', 'T16 T18', 'pqCtr = 2³¹', header({ pqCounter: 2 ** 31 }));
  field('previous-large', 'T16 T18', 'pqPrev = 2³¹', header({ pqPrevious: 2 ** 31 }));
  field('previous-in-epoch-1', 'T16', 'pqPrev = 4 while pqEpoch = 1', header({ pqEpoch: 1 }));
  field('type-7', 'T13', 'type 7', header({ type: 7 }));
  field('flags', 'T08', 'flags = 1', header({}, 1));
  field('none-index', 'T40', 'type 0 with an idx', header({ ...least, index: 1 }));
  field('none-chunk', 'T40', 'type 0 with a chunk', header({ ...least, chunk: flipped(new Uint8Array(32)) }));
  field('ack-index', 'T40', 'type 4 with an idx', header({ ...least, type: 4, index: 1 }));
  field('ack-chunk', 'T40', 'type 4 with a chunk', header({ ...least, type: 4, chunk: flipped(new Uint8Array(32)) }));

  const plaintext = encodePlaintext({
    kind: 'app',
    messageId: rng(16),
    ownListVersion: NOW,
    peerListVersion: 0,
    ownListHash: rng(8),
    payload: encodeUtf8('payload')!,
  });
  valid('plaintext', 'plaintext', { bytes: plaintext }, 'before padding; the payload is not looked at');
  valid('plaintext-control', 'plaintext', { bytes: patched(plaintext.slice(0, 41), 0, [1]) }, 'of kind control, without a payload');
  refuse('plaintext-kind', 'plaintext', 'ERR_DECODE', 'T13', 'kind 2', patched(plaintext, 0, [2]));
  decode('plaintext-cut', 'plaintext', 'the first 40 bytes', plaintext.slice(0, 40));
  decode('plaintext-version-large', 'plaintext', 'a list version of 2⁵³', patched(plaintext, 17, TOO_LARGE));

  const party = (account: string) => ({ account, device: 1, accountKeyHash: rng(64), deviceKeyHash: rng(64), dhKey: rng(32) });
  const transcript = {
    profile: 1,
    verMin: 1,
    verMax: 1,
    initiator: party('alice'),
    responder: party('bob'),
    setHash: rng(64),
    setId: rng(8),
    signedPrekey: rng(32),
    kemPrekey: rng(1568),
    ephemeralKey: rng(32),
    kemCiphertext: rng(1568),
  };
  valid('transcript', 'transcript', { ...transcript, oneTime: { batchHash: rng(64), otId: rng(8), oneTimePrekey: rng(32) } });
  valid('transcript-last-resort', 'transcript', { ...transcript, oneTime: null }, 'without a one-time unit');
  return file();
}
