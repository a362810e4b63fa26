/** The slots that only a browser has: Argon2id in a worker of the page's own origin, and passkeys. */

import { isCyphrError } from '@cyphr/e2ee/errors';
import { idbStore } from '@cyphr/e2ee/store/idb';
import { passkeySlot, passphraseSlot, rawKeySlot, type SealedStore, sealedStore } from '@cyphr/e2ee/store/sealed';
import type { KeySlot } from '../../src/store/port.js';

const KEY = ['meta'] as const;
const VALUE = new Uint8Array([7, 7, 7]);

async function using<T>(name: string, slot: KeySlot, body: (store: SealedStore) => Promise<T>): Promise<T> {
  const store = sealedStore(idbStore(name), slot);
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

const readValue = async (store: SealedStore): Promise<number[] | undefined> => {
  const [record] = await store.read([KEY]);
  return record && [...record.value];
};

/** What a call came to: `ok`, or code and field of its error. */
async function outcome(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return 'ok';
  } catch (error) {
    if (isCyphrError(error)) return [error.code, error.field, (error.cause as Error | undefined)?.name].filter(Boolean).join(' ');
    return String(error);
  }
}

/** Founds a store with a passphrase and opens it again; tells how long each took, and the longest that the page stood still. */
export async function passphrase(
  name: string,
): Promise<{ foundMs: number; openMs: number; stallMs: number; progress: number; workers: number }> {
  let workers = 0;
  let progress = 0;
  const { Worker } = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      this.addEventListener('message', ({ data }) => {
        if ('key' in data) workers += 1;
      });
    }
  };
  let stallMs = 0;
  let last = performance.now();
  const ticking = setInterval(() => {
    const now = performance.now();
    stallMs = Math.max(stallMs, now - last);
    last = now;
  }, 5);
  const slot = passphraseSlot(() => 'correct horse battery staple', { progress: () => (progress += 1) });
  const start = performance.now();
  await using(name, slot, (store) => store.commit([{ key: KEY, value: VALUE }]));
  const middle = performance.now();
  const value = await using(name, slot, readValue);
  const end = performance.now();
  clearInterval(ticking);
  globalThis.Worker = Worker;
  if (value?.join() !== '7,7,7') throw new Error(`read ${value}`);
  return { foundMs: middle - start, openMs: end - middle, stallMs, progress, workers };
}

/** A wrong passphrase, a person who cancels, and the right one on the same store. */
export async function answers(name: string): Promise<string[]> {
  const given = ['wrong', undefined, 'correct horse battery staple'];
  const ask = async (): Promise<string> => {
    const answer = given.shift();
    if (answer === undefined) throw new DOMException('cancelled', 'AbortError');
    return answer;
  };
  return using(name, passphraseSlot(ask), async (store) => {
    const outcomes: string[] = [];
    while (given.length > 0) outcomes.push(await outcome(() => store.read([KEY])));
    return outcomes;
  });
}

const rawSlot = (): KeySlot => rawKeySlot(new Uint8Array(32).fill(1));
const passkey = (): KeySlot => passkeySlot({ rpId: 'localhost', name: 'alice' });

/** Founds a store, adds a passkey to it, and answers the kinds of its slots. */
export const addPasskey = (name: string): Promise<string[]> =>
  using(name, rawSlot(), async (store) => {
    await store.commit([{ key: KEY, value: VALUE }]);
    await store.addSlot(passkey());
    return (await store.slots()).map(({ kind }) => kind).sort();
  });

export const readWithPasskey = (name: string): Promise<number[] | undefined> => using(name, passkey(), readValue);
export const tryPasskey = (name: string): Promise<string> => outcome(() => readWithPasskey(name));
export const tryAddPasskey = (name: string): Promise<string> => outcome(() => addPasskey(name));
export const foundWithPasskey = (name: string): Promise<string> => outcome(() => readWithPasskey(name));

/** The same with a key rotation in between, which must take the passkey that is there. */
export const rotateWithPasskey = (name: string): Promise<number[] | undefined> =>
  using(name, rawSlot(), async (store) => {
    const [record] = await store.read([KEY]);
    for (const { id, kind } of await store.slots()) if (kind === 'passkey') await store.removeSlot(id);
    await store.addSlot(passkey());
    await store.rotateKey();
    return record && [...record.value];
  });
