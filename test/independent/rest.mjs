/** What lies at rest, sections 9.1 and 9.2: a sealed store and an export, read with their keys and nothing of the library. */
import * as node from 'node:crypto';
import { ascii, concat, equal, hex, info, need, Reader, u8, u32, u64, zeros } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { padme } from './seal.mjs';

const ZERO = zeros(32);
const corrupt = (holds, why) => need(holds, 'ERR_STORE_CORRUPT', why);
const derive = (key, label, ...fields) => crypto.hkdf256(ZERO, key, info(label, ...fields), 32);

/** What stands before its own check: the first 16 bytes of SHA-256. */
function checked(bytes) {
  const [body, check] = [bytes.subarray(0, -16), bytes.subarray(-16)];
  corrupt(equal(crypto.sha256(body).subarray(0, 16), check), 'a row is damaged');
  return body;
}

/** The key of a slot: 32 raw bytes, or Argon2id of a passphrase with the parameters of the slot's header. */
const HEADERS = { raw: 0, passphrase: 29 };
function slotKey(kind, header, key) {
  if (kind === 'raw') return derive(key, 'store/kek');
  const reader = new Reader(header);
  need(reader.u8() === 1, 'ERR_STORE_VERSION', 'format of a slot');
  const [memory, passes, parallelism, nonce] = [reader.u32(), reader.u32(), reader.u32(), reader.take(16)];
  const message = ascii(key.normalize('NFC'));
  return node.argon2Sync('argon2id', { message, nonce, parallelism, tagLength: 32, memory, passes });
}
/** What a slot has sealed, bound to `ad`. */
function openSlot(kind, sealed, ad, key) {
  const header = sealed.subarray(0, HEADERS[kind]);
  const [nonce, box] = [sealed.subarray(header.length, header.length + 24), sealed.subarray(header.length + 24)];
  return crypto.xchachaOpen(slotKey(kind, header, key), nonce, box, info('store/box', ad, header));
}

function readSlot(row, storeId, id) {
  const reader = new Reader(checked(row));
  need(reader.u8() === 1, 'ERR_STORE_VERSION', 'format of a slot row');
  const slot = { kind: reader.lp16().toString('utf8'), commitment: reader.take(32), sealed: reader.lp16() };
  reader.end();
  return { ...slot, ad: info('store/slot', storeId, id, ascii(slot.kind)) };
}

/** The head of a store: { storeId, v, counter, set, sealing, slots, former }, opened with MK. */
function readHead(row, mk) {
  const reader = new Reader(checked(row));
  need(reader.u8() === 1, 'ERR_STORE_VERSION', 'format of the head');
  const [storeId, v] = [reader.take(16), reader.u32()];
  const before = reader.bytes.subarray(0, reader.at);
  const [nonce, sealed] = [reader.take(24), reader.rest()];
  const state = new Reader(crypto.xchachaOpen(derive(mk, 'store/head', u32(v)), nonce, sealed, info('store/head', before)));
  const list = (read) => Array.from({ length: state.u8() }, read);
  const head = { counter: state.u64(), set: state.take(32), sealing: state.u8() };
  const slots = list(() => ({ id: state.take(32), digest: state.take(32) }));
  const former = list(() => ({ v: state.u32(), mk: state.take(32) }));
  state.end();
  return { storeId, v, ...head, slots, former };
}

