import { describe, expect, test } from 'vitest';
import { equal, toHex, wipe } from '../../src/bytes.js';
import { compositeVerify } from '../../src/crypto/composite.js';
import { accept } from '../../src/pqxdh/handshake.js';
import {
  decodePrekeys,
  decodeSeen,
  deviceKeys,
  encodePrekeys,
  encodeSeen,
  generatePrekeys,
  type PrekeyState,
  prekeysPublished,
  rotatePrekeys,
  type SeenRow,
  seenKey,
} from '../../src/pqxdh/prekeys.js';
import { decodeMsgpack, encodeMsgpack } from '../../src/wire/msgpack.js';
import { parseBatch, parseOneTimeEntry, parseSignedSet } from '../../src/wire/objects.js';
import { testRng } from '../helpers/rng.js';
import { DAY, handshake, makeParty, NOW } from './world.js';

const bob = makeParty('bob');
const { device, prekeys, keys } = bob;
const rotate = (state: PrekeyState, nowMs: number, remaining?: number) =>
  rotatePrekeys(state, device, testRng(`rotate ${nowMs}`), nowMs, remaining);
const row = (setId: Uint8Array, i: number): [string, SeenRow] => [
  `row ${i}`,
  { setId, otId: new Uint8Array(8), initId: new Uint8Array(32).fill(i), sessionId: new Uint8Array(16).fill(i) },
];
const withSeen = (state: PrekeyState, setId: Uint8Array, count: number): PrekeyState => ({
  ...state,
  seen: new Map([...state.seen, ...Array.from({ length: count }, (_, i) => row(setId, i))]),
});

describe('generatePrekeys', () => {
  test('publishes a signed set and a batch of 100', () => {
    const set = parseSignedSet(keys.signedSet);
    expect(set).toMatchObject({
      account: 'bob',
      device: device.device,
      seq: NOW,
      notAfter: NOW + 45 * DAY,
      verMin: 1,
      verMax: 1,
      suites: [1],
      profiles: 7,
    });
    expect(compositeVerify(device.deviceKey.publicKey, set.tbs, 'pk/set', set.signature)).toBe(true);
    const batch = parseBatch(keys.batch!.head);
    expect(batch).toMatchObject({ account: 'bob', device: device.device, count: 100, notAfter: NOW + 90 * DAY });
    expect(compositeVerify(device.deviceKey.publicKey, batch.tbs, 'pk/batch', batch.signature)).toBe(true);
    expect(keys.batch!.id).toBe(toHex(batch.batchId));
    expect(keys.batch!.entries.map((entry) => parseOneTimeEntry(entry).index)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(generatePrekeys(device, testRng('again'), NOW).wipe).toEqual([]);
    expect(deviceKeys(prekeys, device)).toEqual({ address: keys.address, identity: keys.identity, signedSet: keys.signedSet });
  });

  test('T42: a random source that is stuck or gives zeros is refused', () => {
    for (const fill of [0, 7]) {
      const stuck = (length: number) => new Uint8Array(length).fill(fill);
      expect(() => generatePrekeys(device, stuck, NOW)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'rng' }));
    }
    // Zeros once, in the place of one id.
    let draws = 0;
    const rng = testRng('zero');
    const once = (length: number) => (length === 8 && draws++ === 5 ? new Uint8Array(8) : rng(length));
    expect(() => generatePrekeys(device, once, NOW)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'rng' }));
  });
});

