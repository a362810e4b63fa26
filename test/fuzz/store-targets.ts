/** What lies on disks and in files: rows of stores, sealed stores, exports, root keys. Whoever has written to them since had no keys. */

import { readFileSync } from 'node:fs';
import { encodeEnd, encodeEntry, entryReader } from '../../src/backup/entries.js';
import { CHUNK_BYTES, HEADER_START_BYTES, headerRestLength, makeHeader, parseHeader, sealChunk } from '../../src/backup/stream.js';
import { concat, encodeUtf8, fromHex, toHex, u32, u64 } from '../../src/bytes.js';
import { openRootKey } from '../../src/cli/key-file.js';
import * as records from '../../src/client/records.js';
import { gotValue, readGot } from '../../src/client/talk.js';
import { importWith } from '../../src/client/transfer.js';
import { info } from '../../src/crypto/labels.js';
import { hkdfSha256, sha256, xchachaSeal } from '../../src/crypto/suite.js';
import type { ErrorCode } from '../../src/errors.js';
import { decodeKey, encodeKey } from '../../src/store/keys.js';
import { memoryStore } from '../../src/store/memory.js';
import { decodeMeta, decodeRow, encodeMeta, encodeRow, recordKey, storeKey } from '../../src/store/node/rows.js';
import { decodeHeadClear, decodeRecordHead, decodeSlot, encodeSlot, kindOf, masterKeys } from '../../src/store/sealed/layout.js';
import { passphraseSlot, rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import { decodeRecordMap, encodeRecord, recordVersion } from '../../src/wire/record.js';
import { testRng } from '../helpers/rng.js';
import { baseOfVector, type SealedVector } from '../helpers/sealed-vectors.js';
import { NOW } from '../pqxdh/world.js';
import { decoder, edited, must, onEdits, program, refusedAs, refusedLater, STORED, same, type Target } from './target.js';

const bytes = (length: number, value = 5): Uint8Array => new Uint8Array(length).fill(value);
const latin1 = (input: Uint8Array): string => Buffer.from(input).toString('latin1');
const vector = <T>(name: string): T => JSON.parse(readFileSync(new URL(`../../test-vectors/${name}.json`, import.meta.url), 'utf8')) as T;

interface Codec {
  encode(value: never): Uint8Array;
  decode(input: Uint8Array): unknown;
}

/** Every kind of row that a client keeps, the first byte says which. */
const ROWS: readonly (readonly [kind: string, codec: Codec])[] = Object.entries(records)
  .filter(([name]) => name.endsWith('Record'))
  .map(([name, codec]) => [name, codec as unknown as Codec]);

/** Rows as the golden stores hold them, each under the kind that it decodes as. */
function goldenRows(): Uint8Array[] {
  const { stores } = vector<{ stores: Record<string, Record<string, string>> }>('client-store-v3');
  const rows = Object.values(stores).flatMap((store) => Object.values(store).map((hex) => fromHex(hex)!));
  return ROWS.flatMap(([, codec], i) => {
    const fitting = rows.filter((row) => {
      try {
        codec.decode(row);
        return row.length < 900;
      } catch {
        return false;
      }
    });
    return fitting.slice(0, 2).map((row) => concat(new Uint8Array([i]), row));
  });
}

function rowsTarget(): Target {
  return {
    seeds: goldenRows(),
    work: { fixed: 8_000, perByte: 120 },
    play(input) {
      const [, codec] = ROWS[(input[0] ?? 0) % ROWS.length]!;
      decoder({
        seeds: [],
        codes: STORED,
        decode: codec.decode,
        encode: codec.encode as (value: unknown) => Uint8Array,
        isCanonical: false,
      }).play(input.subarray(1));
      // What stands inside lists of rows.
      refusedAs(STORED, () => recordVersion(input.subarray(1)));
      const map = refusedAs(STORED, () => decodeRecordMap(input.subarray(1), 'peer', 1));
      if ('value' in map && Array.isArray(map.value['sessions']))
        for (const each of map.value['sessions']) refusedAs(STORED, () => records.encodeFacts(records.decodeFacts(each)));
    },
  };
}

function sealedRowTarget(): Target {
  const masterKey = bytes(32, 9);
  const keys = masterKeys(masterKey.slice(), 1);
  const storeId = bytes(16);
  const head = {
    counter: 7,
    set: bytes(32),
    slots: new Map([['00'.repeat(16), bytes(32)]]),
    retired: [{ version: 3, masterKey: bytes(32) }],
    sealing: false,
  };
  const headRow = keys.sealHead(storeId, head);
  const slotRow = encodeSlot({ kind: 'raw', commitment: bytes(32), sealed: bytes(72) });
  const record = keys.sealRecord(encodeKey(['meta'], 'key'), 5, bytes(40));
  const headKey = hkdfSha256(bytes(32, 0), masterKey, info('store/head', u32(1)), 32);
  const recordKeyBytes = hkdfSha256(bytes(32, 0), masterKey, info('store/rec', u32(1)), 32);
  const withCheck = (row: Uint8Array): Uint8Array => concat(row.slice(0, -16), sha256(row.slice(0, -16)).subarray(0, 16));
  const headContent = concat(
    u64(7),
    bytes(32),
    new Uint8Array([0, 1]),
    Buffer.from('00'.repeat(16)),
    bytes(32),
    new Uint8Array([1]),
    u32(3),
    bytes(32),
  );
  const seeds = Array.from({ length: 6 }, (_, i) => new Uint8Array([i]));
  return {
    seeds: [...seeds, concat(new Uint8Array([4]), headContent), concat(new Uint8Array([5]), u32(4), bytes(4), bytes(9))],
    work: { fixed: 30_000, perByte: 200 },
    play(input) {
      const [what, script] = [(input[0] ?? 0) % 6, input.subarray(1)];
      const isRepaired = (script[0] ?? 0) % 2 === 1;
      const row = (original: Uint8Array): Uint8Array => {
        const changed = edited(original, script.subarray(1));
        return isRepaired && changed.length > 16 ? withCheck(changed) : changed;
      };
      if (what === 0) refusedAs(STORED, () => decodeHeadClear(row(headRow)));
      if (what === 1) {
        const result = refusedAs(STORED, () => keys.openHead(row(headRow)));
        must('code' in result || (result.value.counter === 7 && same(result.value.set, head.set)), 'a head that nobody sealed');
      }
      if (what === 2) {
        const changed = row(slotRow);
        kindOf(changed);
        const result = refusedAs(STORED, () => decodeSlot(changed));
        if ('value' in result) must(same(encodeSlot(result.value), changed), 'encodes to another slot');
      }
      if (what === 3) {
        const changed = edited(record.row, script);
        refusedAs(STORED, () => decodeRecordHead(record.id, changed));
        const result = refusedAs(STORED, () => keys.openRecord(record.id, changed));
        must('code' in result || same(result.value.value, bytes(40)), 'a record that nobody sealed');
      }
      // Behind the seal: what an older or newer version might have written.
      const nonce = bytes(24);
      if (what === 4) {
        const clear = concat(new Uint8Array([1]), storeId, u32(1));
        const box = xchachaSeal(headKey, nonce, info('store/head', clear), script);
        refusedAs(STORED, () => keys.openHead(withCheck(concat(clear, nonce, box, bytes(16)))));
      }
      if (what === 5) {
        const padded = concat(script, new Uint8Array([0x80]), new Uint8Array(Math.max(0, 255 - script.length)));
        const ad = info('store/aad', u32(1), Buffer.from(record.id), u64(5));
        refusedAs(STORED, () => keys.openRecord(record.id, concat(u32(1), u64(5), nonce, xchachaSeal(recordKeyBytes, nonce, ad, padded))));
      }
    },
  };
}

/** A sealed store whose base somebody without the key has changed: what it still gives is what was written. */
function sealedStoreTarget(): Target {
  const golden = vector<SealedVector>('sealed-store-v1');
  const codes: readonly ErrorCode[] = [...STORED, 'ERR_STORE_KEY', 'ERR_STORE_ROLLBACK', 'ERR_STORE_LOCKED'];
  return {
    seeds: golden.rows.map((_, i) => new Uint8Array([i, 0, 0, 9, 1, 0])),
    work: { fixed: 2_000_000, perByte: 200 },
    async play(input) {
      const next = program(input);
      const rows = golden.rows.map(({ key, value }) => ({ key, value: fromHex(value)! as Uint8Array }));
      const which = next.u8() % rows.length;
      const other = rows[next.u8() % rows.length]!;
      const kind = next.u8() % 8;
      if (kind === 0) rows.splice(which, 1);
      else if (kind === 1) rows[which] = { ...rows[which]!, value: other.value };
      else rows[which] = { ...rows[which]!, value: edited(rows[which]!.value, next.rest()) };
      const base = await baseOfVector(rows.map(({ key, value }) => ({ key, value: toHex(value) })));
      const store = sealedStore(base, rawKeySlot(fromHex(golden.rawKey)!));
      const listed = await refusedLater(codes, () => store.list(['odd'], 99));
      if ('value' in listed) {
        const odd = golden.records.filter(({ key }) => key[0] === 'odd').map(({ value }) => value);
        must(listed.value.map(({ value }) => toHex(value)).join() === odd.join(), 'a list of what was not written');
      }
      const found = await refusedLater(codes, () => store.read(golden.records.map(({ key }) => key)));
      await store.close();
      if ('code' in found) return;
      for (const [i, { value, rev }] of golden.records.entries())
        must(found.value[i]?.rev === rev && toHex(found.value[i]!.value) === value, 'a record that was not written');
    },
  };
}

/** An export: changed from without, or with anything inside that its maker sealed. */
function exportTarget(): Target {
  const key = rawKeySlot(bytes(32, 7));
  const golden = vector<{ account: string; key: string; export: string }>('export-v1');
  const file = fromHex(golden.export)!;
  const goldenKey = (): ReturnType<typeof rawKeySlot> => rawKeySlot(fromHex(golden.key)!);
  const codes: readonly ErrorCode[] = [...STORED, 'ERR_STORE_KEY', 'ERR_ARGUMENT'];
  const fileKey = bytes(32, 3);
  const importing = async (backup: Uint8Array, slot: typeof key, account: string): Promise<void> => {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(backup);
        controller.close();
      },
    });
    const options = { account, store: memoryStore(), ...memoryNetwork(), now: () => NOW };
    const result = await refusedLater(codes, () => importWith(options, stream, slot, {}, () => testRng('import')));
    if ('value' in result) {
      await result.value.close();
      must(same(backup, file), 'an export that was changed became an account');
    }
  };
  return {
    seeds: [
      new Uint8Array([0, 0, 0, 9, 1, 0]),
      concat(new Uint8Array([1]), encodeEntry('account', records.shareRecord.encode({ after: 'x' })), encodeEnd()),
      concat(
        new Uint8Array([2]),
        encodeEntry('account', bytes(4)),
        encodeEntry('contact', bytes(4)),
        encodeEntry('history', bytes(4)),
        encodeEnd(),
      ),
    ],
    work: { fixed: 3_000_000, perByte: 400 },
    isSlow: true,
    async play(input) {
      const [what, script] = [(input[0] ?? 0) % 3, input.subarray(1)];
      if (what === 0) await importing(edited(file, concat(script, new Uint8Array([0, 0, 9, 1, 0]))), goldenKey(), golden.account);
      if (what === 1) {
        const sealedKey = await key.seal(fileKey, info('bak/slot', new Uint8Array([1]), encodeUtf8('raw')!), {});
        const opened = makeHeader({ kind: 'raw', sealedKey, prefix: bytes(19) }, fileKey);
        const chunk = new Uint8Array(CHUNK_BYTES);
        chunk.set(script);
        await importing(concat(opened.header, sealChunk(opened, 0, true, chunk)), key, 'alice');
      }
      if (what === 2) {
        // In pieces of any size: the entries are the same as in one.
        const read = (pieces: readonly Uint8Array[]) =>
          refusedAs(STORED, () => {
            const reader = entryReader();
            const entries = pieces.flatMap((piece) => reader.push(piece));
            reader.finish();
            return entries.map((each) => `${each.type} ${toHex(each.bytes)}`).join();
          });
        const size = 1 + ((script[0] ?? 0) % 32);
        const content = concat(script.subarray(1), new Uint8Array(6));
        const pieces = Array.from({ length: Math.ceil(content.length / size) }, (_, i) => content.subarray(i * size, (i + 1) * size));
        must(JSON.stringify(read(pieces)) === JSON.stringify(read([content])), 'pieces read otherwise than the whole');
      }
    },
  };
}

