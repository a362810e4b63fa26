/** Plays the golden states that the document describes: a sealed store and an export. They have a form of their own, said in each. */
import { ascii, hex, Refused, unhex } from './bytes.mjs';
import { sha512 } from './crypto.mjs';
import { must } from './expect.mjs';
import { decodeMsgpack } from './msgpack.mjs';
import { compositePublic } from './objects.mjs';
import { nameOf, openExport, openStore } from './rest.mjs';
import { safetyNumber } from './safety.mjs';

const rowsOf = (rows) => rows.map(({ key, value }) => ({ key, value: unhex(value) }));
const refused = (body) => {
  try {
    body();
  } catch (error) {
    if (error instanceof Refused) return;
    throw error;
  }
  throw new Error('accepted');
};
/** Records or entries as text in one order. */
const listed = (records) => JSON.stringify(records.sort());

function store({ rows, rotating, rawKey, passphrase, records }) {
  const expected = listed(records.map(({ key, value, rev }) => [hex(nameOf(key)), value, rev]));
  const opens = (all, key) => () => {
    const found = openStore(rowsOf(all), key).map(({ name, value, rev }) => [hex(name), hex(value), rev]);
    must(listed(found) === expected, 'other records');
  };
  return {
    'raw key': opens(rows, unhex(rawKey)),
    passphrase: opens(rows, passphrase),
    'half rotated': opens(rotating, unhex(rawKey)),
    'another passphrase': () => refused(opens(rows, `${passphrase}.`)),
    'a record removed': () =>
      refused(
        opens(
          rows.filter(({ key }) => key[1] !== 'r' || key[2] !== rows[1].key[2]),
          unhex(rawKey),
        ),
      ),
  };
}

function exported({ account, key, history, safetyNumber: digits, export: file }) {
  const entries = openExport(unhex(file), unhex(key));
  const records = (type) => entries.filter((each) => each.type === type).map(({ bytes }) => bytes);
  return {
    history: () => must(listed(records(3).map(hex)) === listed([...history]), 'other records of the application'),
    'the account and a contact': () => {
      const own = decodeMsgpack(records(1)[0]);
      const [contact] = records(2).map(decodeMsgpack);
      const { identity } = decodeMsgpack(contact.contact);
      const sides = [
        { account: ascii(account), accountKeyHash: sha512(compositePublic(own.aik)) },
        { account: ascii(contact.account), accountKeyHash: sha512(identity) },
      ];
      must(safetyNumber(...sides) === digits.replaceAll(' ', ''), 'another safety number');
    },
    'a chunk damaged': () => {
      const damaged = unhex(file);
      damaged[damaged.length - 1] ^= 1;
      refused(() => openExport(damaged, unhex(key)));
    },
    'another key': () => refused(() => openExport(unhex(file), Buffer.alloc(32, 1))),
    'nothing but a header': () => refused(() => openExport(unhex(file).subarray(0, 141), unhex(key))),
  };
}

const PLAYERS = { 'sealed-store-v1.json': store, 'export-v1.json': exported };

/** The checks of a golden file, [{ id, why }]; none for one that is this library's business alone. */
export function playRest(name, file) {
  return Object.entries(PLAYERS[name]?.(file) ?? {}).map(([id, body]) => {
    try {
      body();
      return { id };
    } catch (error) {
      return { id, why: error.stack };
    }
  });
}