describe('rotatePrekeys', () => {
  test('nothing is due', () => {
    for (const remaining of [undefined, 20, 1000])
      expect(rotate(prekeys, NOW + 7 * DAY - 1, remaining)).toEqual({ next: prekeys, out: undefined, wipe: [] });
    expect(rotate(prekeys, NOW, 20).next).toBe(prekeys);
  });

  test('a new set after 7 days, with a greater seq', () => {
    const { next, out, wipe: dropped } = rotate(prekeys, NOW + 7 * DAY);
    expect(next.sets.map(({ seq }) => seq)).toEqual([NOW, NOW + 7 * DAY]);
    expect(out).toEqual({ ...deviceKeys(next, device), batch: undefined });
    expect(parseSignedSet(out!.signedSet)).toMatchObject({ seq: NOW + 7 * DAY, setId: next.sets[1]!.setId });
    expect(dropped).toEqual([]);
    expect(prekeys.sets.length).toBe(1);
  });

  test('T41: a clock that went back rotates, and seq still grows', () => {
    expect(rotate(prekeys, NOW - 7 * DAY + 1).out).toBeUndefined();
    expect(rotate(prekeys, NOW - 3650 * DAY).next.sets[1]).toMatchObject({ seq: NOW + 1, issuedAt: NOW - 3650 * DAY });
  });

  test('a new batch below 20 units, by the directory’s count or one’s own', () => {
    const { next, out } = rotate(prekeys, NOW, 19);
    expect(next.batches.length).toBe(2);
    expect(next.sets).toEqual(prekeys.sets);
    expect(out!.signedSet).toEqual(keys.signedSet);
    expect(out!.batch!.entries.length).toBe(100);
    const used = { ...prekeys, batches: prekeys.batches.map((batch) => ({ ...batch, units: batch.units.slice(0, 19) })) };
    expect(rotate(used, NOW).out!.batch).toBeDefined();
    expect(rotate(used, NOW, 20).out).toBeUndefined();
  });

  test('no ninth batch while eight have unused units, whatever the directory says', () => {
    const [batch] = prekeys.batches;
    const added = (...unitCounts: number[]): boolean => {
      const batches = unitCounts.map((count) => ({ ...batch!, units: batch!.units.slice(0, count) }));
      return rotate({ ...prekeys, batches }, NOW, 0).out?.batch !== undefined;
    };
    expect(added(1, 1, 1, 1, 1, 1, 1)).toBe(true);
    expect(added(1, 1, 1, 1, 1, 1, 1, 1)).toBe(false);
    expect(added(1, 1, 1, 1, 1, 1, 1, 0)).toBe(true);
    expect(added(0, 0, 0, 0, 0, 0, 0, 0, 0)).toBe(true);
  });

  test('units of an expired batch do not count', () => {
    expect(rotate(prekeys, NOW + 90 * DAY).out!.batch).toBeUndefined();
    expect(rotate(prekeys, NOW + 90 * DAY + 1).out!.batch).toBeDefined();
  });

  test('secrets of a set go 45 days after the acknowledged publication of a newer one', () => {
    const later = NOW + 10 * DAY;
    const rotated = rotate(prekeys, later, 100).next;
    const old = rotated.sets[0]!;
    const unacknowledged = rotatePrekeys(rotated, device, testRng('x'), later + 60 * DAY, 100).next;
    expect(unacknowledged.sets[0]).toBe(old);
    const acknowledged = prekeysPublished(withSeen(rotated, old.setId, 3), later);
    expect(acknowledged.sets.map(({ supersededAt }) => supersededAt)).toEqual([later, undefined]);
    expect(prekeysPublished(acknowledged, later + DAY)).toBe(acknowledged);
    expect(prekeysPublished(prekeys, NOW)).toBe(prekeys);
    const kept = rotate(acknowledged, later + 45 * DAY - 1, 100);
    expect(kept.next.sets[0]!.setId).toEqual(old.setId);
    expect(kept.next.seen.size).toBe(3);
    const { next, wipe: dropped } = rotate(acknowledged, later + 45 * DAY, 100);
    expect(next.sets.some(({ setId }) => equal(setId, old.setId))).toBe(false);
    expect(next.seen.size).toBe(0);
    expect(dropped).toEqual([old.signedPrekeySecret, old.lastResortSeed, old.sealSeed]);
  });

  test('secrets of a batch go 45 days after its date', () => {
    const end = NOW + 135 * DAY;
    const later = prekeysPublished(rotate(prekeys, NOW + 90 * DAY + 1, 100).next, NOW + 90 * DAY);
    expect(rotate(later, end - 1, 100).wipe.length).toBe(0);
    const { next, wipe: dropped } = rotate(later, end, 100);
    expect(next.batches.map(({ batchId }) => batchId)).not.toContainEqual(prekeys.batches[0]!.batchId);
    expect(dropped.length).toBe(203);
  });

  test('a batch lives as long even if no set of its time is left, and longer with one of its last moment', () => {
    const droppedAt = (nowMs: number, issuedAt: number) =>
      rotate({ ...prekeys, sets: [{ ...prekeys.sets[0]!, issuedAt }] }, nowMs, 100).wipe;
    expect(droppedAt(NOW + 135 * DAY - 1, NOW + 90 * DAY + 1).length).toBe(0);
    expect(droppedAt(NOW + 135 * DAY, NOW + 90 * DAY + 1).length).toBe(200);
    expect(droppedAt(NOW + 135 * DAY, NOW + 90 * DAY).length).toBe(0);
  });

  test('T41: a set that was superseded as it was made goes after 45 days; one superseded before waits for the clock', () => {
    const droppedAt = (issuedAt: number, supersededAt: number) =>
      rotate({ ...prekeys, sets: [{ ...prekeys.sets[0]!, setId: new Uint8Array(8), issuedAt, supersededAt }, prekeys.sets[0]!] }, NOW, 100)
        .wipe;
    expect(droppedAt(NOW - 45 * DAY, NOW - 45 * DAY).length).toBe(3);
    expect(droppedAt(NOW, NOW - 45 * DAY).length).toBe(0);
    expect(droppedAt(NOW + 1, NOW - 45 * DAY).length).toBe(3);
  });

  test('T41: a clock that is ahead for a while costs no secret: a batch goes with the last set of its time', () => {
    const ahead = NOW + 3_652 * DAY;
    const jumped = rotate(prekeys, ahead, 100);
    expect(jumped.wipe).toEqual([]);
    const acknowledged = prekeysPublished(jumped.next, ahead);
    expect(rotate(acknowledged, ahead + 45 * DAY - 1, 100).wipe).toEqual([]);
    expect(rotate(acknowledged, NOW + DAY, 100).next.batches).toContain(prekeys.batches[0]);
    // It was right after all: the device has slept.
    expect(rotate(acknowledged, ahead + 45 * DAY, 100).wipe.length).toBe(203);
  });

  test('T41: a clock that is behind for a while costs no secret: the 45 days of a set begin when it is right again', () => {
    const behind = NOW - 3_652 * DAY;
    const jumped = prekeysPublished(rotate(prekeys, behind, 100).next, behind);
    const back = rotate(jumped, NOW + DAY, 100);
    expect([back.wipe, back.next.sets.length]).toEqual([[], 3]);
    const acknowledged = prekeysPublished(back.next, NOW + DAY);
    expect(prekeysPublished(acknowledged, NOW + 2 * DAY)).toBe(acknowledged);
    const old = prekeys.sets[0]!.setId;
    const keeps = (nowMs: number): boolean => rotate(acknowledged, nowMs, 100).next.sets.some(({ setId }) => equal(setId, old));
    expect([NOW + 46 * DAY - 1, NOW + 46 * DAY].map(keeps)).toEqual([true, false]);
    // It was ahead before, and is right now.
    expect(rotate(jumped, behind + 45 * DAY, 100).next.sets.some(({ setId }) => equal(setId, old))).toBe(false);
  });

  test('a drop alone publishes nothing', () => {
    const [set] = prekeys.sets;
    const state = {
      ...prekeys,
      sets: [{ ...set!, setId: new Uint8Array(8), issuedAt: NOW - 52 * DAY, supersededAt: NOW - 45 * DAY }, set!],
    };
    const { next, out, wipe: dropped } = rotate(state, NOW, 100);
    expect([next.sets, out, dropped.length]).toEqual([[set], undefined, 3]);
  });

  test('T09: above 10,000 seen rows a new set, at 20,000 the secrets go', () => {
    const { setId } = prekeys.sets[0]!;
    expect(rotate(withSeen(prekeys, setId, 10_000), NOW, 100).out).toBeUndefined();
    const replaced = rotate(withSeen(prekeys, setId, 10_001), NOW, 100).next;
    expect(replaced.sets.length).toBe(2);
    expect(replaced.seen.size).toBe(10_001);
    const { next, wipe: dropped } = rotate(withSeen(prekeys, setId, 20_000), NOW, 100);
    expect(next.sets.length).toBe(1);
    expect(next.sets[0]!.setId).not.toEqual(setId);
    expect(next.seen.size).toBe(0);
    expect(dropped.length).toBe(3);
  });

  test('`next` shares no buffer with `wipe`', () => {
    const own = makeParty('rotating');
    const step = rotatePrekeys(
      prekeysPublished(rotatePrekeys(own.prekeys, own.device, own.rng, NOW + 91 * DAY, 1).next, NOW + 91 * DAY),
      own.device,
      own.rng,
      NOW + 140 * DAY,
      1,
    );
    expect(step.wipe.length).toBe(203);
    const before = toHex(encodePrekeys(step.next));
    wipe(...step.wipe);
    expect(toHex(encodePrekeys(step.next))).toBe(before);
  });
});

