/**
 * Linking a device to an account (section 5.1): offer, request, challenge, confirmation string, grant.
 *
 * The old device, which holds the account key, shows a code; the new one reads it. Through a drop box that anyone may read the old one
 * leaves an offer, the new one a request, the old one a challenge. Both then show one string, and a person compares; the old one leaves a
 * grant or a refusal.
 *
 * Whoever plays the old device is bound by the offer to the random bytes of its challenge before there is a request, on which the new one's
 * string depends; whoever plays the new device is bound to its request before it learns those bytes, on which the old one's string depends.
 * So who stands between two true devices can search for a string on neither side, and has one guess for each code.
 *
 * Pure: knows keys and bytes; knows no drop box, no clock and no store. That a code is used once, and for minutes, is its caller's.
 */

import { concat, encodeUtf8, equal, toHex, wipe } from '../bytes.js';
import { COMPOSITE_PUBLIC_KEY_BYTES } from '../crypto/composite.js';
import { info, type Label } from '../crypto/labels.js';
import { chachaOpen, chachaSeal, hkdfSha512, isX25519PublicKey, sha512_256 } from '../crypto/suite.js';
import { XWING_CIPHERTEXT_BYTES, XWING_PUBLIC_KEY_BYTES, xwingDecapsulate, xwingEncapsulate, xwingPublicKey } from '../crypto/xwing.js';
import { CyphrError, decryptFailed, TrustError, UsageError } from '../errors.js';
import { draw, type Rng } from '../step.js';
import { type Reader, reader, writer } from '../wire/codec.js';
import type { DeviceEntry } from '../wire/objects.js';
import { keyHash, type VerifiedDeviceList, verifyDeviceList } from './account.js';
import { encodeLinkQr, encodeLinkTyped, type LinkCode, readLinkCode, TYPED_BYTES } from './link-code.js';

const VERSION = 1;
const SALT = new Uint8Array(64);
const EMPTY = new Uint8Array(0);
const KEY_BYTES = 32;
const DRAWN_BYTES = 32;
const COMMITMENT_BYTES = 32;
const NONCE_BYTES = 12;
const SLOT_BYTES = 16;

/** Where the parts of one linking lie that follow from its code, 32 lowercase hex digits each. */
export interface LinkSlots {
  readonly offerSlot: string;
  readonly requestSlot: string;
}

/** What the old device keeps of a code that it shows. All of it is secret while the code is good, and `seed` for ever. */
export interface LinkOffer extends LinkSlots {
  readonly account: string;
  /** X-Wing seed, 32 bytes; the caller wipes it. */
  readonly seed: Uint8Array;
  /** What the challenge will say, r, 32 bytes: nobody may know it before the request is taken. The caller wipes it. */
  readonly drawn: Uint8Array;
  /** X-Wing public key, 1,216 bytes. */
  readonly publicKey: Uint8Array;
  readonly qr: Uint8Array<ArrayBuffer>;
  readonly typed: string;
  /** What goes into `offerSlot`. */
  readonly offer: Uint8Array;
}

/** What the new device keeps between its request and the challenge. */
export interface LinkAsked {
  readonly account: string;
  /** The new device as its list entry. */
  readonly entry: DeviceEntry;
  /** The old device's X-Wing public key, 1,216 bytes. */
  readonly publicKey: Uint8Array;
  /** Hash of what the challenge must say, 32 bytes, as the offer had it. */
  readonly commitment: Uint8Array;
  /** What goes into the request's slot. */
  readonly request: Uint8Array;
  /** Where the old device leaves its challenge: only these two devices know the name beforehand. */
  readonly challengeSlot: string;
  /** Shared secret of the encapsulation, 32 bytes; the caller wipes it. */
  readonly secret: Uint8Array;
}

/** What both devices have once there is a challenge. */
export interface LinkExchange {
  readonly account: string;
  /** The new device as its list entry. */
  readonly entry: DeviceEntry;
  /** Two groups of six digits: what a person compares. */
  readonly confirmation: string;
  /** Where the old device leaves its answer: only these two devices know the name beforehand. */
  readonly grantSlot: string;
  /** Key 32 ‖ nonce of a grant 12 ‖ nonce of a refusal 12; secret, the caller wipes it. */
  readonly answerKeys: Uint8Array;
}

/**
 * The old device's part, first: 32 bytes of `rng` for an ephemeral X-Wing key and 32 for the challenge, the offer that carries the key and
 * a hash of the latter, and the code that names both. The fingerprint is SHA-512/256 of account, key and that hash.
 */
