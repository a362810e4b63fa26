import { expect, test, vi } from 'vitest';
import { glassNetwork } from '../helpers/glass-network.js';
import { person, START } from '../helpers/people.js';

test('a message in a conversation lists the ciphertext that leaves and nothing else; what waits is looked for again once there is some', async () => {
  const network = glassNetwork();
  const clock = { ms: START };
  const [alice, bob] = await Promise.all([person('alice', network, clock), person('bob', network, clock)]);
  const exchange = async (text: string): Promise<void> => {
    const sent = await alice.client.send('bob', text);
    expect((await bob.read()).text).toBe(text);
    await sent.until('accepted');
  };
  await exchange('first');
  await bob.client.send('alice', 'answer');
  await alice.read();
  await exchange('second');
  const list = vi.spyOn(alice.store, 'list');
  await exchange('third');
  expect(list.mock.calls).toEqual([[['outbox', 'bob'], 16]]);

  const carol = await person('carol', network, clock);
  network.directoryDown = true;
  await alice.client.send('carol', 'to nobody yet');
  await alice.client.send('carol', 'nor this');
  network.directoryDown = false;
  expect([(await carol.read()).text, (await carol.read()).text]).toEqual(['to nobody yet', 'nor this']);
  await Promise.all([alice, bob, carol].map(({ client }) => client.close()));
});