describe('records', () => {
  const seen = accept(prekeys, device, handshake(makeParty('alice'), bob, 3).init, NOW).next;
  const store = (code: string) => expect.objectContaining({ name: 'StoreError', code });

  test('round trip', () => {
    const state = prekeysPublished(rotate(seen, NOW + 8 * DAY, 5).next, NOW + 9 * DAY);
    const rows = [...state.seen].map(([key, value]) => [key, decodeSeen(encodeSeen(value))] as const);
    expect(rows.length).toBe(1);
    expect(decodePrekeys(encodePrekeys(state), rows)).toEqual(state);
    expect(state.batches[0]!.units.length).toBe(99);
  });

  test('a full state fits', () => {
    const batches = Array.from({ length: 10 }, () => prekeys.batches[0]!);
    const state = { ...prekeys, batches, sets: Array.from({ length: 20 }, () => prekeys.sets[0]!) };
    expect(decodePrekeys(encodePrekeys(state), [])).toEqual(state);
  });

  test('damaged and newer records', () => {
    const fields = decodeMsgpack(encodePrekeys(prekeys)) as Record<string, unknown>;
    expect(() => decodePrekeys(encodeMsgpack({ ...fields, v: 2 }), [])).toThrow(store('ERR_STORE_VERSION'));
    for (const change of [{ kind: 'seen' }, { sets: [] }, { sets: [{}] }, { batches: 5 }, { batches: [{}] }, { published: null }]) {
      expect(() => decodePrekeys(encodeMsgpack({ ...fields, ...change }), [])).toThrow(store('ERR_STORE_CORRUPT'));
    }
    const one = decodeMsgpack(encodeSeen([...seen.seen.values()][0]!)) as Record<string, unknown>;
    expect(() => decodeSeen(encodeMsgpack({ ...one, v: 9 }))).toThrow(store('ERR_STORE_VERSION'));
    for (const change of [{ kind: 'prekeys' }, { init: new Uint8Array(31) }, { ot: null }]) {
      expect(() => decodeSeen(encodeMsgpack({ ...one, ...change }))).toThrow(store('ERR_STORE_CORRUPT'));
    }
  });

  test('seen keys tell setId, otId and EKA apart', () => {
    const key = seenKey(new Uint8Array(8), new Uint8Array(8), new Uint8Array(32));
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(seenKey(new Uint8Array(8).fill(1), new Uint8Array(8), new Uint8Array(32))).not.toBe(key);
  });
});