export function generateLinkOffer(account: string, rng: Rng): LinkOffer {
  const seed = draw(rng, 32);
  const drawn = draw(rng, DRAWN_BYTES);
  const publicKey = xwingPublicKey(seed);
  const commitment = commitmentTo(drawn);
  const fingerprint = fingerprintOf(account, publicKey, commitment);
  const { key, nonce } = offerKeys(fingerprint);
  const plaintext = writer()
    .u8(VERSION)
    .account(account)
    .bytes(publicKey, XWING_PUBLIC_KEY_BYTES)
    .bytes(commitment, COMMITMENT_BYTES)
    .finish();
  return {
    account,
    seed,
    drawn,
    publicKey,
    qr: encodeLinkQr(account, fingerprint),
    typed: encodeLinkTyped(fingerprint),
    ...slotsOf(fingerprint),
    offer: chachaSeal(key, nonce, EMPTY, plaintext),
  };
}

/**
 * The new device reads a code. Throws `ERR_ARGUMENT`: `field: 'code'` for what is no code or has a typing error, `field: 'account'` where
 * the code says that it is of another account than `account`.
 */
export function parseLinkCode(code: Uint8Array | string, account: string): LinkCode & LinkSlots {
  const read = readLinkCode(code);
  if (read.account !== undefined && read.account !== account) throw otherAccount();
  return { ...read, ...slotsOf(read.fingerprint) };
}

/**
 * The new device's part: asks to be linked as `device`, with its public keys DIK 1,984 bytes and IKx 32. Draws 64 bytes from `rng`.
 * `offer` is what lay in the offer's slot; key and commitment in it must be those that the code names.
 *
 * Throws `ERR_DECRYPT` for an offer that is not of this code, `ERR_ARGUMENT` (`field: 'account'`) for one of another account.
 */
export function requestLink(
  code: LinkCode,
  offer: Uint8Array,
  account: string,
  { device, deviceKey, dhKey }: { readonly device: number; readonly deviceKey: Uint8Array; readonly dhKey: Uint8Array },
  rng: Rng,
): LinkAsked {
  const { publicKey, commitment } = openOffer(code, offer, account);
  const random = draw(rng, 64);
  const { kemCiphertext, kemSharedSecret } = xwingEncapsulate(publicKey, random);
  const { key, nonce } = requestKeys(kemSharedSecret, account, publicKey, kemCiphertext);
  const plaintext = writer().u8(VERSION).u32(device).bytes(deviceKey, COMPOSITE_PUBLIC_KEY_BYTES).bytes(dhKey, 32).finish();
  const request = concat(kemCiphertext, chachaSeal(key, nonce, EMPTY, plaintext));
  const entry = { device, keyHash: keyHash(deviceKey), dhKey };
  const said = { account, entry, publicKey, request, secret: kemSharedSecret };
  const { slot } = challengeKeys(said);
  wipe(random, key);
  return { ...said, commitment, challengeSlot: slot };
}

/**
 * The new device reads the challenge. Throws `ERR_DECRYPT` for whatever the old device has not made for this request, and for a challenge
 * that says something else than the offer has committed to.
 */
export function openLinkChallenge(asked: LinkAsked, challenge: Uint8Array): LinkExchange {
  const { key, nonce } = challengeKeys(asked);
  const drawn = parsePart(chachaOpen(key, nonce, EMPTY, challenge), (from) => from.bytes(DRAWN_BYTES));
  if (!equal(commitmentTo(drawn), asked.commitment)) throw decryptFailed();
  return exchangeOf(asked, drawn);
}

/**
 * The old device reads a request and challenges it. Once for an offer: the challenge gives away what was drawn for it, and whoever knows
 * that can search for a second request that fits a string. Throws `ERR_DECRYPT` for whatever was not made for this offer, byte for byte, or
 * names bad keys.
 */
