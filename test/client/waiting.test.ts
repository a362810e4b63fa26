import { expect, test } from 'vitest';
import { waiting } from '../../src/client/waiting.js';
import { keyHash } from '../../src/identity/index.js';
import { START } from '../helpers/people.js';

const filled = (lengthBytes: number, value: number): Uint8Array => new Uint8Array(lengthBytes).fill(value);

test('T11: nothing is encrypted with keys of another identity or another device than stand in the contact by now', async () => {
  const [pin, key, other] = [filled(64, 1), filled(1_984, 2), filled(1_984, 3)];
  const contact = { pin, devices: [{ device: 1, keyHash: keyHash(key) }] };
  const bundle = (device: number, accountKeyHash: Uint8Array, deviceKey: Uint8Array) => ({
    ...{ address: { account: 'bob', device }, accountKeyHash, deviceKey },
  });
  const used: unknown[] = [];
  const encryption = {
    usable: async () => undefined,
    assertMayStart: async () => {},
    wasInVain: async () => false,
    async onNewSession(_contact: unknown, keys: unknown) {
      used.push(keys);
      return { frame: new Uint8Array(), writes: [], install() {} };
    },
  };
  const none = {} as never;
  const { encryptAll } = waiting({ transport: { limits: { maxBytes: 99 } } } as never, none, encryption as never, none, none);
  const pending = { id: '01'.repeat(16), payload: new Uint8Array(1), atMs: START };
  const wrong = [bundle(1, filled(64, 9), key), bundle(1, pin, other), bundle(2, pin, key)];
  const { encrypted, left } = await encryptAll(contact as never, 'bob', pending, wrong as never);
  expect([encrypted, left]).toMatchObject([[], [{ ask: 1, takes: true }]]);
  const right = bundle(1, pin, key);
  expect((await encryptAll(contact as never, 'bob', pending, [...wrong, right] as never)).left).toEqual([]);
  expect(used).toEqual([right]);
});
