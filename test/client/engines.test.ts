/** An engine gives way to another on the same store: what the application holds of the client lives on. */

import { memoryStore } from '@cyphr/e2ee/store/memory';
import { expect, test, vi } from 'vitest';
import { GENERATION } from '../../src/client/database.js';
import { recoverStore } from '../../src/client/recovery.js';
import type { Sent } from '../../src/client/types.js';
import { StoreError } from '../../src/errors.js';
import type { Network } from '../../src/transport/port.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
// What a recovery does to the rows is not what is tested here: a conflict needs none.
vi.mock('../../src/client/recovery.js', () => ({ recoverStore: vi.fn(async () => {}) }));

const clock = { ms: START };

/** A client, and how another writer on its store halts it. */
async function halting(network: Network): Promise<{ alice: Person; halt: () => Promise<void> }> {
  const inner = memoryStore();
  const alice = await person('alice', network, clock, { store: glassStore(inner) });
  return {
    alice,
    async halt() {
      const [row] = await inner.read([GENERATION]);
      await inner.commit([{ key: GENERATION, value: row!.value }]);
      await alice.client.send('nobody', 'y').catch(() => {});
      expect(alice.client.status).toMatchObject({ state: 'halted', error: { code: 'ERR_STORE_CONFLICT' } });
    },
  };
}

test('recover: listeners, handles and unacknowledged messages go on; a halted client closes nothing that the next engine needs', async () => {
  const network = glassNetwork();
  const { alice, halt } = await halting(network);
  const bob = await person('bob', network, clock);
  await bob.client.send('alice', 'one');
  await bob.client.send('alice', 'two');
  const loop = alice.client.messages()[Symbol.asyncIterator]();
  const one = (await loop.next()).value;
  const sent = await alice.client.send('bob', 'before');
  const contact = alice.client.contact('bob');
  await halt();
  await expect(loop.next()).rejects.toThrow(coded('ERR_STORE_CONFLICT'));
  await expect(alice.client.send('bob', 'x')).rejects.toThrow(coded('ERR_STORE_CONFLICT'));
  // Calls wait for the next engine.
  const during = new Promise<Sent>((resolve) => {
    const stop = alice.client.on('status', ({ status }) => {
      stop();
      if (status.state === 'connecting') resolve(alice.client.send('bob', 'during'));
    });
  });
  await alice.client.recover();
  await (await during).until('accepted');
  await sent.until('accepted');
  await one.ack();
  const next = alice.client.messages()[Symbol.asyncIterator]();
  expect((await next.next()).value.text).toBe('two');
  await next.return?.();
  expect((await contact.identity()).trust).toBe('unverified');
  expect([(await bob.read()).text, (await bob.read()).text].sort()).toEqual(['before', 'during']);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('a port that the application made serves the next engine too, and is closed with the client', async () => {
  const network = glassNetwork();
  const transport = network.transport({ address: { account: 'alice', device: 1 }, prove: async () => new Uint8Array(1) });
  const { alice, halt } = await halting({ ...network, transport: transport as never });
  const bob = await person('bob', network, clock);
  await (await alice.client.send('bob', 'one')).until('accepted');
  await halt();
  await alice.client.recover();
  expect(network.closedCount).toBe(0);
  await (await alice.client.send('bob', 'two')).until('accepted');
  await alice.client.close();
  expect(network.closedCount).toBe(1);
  await bob.client.close();
});

test('an acknowledgement of a message that is gone takes no later one away', async () => {
  const network = glassNetwork();
  const { alice, halt } = await halting(network);
  const bob = await person('bob', network, clock);
  await bob.client.send('alice', 'one');
  const loop = alice.client.messages()[Symbol.asyncIterator]();
  const one = (await loop.next()).value;
  await loop.return?.();
  await (await alice.read()).ack();
  await halt();
  await alice.client.recover();
  await bob.client.send('alice', 'two');
  const again = alice.client.messages()[Symbol.asyncIterator]();
  const two = (await again.next()).value;
  await one.ack();
  await again.return?.();
  expect((await alice.read()).id).toBe(two.id);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('recover that fails leaves the client halted; it is refused unless the client is halted, and after close', async () => {
  const network = glassNetwork();
  const { alice, halt } = await halting(network);
  await expect(alice.client.recover()).rejects.toThrow(usage('ERR_ARGUMENT', 'status'));
  await halt();
  vi.mocked(recoverStore).mockRejectedValueOnce(new StoreError('ERR_STORE_IO', 'disk'));
  await expect(alice.client.recover()).rejects.toThrow(coded('ERR_STORE_IO'));
  expect(alice.client.status).toMatchObject({ state: 'halted', error: { code: 'ERR_STORE_CONFLICT' } });
  await expect(alice.client.send('bob', 'x')).rejects.toThrow(coded('ERR_STORE_CONFLICT'));
  await Promise.all([alice.client.recover(), expect(alice.client.recover()).rejects.toThrow(usage('ERR_ARGUMENT', 'status'))]);
  await (await alice.client.send('nobody', 'x')).cancel();
  await alice.client.close();
  await expect(alice.client.recover()).rejects.toThrow(coded('ERR_CLOSED'));
});

test('closed while it recovers: the next engine never serves', async () => {
  const network = glassNetwork();
  const { alice, halt } = await halting(network);
  await halt();
  const recovering = alice.client.recover();
  await alice.client.close();
  await Promise.allSettled([recovering]);
  expect(alice.client.status).toEqual({ state: 'closed' });
  const states = alice.events.filter(({ type }) => type === 'status');
  expect(states.at(-1)).toEqual({ type: 'status', status: { state: 'closed' } });
});

test('erase ends the client, and close() is done with it', async () => {
  const network = glassNetwork();
  const report = { recordCount: 5, keyCount: 2 };
  const inner = memoryStore();
  const store = Object.assign(glassStore(inner), { erase: async () => report });
  const alice = await person('alice', network, clock, { store });
  const erasing = alice.client.erase();
  expect(alice.client.erase()).toBe(erasing);
  expect(await erasing).toEqual(report);
  expect(alice.client.status).toEqual({ state: 'closed' });
  await alice.client.close();
  const other = await person('bob', network, clock);
  await other.client.close();
  await expect(other.client.erase()).rejects.toThrow(coded('ERR_CLOSED'));
});
