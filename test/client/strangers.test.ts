import { expect, test, vi } from 'vitest';
import { TransportError } from '../../src/errors.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, claimedMessages: 4, claimedPerAccount: 3 } };
});

test('T28: of senders whom nobody has confirmed so many messages are kept, fewer of one; the relay keeps the others until somebody has', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const [alice, carol, bob] = await Promise.all(['alice', 'carol', 'bob'].map((name) => person(name, network, clock)));
  network.answer = (account, honest) => {
    if (account === 'bob') return honest;
    throw new TransportError('ERR_OFFLINE', 'no directory');
  };
  for (const text of ['1', '2', '3', '4', '5']) await (await alice!.client.send('bob', text)).until('accepted');
  await network.settled();
  expect([bob!.client.status, network.unackedCount(bob!.address)]).toMatchObject([{ unackedCount: 3 }, 2]);
  for (const text of ['6', '7']) await (await carol!.client.send('bob', text)).until('accepted');
  await network.settled();
  expect([bob!.client.status, network.unackedCount(bob!.address)]).toMatchObject([{ unackedCount: 4 }, 3]);
  network.answer = (_, honest) => honest;
  network.cut(bob!.address);
  const texts: string[] = [];
  while (texts.length < 7) texts.push((await bob!.read()).text);
  expect(texts.sort()).toEqual(['1', '2', '3', '4', '5', '6', '7']);
  await Promise.all([alice, carol, bob].map((each) => each!.client.close()));
});