export function acceptLinkRequest(
  { account, seed, drawn, publicKey }: LinkOffer,
  request: Uint8Array,
): LinkExchange & { readonly challengeSlot: string; readonly challenge: Uint8Array } {
  const enc = request.slice(0, XWING_CIPHERTEXT_BYTES);
  const secret = xwingDecapsulate(seed, enc);
  const { key, nonce } = requestKeys(secret, account, publicKey, enc);
  try {
    const plaintext = chachaOpen(key, nonce, EMPTY, request.subarray(enc.length));
    const entry = parsePart(plaintext, (from) => ({
      device: from.device(),
      keyHash: keyHash(from.bytes(COMPOSITE_PUBLIC_KEY_BYTES)),
      dhKey: from.bytes(32),
    }));
    if (!isX25519PublicKey(entry.dhKey)) throw decryptFailed();
    const said = { account, entry, publicKey, request, secret };
    const once = challengeKeys(said);
    const challenge = chachaSeal(once.key, once.nonce, EMPTY, writer().u8(VERSION).bytes(drawn, DRAWN_BYTES).finish());
    return { ...exchangeOf(said, drawn), challengeSlot: once.slot, challenge };
  } finally {
    wipe(secret, key);
  }
}

/**
 * The old device's answer after a person has confirmed: AIK (1,984 bytes), its own number, and the signed list in which it and the new
 * device stand.
 */
export function sealLinkGrant({ answerKeys }: LinkExchange, accountKey: Uint8Array, device: number, deviceList: Uint8Array): Uint8Array {
  const plaintext = writer().u8(VERSION).bytes(accountKey, COMPOSITE_PUBLIC_KEY_BYTES).u32(device).lp16(deviceList).finish();
  const { key, grantNonce } = splitAnswerKeys(answerKeys);
  return chachaSeal(key, grantNonce, EMPTY, plaintext);
}

/** The old device's answer after a person has refused. */
export function sealLinkRefusal({ answerKeys }: LinkExchange): Uint8Array {
  const { key, refusalNonce } = splitAnswerKeys(answerKeys);
  return chachaSeal(key, refusalNonce, EMPTY, new Uint8Array([VERSION]));
}

/**
 * The new device reads the answer: AIK, the verified list in which it stands, and who linked it. Throws `ERR_DEVICE_UNTRUSTED` for a refusal,
 * `ERR_DECRYPT` for whatever the old device has not made for this exchange, and for a grant that is not of this account and device.
 */
export function openLinkAnswer(
  { account, entry, answerKeys }: LinkExchange,
  answer: Uint8Array,
): { readonly accountKey: Uint8Array; readonly deviceList: VerifiedDeviceList; readonly linkedBy: DeviceEntry } {
  const { key, grantNonce, refusalNonce } = splitAnswerKeys(answerKeys);
  if (opens(key, refusalNonce, answer)) throw new TrustError('ERR_DEVICE_UNTRUSTED', 'the other device refused to link this one');
  const granted = parsePart(chachaOpen(key, grantNonce, EMPTY, answer), (from) => ({
    accountKey: from.bytes(COMPOSITE_PUBLIC_KEY_BYTES),
    device: from.device(),
    list: from.lp16(),
  }));
  const deviceList = authentic(() => verifyDeviceList(granted.list, granted.accountKey));
  const isOwn = ({ device, keyHash, dhKey }: DeviceEntry): boolean =>
    device === entry.device && equal(keyHash, entry.keyHash) && equal(dhKey, entry.dhKey);
  const linkedBy = deviceList.entries.find(({ device }) => device === granted.device && device !== entry.device);
  if (deviceList.account !== account || !deviceList.entries.some(isOwn) || linkedBy === undefined) throw decryptFailed();
  return { accountKey: granted.accountKey, deviceList, linkedBy };
}

function openOffer(
  { fingerprint }: LinkCode,
  offer: Uint8Array,
  account: string,
): { readonly publicKey: Uint8Array; readonly commitment: Uint8Array } {
  const { key, nonce } = offerKeys(fingerprint);
  const opened = parsePart(chachaOpen(key, nonce, EMPTY, offer), (from) => ({
    account: from.account(),
    publicKey: from.bytes(XWING_PUBLIC_KEY_BYTES),
    commitment: from.bytes(COMMITMENT_BYTES),
  }));
  const named = fingerprintOf(opened.account, opened.publicKey, opened.commitment).subarray(0, fingerprint.length);
  if (!equal(named, fingerprint)) throw decryptFailed();
  if (opened.account !== account) throw otherAccount();
  return opened;
}

function fingerprintOf(account: string, publicKey: Uint8Array, commitment: Uint8Array): Uint8Array {
  return sha512_256(info('link/key', encodeUtf8(account)!, publicKey, commitment));
}

/** c = SHA-512/256(INFO("link/commit", r)). It hides r, which has 256 bits, and nobody finds another r that has it. */
function commitmentTo(drawn: Uint8Array): Uint8Array {
  return sha512_256(info('link/commit', drawn));
}