/** A passphrase slot, alone or in a root key's file. No person answers, so that nothing is derived: what is read before that is what counts. */
function slotTarget(): Target {
  const slot = passphraseSlot(() => '');
  const cost = (memoryKiB: number, passes: number, lanes: number): Uint8Array => concat(u32(memoryKiB), u32(passes), u32(lanes));
  const row = concat(new Uint8Array([1]), cost(65_536, 3, 1), bytes(16), bytes(72));
  const file = concat(encodeUtf8('CYPHR/1 ')!, new Uint8Array([1]), bytes(48), new Uint8Array([0, row.length]), row, bytes(112));
  return {
    // As it is, in a file, and asking for too much memory, too many passes, too many lanes.
    seeds: [[0], [1], [0, 1, 0, 1, 255, 0], [0, 1, 0, 8, 11, 0], [0, 1, 0, 12, 200, 0]].map((seed) => new Uint8Array(seed)),
    async play(input) {
      const isFile = (input[0] ?? 0) % 2 === 1;
      const changed = edited(isFile ? file : row, input.subarray(1));
      const codes = [...STORED, 'ERR_STORE_KEY'] as const;
      const result = await refusedLater<unknown>(codes, () => (isFile ? openRootKey(changed, '') : slot.open(changed, bytes(4), {})));
      must('code' in result, 'a slot opened without a passphrase');
      if (isFile || result.code !== 'ERR_STORE_KEY') return;
      const [memoryKiB, passes, lanes] = [1, 5, 9].map((at) => new DataView(changed.buffer).getUint32(at)) as [number, number, number];
      must(memoryKiB <= 256 * 1024 && passes <= 10 && lanes <= 4, 'a slot may ask for more than it may cost');
    },
  };
}

