/** Padding and the sealed frame of section 6: PADMÉ, X-Wing (draft-connolly-cfrg-xwing-kem), HPKE base mode (RFC 9180). */
import { ascii, concat, equal, head, info, need, Reader, u8, u16, u32, zeros } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { encapsInternal, MLKEM768 } from './kpke.mjs';

export function padme(length) {
  if (length === 1) return 1;
  const e = Math.floor(Math.log2(length));
  const s = Math.floor(Math.log2(e)) + 1;
  const unit = 2 ** Math.max(e - s, 0);
  return Math.ceil(length / unit) * unit;
}
/** Lengths that a body of `length` bytes, and a sealed inner frame, are padded to. */
export const bodyBucket = (length) => [512, 1024, 2048].find((bucket) => length + 1 <= bucket) ?? padme(length + 1);
const innerBucket = (length) => padme(Math.max(length + 1, 1024));

const pad = (content, bucket) => concat(content, u8(0x80), zeros(bucket(content.length) - content.length - 1));
function unpad(padded, bucket) {
  const end = padded.findLastIndex((byte) => byte !== 0);
  need(end >= 0 && padded[end] === 0x80 && bucket(end) === padded.length, 'ERR_DECRYPT', 'padding');
  return padded.subarray(0, end);
}
export const padBody = (content) => pad(content, bodyBucket);
export const unpadBody = (padded) => unpad(padded, bodyBucket);
export const padInner = (content) => pad(content, innerBucket);
export const unpadInner = (padded) => unpad(padded, innerBucket);
/** Whether a bodyCt of `length` bytes is a tag and a bucket. */
export function isBucket(length) {
  const padded = length - 16;
  return padded >= 512 && padded <= bodyBucket(65535) && (padded > 2048 ? padme(padded) === padded : [512, 1024, 2048].includes(padded));
}

const LABEL = ascii('\\.//^\\');
/** An X-Wing seed of 32 bytes: ML-KEM-768 seed 64 and X25519 secret 32. */
const expandSeed = (seed) => crypto.split(crypto.shake256(seed, 96), 64, 32);
const combine = (kemShared, dhShared, dhCiphertext, dhKey) => crypto.sha3t256(concat(kemShared, dhShared, dhCiphertext, dhKey, LABEL));
export function xwingPublic(seed) {
  const [kem, dh] = expandSeed(seed);
  return concat(crypto.mlKem768.publicOf(kem), crypto.x25519Public(dh));
}
export const isXwingKey = (key) => crypto.mlKem768.isKey(key.subarray(0, 1184)) && crypto.isCanonicalX25519(key.subarray(1184));
/** (enc 1120, shared 32) to `key`, from 64 bytes of randomness: m 32 ‖ X25519 secret 32. */
export function xwingEncaps(key, randomness = crypto.random(64), code = 'ERR_DECRYPT') {
  const [m, dh] = crypto.split(randomness, 32, 32);
  const [kemKey, dhKey] = crypto.split(key, 1184, 32);
  const { shared, ciphertext } = encapsInternal(MLKEM768, kemKey, m);
  const dhCiphertext = crypto.x25519Public(dh);
  return { enc: concat(ciphertext, dhCiphertext), shared: combine(shared, crypto.x25519(dh, dhKey, code), dhCiphertext, dhKey) };
}
export function xwingDecaps(seed, enc) {
  const [kem, dh] = expandSeed(seed);
  const [ciphertext, dhCiphertext] = crypto.split(enc, 1088, 32);
  return combine(crypto.mlKem768.decaps(kem, ciphertext), crypto.x25519(dh, dhCiphertext), dhCiphertext, crypto.x25519Public(dh));
}

/** Key and nonce of HPKE's one message: KeySchedule of RFC 9180, mode_base, KEM 0x647a, KDF 0x0001, AEAD 0x0003. */
export function hpkeKeys(shared, infoBytes) {
  const suite = concat(ascii('HPKE'), u16(0x647a), u16(0x0001), u16(0x0003));
  const extract = (salt, label, ikm) => crypto.extract256(salt, concat(ascii('HPKE-v1'), suite, ascii(label), ikm));
  const expand = (prk, label, text, length) =>
    crypto.expand256(prk, concat(u16(length), ascii('HPKE-v1'), suite, ascii(label), text), length);
  const none = zeros(0);
  const schedule = concat(u8(0), extract(none, 'psk_id_hash', none), extract(none, 'info_hash', infoBytes));
  const secret = extract(shared, 'secret', none);
  return [expand(secret, 'key', schedule, 32), expand(secret, 'base_nonce', schedule, 12)];
}

const sealInfo = ({ account, device, setId }) => info('seal', account, u32(device), setId);
/** A sealed frame (0x01) around `inner`, to the set of a recipient { account, device, setId, sealKey }. */
export function seal(recipient, inner, randomness) {
  const before = concat(head(0x01), recipient.setId);
  const { enc, shared } = xwingEncaps(recipient.sealKey, randomness, 'ERR_BUNDLE');
  return concat(before, enc, crypto.chachaSeal(...hpkeKeys(shared, sealInfo(recipient)), padInner(inner), before));
}
export function decodeSealed(frame) {
  const reader = new Reader(frame);
  reader.head(0x01);
  const sealed = { setId: reader.take(8), enc: reader.take(1120), ciphertext: reader.rest() };
  need(sealed.ciphertext.length >= 1040, 'ERR_DECODE', 'a sealed frame too short');
  return sealed;
}
/** The frame inside a sealed one, an Init or a ratchet message, for a recipient { account, device, setId, sealSeed } with one set. */
export function open(recipient, frame) {
  need(frame.length <= 256 * 1024, 'ERR_TOO_LARGE', 'a frame too long');
  const { setId, enc, ciphertext } = decodeSealed(frame);
  need(equal(setId, recipient.setId), 'ERR_KEY_GONE', 'another set');
  const keys = hpkeKeys(xwingDecaps(recipient.sealSeed, enc), sealInfo(recipient));
  const inner = unpadInner(crypto.chachaOpen(...keys, ciphertext, frame.subarray(0, 12)));
  need([0x01, 0x10, 0x20].includes(inner[0]), 'ERR_DECODE', 'no frame within the seal');
  new Reader(inner).head(inner[0]);
  need(inner[0] !== 0x01, 'ERR_DECRYPT', 'a seal within the seal');
  return inner;
}
