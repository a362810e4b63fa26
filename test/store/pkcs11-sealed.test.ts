/** A sealed store that a hardware token unlocks, from the token to a conversation. What the slot does alone: pkcs11.test.ts. */

import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { pkcs11Slot } from '@cyphr/e2ee/store/pkcs11';
import { rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Client } from '../../src/client/types.js';
import type { KeySlot, Store, StoreKey } from '../../src/store/port.js';
import { seededRng } from '../../src/testing/rng.js';
import { MODULE, missingForTokens, PIN, type SoftTokens, softTokens } from './pkcs11-soft.js';

const missing = missingForTokens();
const KEY: StoreKey = ['s', 'k'];
const VALUE = new TextEncoder().encode('kept');

async function nextText(client: Client): Promise<string | undefined> {
  for await (const message of client.messages()) {
    await message.ack();
    return message.text;
  }
  return undefined;
}

describe.skipIf(missing !== undefined)(`a sealed store and a token${missing === undefined ? '' : `: left out, ${missing}`}`, () => {
  let tokens: SoftTokens;
  beforeAll(() => {
    tokens = softTokens();
    tokens.init('alice');
    tokens.init('spare');
  });
  afterAll(() => tokens.remove());

  const slotOf = (token: string, pin: () => string | Promise<string> = () => PIN): KeySlot => pkcs11Slot({ module: MODULE, token, pin });
  /** A base that outlives the sealed stores over it, as a disk does. */
  const base = (): Store => ({ ...memoryStore(), close: async () => {} });
  const valueIn = async (store: Store): Promise<Uint8Array | undefined> => (await store.read([KEY]))[0]?.value;

  /** A base that the token `alice` founded, with one record. */
  async function founded(...more: readonly KeySlot[]): Promise<Store> {
    const disk = base();
    const store = sealedStore(disk, slotOf('alice'));
    await store.commit([{ key: KEY, value: VALUE }]);
    for (const slot of more) await store.addSlot(slot);
    await store.close();
    return disk;
  }

  test('a conversation goes on after a restart with the token', async () => {
    const disk = base();
    const network = memoryNetwork();
    const open = () => createClient({ account: 'alice', store: sealedStore(disk, slotOf('alice')), ...network });
    const bob = await createClient({ account: 'bob', store: memoryStore(), ...network });
    let alice = await open();
    await (await alice.send('bob', 'before')).until('accepted');
    expect(await nextText(bob)).toBe('before');
    await alice.close();
    await bob.send('alice', 'meanwhile');
    alice = await open();
    expect(await nextText(alice)).toBe('meanwhile');
    await alice.send('bob', 'after');
    expect(await nextText(bob)).toBe('after');
    await Promise.all([alice.close(), bob.close()]);
  });

  test('without the token nothing opens; with a second slot, everything does', async () => {
    const raw = rawKeySlot(seededRng('second slot')(32));
    const disk = await founded(raw);
    for (const [token, field] of [
      ['nobody', 'token'],
      ['spare', 'key'],
    ] as const) {
      await expect(valueIn(sealedStore(disk, slotOf(token)))).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field });
    }
    for (const slot of [raw, slotOf('alice')]) {
      const store = sealedStore(disk, slot);
      expect(await valueIn(store)).toEqual(VALUE);
      expect((await store.slots()).map(({ kind }) => kind).sort()).toEqual(['pkcs11', 'raw']);
      await store.close();
    }
  });

  test('a new master key is sealed by the token too', async () => {
    const disk = await founded();
    const store = sealedStore(disk, slotOf('alice'));
    await store.addSlot(rawKeySlot(seededRng('second slot')(32)));
    await store.rotateKey();
    await store.close();
    const again = sealedStore(disk, slotOf('alice'));
    expect(await valueIn(again)).toEqual(VALUE);
    await again.close();
  });

  test('two tokens: each opens, and asks once', async () => {
    const disk = await founded(slotOf('spare'));
    for (const token of ['alice', 'spare']) {
      const pin = vi.fn(() => PIN);
      const store = sealedStore(disk, slotOf(token, pin));
      expect(await valueIn(store)).toEqual(VALUE);
      expect(pin).toHaveBeenCalledTimes(1);
      await store.close();
    }
  });

  test('a store is founded once the PIN is right, and closes while it is asked for', async () => {
    const disk = base();
    const pins = ['wrong-pin-1618', PIN];
    const store = sealedStore(
      disk,
      slotOf('alice', () => pins.shift()!),
    );
    await expect(store.commit([{ key: KEY, value: VALUE }])).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'pin' });
    await store.commit([{ key: KEY, value: VALUE }]);
    await store.close();
    let asked = (): void => {};
    const whenAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const silence = (): Promise<string> => {
      asked();
      return new Promise(() => {});
    };
    const silent = sealedStore(disk, slotOf('alice', silence));
    const reading = expect(valueIn(silent)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await whenAsked;
    await silent.close();
    await reading;
  });

  test('a wrong PIN costs one try, and the next call asks again', async () => {
    const disk = await founded(slotOf('spare'));
    const pins = ['wrong-pin-1618', PIN];
    const pin = vi.fn(() => pins.shift()!);
    const store = sealedStore(disk, slotOf('spare', pin));
    await expect(valueIn(store)).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'pin' });
    expect(pin).toHaveBeenCalledTimes(1);
    expect(await valueIn(store)).toEqual(VALUE);
    expect(pin).toHaveBeenCalledTimes(2);
    await store.close();
  });
});