const exportHeader = (): Uint8Array => makeHeader({ kind: 'raw', sealedKey: bytes(72), prefix: bytes(19) }, bytes(32)).header;

export const storeTargets: Readonly<Record<string, () => Target>> = {
  'client-rows': rowsTarget,
  'record-map': () =>
    decoder({
      seeds: [encodeRecord('peer', 1, { sessions: [], startedAtMs: [1] }), encodeRecord('peer', 2, {})],
      codes: STORED,
      decode: (input) => ({ ...decodeRecordMap(input, 'peer', 1) }),
      encode: (value) => encodeRecord('peer', 1, value as never),
      isCanonical: false,
    }),
  'got-row': () => ({
    seeds: [gotValue(NOW, 'alice')],
    play(input) {
      // A damaged one of these is no more than a wrong date.
      const result = refusedAs([...STORED, 'ERR_DECODE'], () => readGot(input));
      if ('value' in result && result.value.conversation !== '')
        must(same(gotValue(result.value.atMs, result.value.conversation), input), 'encodes to another row');
    },
  }),
  'store-key': () => ({
    seeds: [['meta'], ['odd', '', '\0', '😀']].map((key) => Buffer.from(encodeKey(key as never, 'key'), 'latin1')),
    play(input) {
      const key = decodeKey(latin1(input));
      if (key !== undefined) must(encodeKey(key, 'key') === latin1(input), 'encodes to another key');
    },
  }),
  'node-row': () => {
    const key = recordKey(encodeKey(['meta'], 'key'));
    const row = encodeRow(key, 5, bytes(9));
    return {
      seeds: [new Uint8Array([0]), concat(new Uint8Array([1]), encodeMeta(5, bytes(16))), new Uint8Array([2, 1, 0x6e, 0])],
      play(input) {
        const [what, script] = [(input[0] ?? 0) % 3, input.subarray(1)];
        if (what === 0) {
          const result = refusedAs(STORED, () => decodeRow(key, edited(row, script)));
          must('code' in result || (result.value.rev === 5 && same(result.value.value, bytes(9))), 'a record that was not written');
        }
        if (what === 1) {
          const result = refusedAs(STORED, () => decodeMeta(script));
          if ('value' in result && result.value.layout === 2)
            must(same(encodeMeta(result.value.counter, result.value.tally), script), 'encodes to another row');
        }
        if (what === 2) refusedAs(STORED, () => storeKey(Buffer.from(script)));
      },
    };
  },
  'sealed-row': sealedRowTarget,
  'sealed-store': sealedStoreTarget,
  'export-header': () =>
    onEdits(
      [exportHeader()],
      decoder({
        seeds: [],
        codes: [...STORED, 'ERR_DECODE'],
        decode: (input) => {
          const length = headerRestLength(input.subarray(0, HEADER_START_BYTES));
          const { kind, sealedKey } = parseHeader(input.subarray(HEADER_START_BYTES, HEADER_START_BYTES + length));
          return { kind, sealedKey };
        },
      }),
    ),
  export: exportTarget,
  'passphrase-slot': slotTarget,
};