/** The records of a sealed store's rows ({ key, value }): [{ name, value, rev }], for a raw key of 32 bytes or a passphrase. */
export function openStore(rows, key) {
  const rowsOf = (space) => rows.filter((row) => row.key[0] === 'sealed' && row.key[1] === space);
  const headRow = rowsOf('head')[0].value;
  const storeId = headRow.subarray(1, 17);
  const kind = typeof key === 'string' ? 'passphrase' : 'raw';
  const slots = rowsOf('slot').map((row) => ({ id: row.key[2], row: row.value, ...readSlot(row.value, storeId, ascii(row.key[2])) }));
  const slot = slots.find((each) => each.kind === kind);
  need(slot !== undefined, 'ERR_STORE_KEY', 'no slot for this key');
  const mk = openSlot(kind, slot.sealed, slot.ad, key);
  corrupt(equal(slot.commitment, derive(mk, 'store/commit', slot.ad)), 'the commitment to MK');
  const head = readHead(headRow, mk);
  for (const { id, row } of slots) {
    const known = head.slots.find((each) => each.id.toString('ascii') === id);
    corrupt(known !== undefined && equal(known.digest, crypto.sha256(row)), 'a slot that the head does not know');
  }
  const masters = new Map([...head.former.map((each) => [each.v, each.mk]), [head.v, mk]]);
  let set = zeros(32);
  const records = rowsOf('r').map((row) => {
    const record = readRecord(row.key[2], row.value, masters);
    const term = crypto.hmac256(derive(masters.get(record.v), 'store/set', u32(record.v)), record.term);
    set = Buffer.from(set.map((byte, i) => byte ^ term[i]));
    return record;
  });
  corrupt(equal(set, head.set), 'the records are not those of the head');
  return records.map(({ name, value, rev }) => ({ name, value, rev }));
}

/** The name of a record: each component's UTF-8 with one added to every byte, then 00. */
export const nameOf = (key) => concat(...key.flatMap((component) => [Buffer.from(ascii(component).map((byte) => byte + 1)), u8(0)]));

function readRecord(id, row, masters) {
  const reader = new Reader(row);
  const [v, generation, nonce] = [reader.u32(), reader.u64(), reader.take(24)];
  const mk = masters.get(v);
  corrupt(mk !== undefined, 'a version without a master key');
  const ad = info('store/aad', u32(v), ascii(id), u64(generation));
  const padded = crypto.xchachaOpen(derive(mk, 'store/rec', u32(v)), nonce, reader.rest(), ad);
  const end = padded.findLastIndex((byte) => byte !== 0);
  corrupt(padded[end] === 0x80 && padded.length === padme(Math.max(256, end + 1)), 'padding');
  const content = new Reader(padded.subarray(0, end));
  const name = content.take(content.u32());
  const expected = hex(crypto.hmac256(derive(mk, 'store/name', u32(v)), name).subarray(0, 16));
  corrupt(expected === id, 'a record under another id');
  return { v, name, value: content.rest(), rev: generation, term: concat(ascii(id), u64(generation), nonce) };
}

const CHUNK = 65536;
/** The entries of an export, [{ type, bytes }], with the key of its slot. */
export function openExport(file, key) {
  const reader = new Reader(file);
  need(equal(reader.take(8), ascii('CYPHRBAK')), 'ERR_DECODE', 'no export');
  const version = reader.u8();
  need(version === 1, 'ERR_VERSION', 'version of an export');
  const header = reader.lp16();
  const [fields, commitment] = [header.subarray(0, -32), header.subarray(-32)];
  const inner = new Reader(fields);
  const [kind, sealed, prefix] = [inner.lp16(), inner.lp16(), inner.take(19)];
  inner.end();
  const fileKey = openSlot(kind.toString('utf8'), sealed, info('bak/slot', u8(version), kind), key);
  const [chunkKey, commit] = crypto.split(crypto.hkdf256(ZERO, fileKey, info('bak/key', fields), 64), 32, 32);
  corrupt(equal(commit, commitment), 'the commitment to the file key');

  const chunks = [];
  const count = (reader.bytes.length - reader.at) / (CHUNK + 16);
  corrupt(Number.isInteger(count) && count >= 1 && padme(count) === count, 'a number of chunks');
  for (let i = 0; i < count; i += 1) {
    const nonce = concat(prefix, u32(i), u8(i === count - 1 ? 1 : 0));
    chunks.push(crypto.xchachaOpen(chunkKey, nonce, reader.take(CHUNK + 16)));
  }
  const content = new Reader(concat(...chunks));
  const entries = [];
  for (;;) {
    const [type, length] = [content.u8(), content.u32()];
    if (type === 0 && length === 0) break;
    entries.push({ type, bytes: content.take(length) });
  }
  corrupt(
    content.rest().every((byte) => byte === 0),
    'something behind the end',
  );
  return entries;
}
