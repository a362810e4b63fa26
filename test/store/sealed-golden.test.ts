/** Stores of every layout that was ever written, by the library and by protocol.md section 9.1 alone. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { concat, equal, fromHex, toHex, u32 } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { hkdfSha256, hmacSha256, sha256, xchachaOpen } from '../../src/crypto/suite.js';
import type { KeySlot, Store } from '../../src/store/port.js';
import { passphraseSlot, rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { baseOfVector, makeSealedStore, type SealedVector, type VectorRow } from '../helpers/sealed-vectors.js';
import { utf8 } from './sealed-base.js';

const vector: SealedVector = JSON.parse(readFileSync(new URL('../../test-vectors/sealed-store-v1.json', import.meta.url), 'utf8'));
const rawSlot = (): KeySlot => rawKeySlot(fromHex(vector.rawKey)!);

const recordsOf = async (store: Store) => {
  const found = await store.read(vector.records.map(({ key }) => key));
  return vector.records.map(({ key }, i) => ({ key, value: toHex(found[i]!.value), rev: found[i]!.rev }));
};

describe('format 1', () => {
  test.each<[string, () => KeySlot]>([
    ['a raw key', rawSlot],
    ['a passphrase', () => passphraseSlot(() => vector.passphrase)],
    ['the same passphrase, composed otherwise', () => passphraseSlot(() => vector.passphrase.normalize('NFD'))],
  ])('opens with %s', async (_name, slot) => {
    const store = sealedStore(await baseOfVector(vector.rows), slot());
    expect(await recordsOf(store)).toEqual(vector.records);
    expect((await store.list(['odd'], 9)).map(({ key }) => key)).toEqual(
      vector.records.filter(({ key }) => key[0] === 'odd').map(({ key }) => key),
    );
    expect(await store.list(['inbox'], 9)).toEqual([]);
    await store.commit([{ key: ['meta'], value: utf8('goes on') }]);
  });

  test('ends a rotation that was interrupted', async () => {
    const base = await baseOfVector(vector.rotating);
    const before = new Set(vector.rotating.map(({ key }) => key.join()));
    expect(await recordsOf(sealedStore(base, rawSlot()))).toEqual(vector.records);
    const records = (await base.list(['sealed', 'r'], 99)).map(({ key }) => key.join());
    expect(records.filter((key) => before.has(key))).toEqual([]);
    expect(await recordsOf(sealedStore(base, rawSlot()))).toEqual(vector.records);
  });

  test('is what section 9.1 says', () => {
    const zero = new Uint8Array(32);
    const at = (...path: string[]): VectorRow[] => vector.rows.filter(({ key }) => path.every((part, i) => key[i + 1] === part));
    const head = fromHex(at('head')[0]!.value)!;
    const storeId = head.subarray(1, 17);
    const v = head.subarray(17, 21);
    expect([head[0], ...v]).toEqual([1, 0, 0, 0, 1]);
    expect(equal(head.subarray(-16), sha256(head.subarray(0, -16)).subarray(0, 16))).toBe(true);

    // The slot of the raw key: format, kind, commitment, 72 bytes.
    const slot = at('slot').find(({ value }) => value.startsWith(`010003${toHex(utf8('raw'))}`))!;
    const row = fromHex(slot.value)!;
    const [commitment, sealed] = [row.subarray(6, 38), row.subarray(40, 112)];
    const slotAd = info('store/slot', storeId, utf8(slot.key[2]!), utf8('raw'));
    const kek = hkdfSha256(zero, fromHex(vector.rawKey)!, info('store/kek'), 32);
    const masterKey = xchachaOpen(kek, sealed.subarray(0, 24), info('store/box', slotAd, new Uint8Array(0)), sealed.subarray(24));
    expect(toHex(hkdfSha256(zero, masterKey, info('store/commit', slotAd), 32))).toBe(toHex(commitment));

    const derive = (label: 'store/rec' | 'store/name' | 'store/set' | 'store/head') => hkdfSha256(zero, masterKey, info(label, v), 32);
    const state = xchachaOpen(
      derive('store/head'),
      head.subarray(21, 45),
      info('store/head', head.subarray(0, 21)),
      head.subarray(45, -16),
    );
    const set = new Uint8Array(32);
    for (const { key, value } of at('r')) {
      const bytes = fromHex(value)!;
      const [id, stamp] = [utf8(key[2]!), bytes.subarray(4, 36)];
      expect(toHex(bytes.subarray(0, 4))).toBe(toHex(v));
      const padded = xchachaOpen(
        derive('store/rec'),
        stamp.subarray(8),
        info('store/aad', v, id, stamp.subarray(0, 8)),
        bytes.subarray(36),
      );
      const nameEnd = 4 + Number(`0x${toHex(padded.subarray(0, 4))}`);
      const name = padded.subarray(4, nameEnd);
      expect(toHex(hmacSha256(derive('store/name'), name).subarray(0, 16))).toBe(key[2]);
      const end = padded.lastIndexOf(0x80);
      const record = vector.records.find((each) => toHex(keyBytes(each.key)) === toHex(name))!;
      expect(toHex(padded.subarray(nameEnd, end))).toBe(record.value);
      expect(Number(`0x${toHex(stamp.subarray(0, 8))}`)).toBe(record.rev);
      hmacSha256(derive('store/set'), concat(id, stamp)).forEach((byte, i) => {
        set[i]! ^= byte;
      });
    }
    expect(toHex(state.subarray(8, 40))).toBe(toHex(set));
    expect([...state.subarray(40, 42)]).toEqual([0, 2]);
    for (const { key, value } of at('slot')) {
      expect(Buffer.from(state.subarray(42)).includes(Buffer.concat([utf8(key[2]!), sha256(fromHex(value)!)]))).toBe(true);
    }
    expect(toHex(state.subarray(-1)), 'no retired keys').toBe('00');
    expect(toHex(state.subarray(0, 8)), 'the counter').toBe(toHex(concat(u32(0), u32(4))));
  });

  test('is still what is written', async () => {
    const made = await makeSealedStore(1);
    expect(made.records).toEqual(vector.records);
    const shape = (rows: readonly VectorRow[]) => rows.map(({ key, value }) => `${key[1]} ${key.length} ${value.length}`).sort();
    expect([shape(made.rows), shape(made.rotating)]).toEqual([shape(vector.rows), shape(vector.rotating)]);
  });
});

/** Each UTF-8 byte of a component plus one, then a zero. */
const keyBytes = (key: readonly string[]): Uint8Array =>
  concat(...key.flatMap((part) => [utf8(part).map((byte) => byte + 1), new Uint8Array(1)]));
