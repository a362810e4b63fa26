/** What was left with the carrier, for want of room, and is asked for again. */

import { expect, test, vi } from 'vitest';
import type { Login, Transport } from '../../src/transport/port.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => {
  const limits = (await import('../helpers/few-prekeys.js')).fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, claimedPerAccount: 1, claimedCount: 1 } };
});

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((next) => setImmediate(next));
};

test('a loop until all is drained goes on while that takes its time', async () => {
  const clock = { ms: START };
  const network = hostileNetwork();
  let isSlow = false;
  let deliver = (): void => {};
  const delivering = new Promise<void>((resolve) => {
    deliver = resolve;
  });
  const transport = (login: Login): Transport => {
    const port = (network.transport as (login: Login) => Transport)(login);
    const deliveries: Transport['deliveries'] = async function* (options) {
      if (isSlow) await delivering;
      yield* port.deliveries(options);
    };
    return { ...port, deliveries };
  };
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const bob = await person('bob', { transport, directory: network.directory }, clock);
  const alice = await person('alice', network, clock);
  network.answer = async (account, honest) => {
    if (account === 'alice') await answered;
    return honest;
  };
  const said = ['one', 'two', 'three', 'four'];
  for (const text of said) await (await alice.client.send('bob', text)).until('accepted');
  await turns(200);
  isSlow = true;
  const all = bob.readAll();
  answer();
  await turns(200);
  deliver();
  expect((await all).map(({ text }) => text)).toEqual(said);
  await Promise.all([alice, bob].map(({ client }) => client.close()));
});