/** From the 14 bytes that every spelling of a code has. They are worth guessing only if 2¹¹² guesses are. */
function fromCode(fingerprint: Uint8Array, label: Uint8Array, lengthBytes: number): Uint8Array {
  return hkdfSha512(SALT, fingerprint.subarray(0, TYPED_BYTES), label, lengthBytes);
}

function slotsOf(fingerprint: Uint8Array): LinkSlots {
  const both = toHex(fromCode(fingerprint, info('link/slot'), 2 * SLOT_BYTES));
  return { offerSlot: both.slice(0, 2 * SLOT_BYTES), requestSlot: both.slice(2 * SLOT_BYTES) };
}

interface OneTimeKey {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
}

const split = (bytes: Uint8Array): OneTimeKey => ({ key: bytes.subarray(0, KEY_BYTES), nonce: bytes.subarray(KEY_BYTES) });

function offerKeys(fingerprint: Uint8Array): OneTimeKey {
  return split(fromCode(fingerprint, info('link/offer'), KEY_BYTES + NONCE_BYTES));
}

function requestKeys(secret: Uint8Array, account: string, publicKey: Uint8Array, enc: Uint8Array): OneTimeKey {
  return split(hkdfSha512(SALT, secret, info('link/request', encodeUtf8(account)!, publicKey, enc), KEY_BYTES + NONCE_BYTES));
}

type Said = Omit<LinkAsked, 'challengeSlot' | 'commitment'>;

/** What every derivation from the secret binds once there is a request: account, the old device's key, the whole request. */
function fromSaid(
  { account, publicKey, request, secret }: Said,
  label: Label,
  lengthBytes: number,
  ...more: readonly Uint8Array[]
): Uint8Array {
  return hkdfSha512(SALT, secret, info(label, encodeUtf8(account)!, publicKey, request, ...more), lengthBytes);
}

function challengeKeys(said: Said): OneTimeKey & { readonly slot: string } {
  const keys = fromSaid(said, 'link/challenge', KEY_BYTES + NONCE_BYTES + SLOT_BYTES);
  return { ...split(keys.subarray(0, KEY_BYTES + NONCE_BYTES)), slot: toHex(keys.subarray(KEY_BYTES + NONCE_BYTES)) };
}

/** What follows from everything that was said, and from the challenge to it. */
function exchangeOf(said: Said, drawn: Uint8Array): LinkExchange {
  const digits = fromSaid(said, 'sas', 10, drawn);
  const keys = fromSaid(said, 'link/grant', KEY_BYTES + 2 * NONCE_BYTES + SLOT_BYTES, drawn);
  const answerKeys = keys.slice(0, KEY_BYTES + 2 * NONCE_BYTES);
  const grantSlot = toHex(keys.subarray(answerKeys.length));
  wipe(keys);
  return {
    account: said.account,
    entry: said.entry,
    confirmation: `${sixDigits(digits.subarray(0, 5))} ${sixDigits(digits.subarray(5))}`,
    grantSlot,
    answerKeys,
  };
}

/** 40 bits modulo a million: the bias is below 2⁻²⁰. */
function sixDigits(bytes: Uint8Array): string {
  const number = bytes.reduce((value, byte) => value * 256 + byte, 0);
  return String(number % 1_000_000).padStart(6, '0');
}

function splitAnswerKeys(keys: Uint8Array): {
  readonly key: Uint8Array;
  readonly grantNonce: Uint8Array;
  readonly refusalNonce: Uint8Array;
} {
  return {
    key: keys.subarray(0, KEY_BYTES),
    grantNonce: keys.subarray(KEY_BYTES, KEY_BYTES + NONCE_BYTES),
    refusalNonce: keys.subarray(KEY_BYTES + NONCE_BYTES),
  };
}

function opens(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): boolean {
  try {
    chachaOpen(key, nonce, EMPTY, sealed);
    return true;
  } catch {
    return false;
  }
}

/** Reads what was authentic: version, then what `read` reads, then nothing. Only another implementation could have got it wrong. */
function parsePart<T>(bytes: Uint8Array, read: (from: Reader) => T): T {
  return authentic(() => {
    const from = reader(bytes);
    if (from.u8() !== VERSION) throw decryptFailed();
    const part = read(from);
    from.end();
    return part;
  });
}

/** One answer to everything that the other side got wrong. */
function authentic<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw error instanceof CyphrError ? decryptFailed() : error;
  }
}

function otherAccount(): UsageError {
  return new UsageError('ERR_ARGUMENT', 'the code is of another account', { field: 'account' });
}
