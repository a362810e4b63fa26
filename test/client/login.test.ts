import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/client/database.js';
import { life as beginLife } from '../../src/client/life.js';
import { deviceLogin } from '../../src/client/login.js';
import { keys, loginRecord, metaRecord } from '../../src/client/records.js';
import { generateDevice } from '../../src/identity/index.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Store } from '../../src/store/port.js';
import { coded } from '../helpers/matchers.js';
import { START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const device = generateDevice('alice', testRng('login'), START);
const nonce = new Uint8Array(32);

/** A store with a registered device, as rows to open again. */
async function registered(loginsSince = 1): Promise<Store> {
  const store = memoryStore();
  const db = await openDatabase(store, { rng: testRng('store'), now: () => START, onCommit: () => {}, onLost: () => {} });
  await db.commit([{ key: keys.meta, value: metaRecord.encode({ account: 'alice', device: device.device, loginsSince }) }]);
  return store;
}

async function copyOf(store: Store): Promise<Store> {
  const copy = memoryStore();
  for (const space of ['meta', 'generation', 'login']) {
    const [single] = await store.read([[space]]);
    const rows = [...(single === undefined ? [] : [{ key: [space] as const, value: single.value }]), ...(await store.list([space], 100))];
    if (rows.length > 0) await copy.commit(rows.map(({ key, value }) => ({ key, value })));
  }
  return copy;
}

let lives = 0;
/** A process on that store; `bump` is a commit of something else. */
async function run(store: Store) {
  const rng = testRng(`process ${lives++}`);
  const life = beginLife();
  const db = await openDatabase(store, { rng, now: () => START, onCommit: () => {}, onLost: (error) => life.halt(error) });
  const login = deviceLogin(() => device, db, life, rng);
  return {
    life,
    prove: (lastProof?: Uint8Array, audience = 'relay') => login.prove({ audience, nonce, lastProof }),
    bump: () => db.commit([{ key: ['x'], value: new Uint8Array(1) }]),
    db,
  };
}
const rolledBack = coded('ERR_STORE_ROLLBACK');

describe('T24: what a login proof tells', () => {
  test('every proof of this store is known, whichever a service returns', async () => {
    const store = await registered();
    const proofs: Uint8Array[] = [];
    for (let i = 0; i < 5; i++) {
      const { prove, bump } = await run(store);
      for (const old of [...proofs]) proofs.push(await prove(old));
      proofs.push(await prove());
      proofs.splice(0, Math.max(0, proofs.length - 6));
      await bump();
    }
  });

  test('the proof of a copy halts, at whatever generation either stands', async () => {
    for (const [ofCopy, ofOriginal] of [
      [0, 0],
      [0, 9],
      [9, 0],
      [3, 3],
    ] as const) {
      const store = await registered();
      await (await run(store)).prove();
      const copy = await run(await copyOf(store));
      for (let i = 0; i < ofCopy; i++) await copy.bump();
      const foreign = await copy.prove();
      const original = await run(store);
      for (let i = 0; i < ofOriginal; i++) await original.bump();
      await original.prove();
      await expect(original.prove(foreign), `${ofCopy} ${ofOriginal}`).rejects.toThrow(rolledBack);
      expect(original.life.halted()).toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
      await expect(original.prove()).rejects.toThrow(rolledBack);
    }
  });

  test('also through another name of the same service, or one that was never asked here', async () => {
    for (const audience of ['relay', 'other']) {
      const store = await registered();
      await (await run(store)).prove();
      const copy = await run(await copyOf(store));
      await copy.bump();
      const foreign = await copy.prove(undefined, audience);
      const original = await run(store);
      for (let i = 0; i < 5; i++) await original.bump();
      await expect(original.prove(foreign, 'relay')).rejects.toThrow(rolledBack);
    }
    const store = await registered();
    const { prove } = await run(store);
    const own = await prove(undefined, 'one name');
    await prove(own, 'another name');
    await prove(own, 'one name');
  });

  test('a copy that stands where the last confirmed proof was made, or before the first that was made here, halts', async () => {
    const atConfirmed = await registered();
    const copy = await run(await copyOf(atConfirmed));
    await copy.bump();
    const foreign = await copy.prove();
    const { prove } = await run(atConfirmed);
    const confirmed = await prove(await prove());
    await prove(confirmed);
    await expect(prove(foreign)).rejects.toThrow(rolledBack);

    const before = await registered();
    const early = await (await run(await copyOf(before))).prove();
    const later = await run(before);
    for (let i = 0; i < 5; i++) await later.bump();
    await later.prove();
    await expect(later.prove(early)).rejects.toThrow(rolledBack);
  });

  test('what one name of a service confirms forgets nothing that was proved under another', async () => {
    const store = await registered();
    const copy = await run(await copyOf(store));
    await copy.bump();
    const foreign = await copy.prove();
    const { prove } = await run(store);
    await prove();
    await prove(await prove(undefined, 'other'), 'relay');
    await expect(prove(foreign)).rejects.toThrow(rolledBack);
  });

  test('a store that went back to before it was registered halts, too', async () => {
    const store = memoryStore();
    const { prove, bump } = await run(store);
    await bump();
    const copy = await run(await copyOf(store));
    await copy.db.commit([{ key: keys.meta, value: metaRecord.encode({ account: 'alice', device: device.device, loginsSince: 1 }) }]);
    const foreign = await copy.prove();
    await expect(prove(foreign)).rejects.toThrow(rolledBack);
  });

  test('an old proof that was confirmed and forgotten since says nothing: a service can’t halt with it', async () => {
    const { prove } = await run(await registered());
    const first = await prove();
    const second = await prove(first);
    const third = await prove(second);
    await prove(third);
    for (const old of [first, second, third]) await prove(old);
  });

  test('after 64 logins without an answer the oldest are forgotten, and halt nothing', async () => {
    const store = await registered();
    const { prove, db } = await run(store);
    const proofs: Uint8Array[] = [];
    for (let i = 0; i < 70; i++) proofs.push(await prove());
    expect(loginRecord.decode((await db.read(keys.login('relay')))!).made).toHaveLength(64);
    for (const proof of [proofs[0]!, proofs[5]!, proofs[6]!, proofs[69]!]) await prove(proof);
  });

  test('what a store of format 1 has proved before is not held against it, but what lies ahead is', async () => {
    const old = await run(await registered());
    const before = await old.prove();
    const store = await registered(20);
    await (await run(store)).prove(before);
    const ahead = await run(await copyOf(store));
    for (let i = 0; i < 30; i++) await ahead.bump();
    const foreign = await ahead.prove();
    await expect((await run(store)).prove(foreign)).rejects.toThrow(rolledBack);
  });

  test('proofs of another store, of another device, and junk say nothing; before registration nothing is written', async () => {
    const store = memoryStore();
    const { prove, db } = await run(store);
    const foreign = await prove();
    expect(db.generation()).toBe(0);
    const other = await run(await registered());
    for (const proof of [foreign, new Uint8Array(9), new Uint8Array(0)]) await other.prove(proof);
    expect(other.life.hasEnded()).toBe(false);
  });

  test('a proof leaves only once its hash is stored', async () => {
    const store = await registered();
    let failing = false;
    const { prove } = await run({ ...store, commit: (writes) => (failing ? Promise.reject(new Error('no space')) : store.commit(writes)) });
    await prove();
    failing = true;
    await expect(prove()).rejects.toThrow(coded('ERR_STORE_IO'));
    failing = false;
    await prove();
  });
});

test('T24: a proof that is asked for while the device registers is no copy’s', async () => {
  const store = memoryStore();
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let onRead = (): void => {};
  const hasRead = new Promise<void>((resolve) => {
    onRead = resolve;
  });
  let isHeld = false;
  const slow: Store = {
    ...store,
    async read(wanted) {
      const rows = await store.read(wanted);
      if (isHeld && wanted[0]![0] === 'meta') {
        onRead();
        await gate;
      }
      return rows;
    },
  };
  const { prove, db, life } = await run(slow);
  isHeld = true;
  const early = prove();
  await hasRead;
  await db.commit([{ key: keys.meta, value: metaRecord.encode({ account: 'alice', device: device.device, loginsSince: 1 }) }]);
  release();
  const proof = await early;
  isHeld = false;
  await prove(proof);
  expect(life.hasEnded()).toBe(false);
});
