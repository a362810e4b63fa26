import { expect, test, vi } from 'vitest';
import { glassNetwork } from '../helpers/glass-network.js';
import { type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

test.each(['tag', 'sealed'] as const)(
  'T41: %s: a device whose clock was a year ahead for a while is written to once it is right',
  async (metadata) => {
    const network = glassNetwork();
    const clock = { ms: START };
    const ahead = { ms: START };
    const alice = await person('alice', network, clock, { metadata });
    let bob = await person('bob', network, ahead);
    await alice.client.send('bob', 'before');
    await bob.read();
    await bob.client.send('alice', 'answer');
    await alice.read();
    /** Bob's next run, by another clock, in which he renews his keys. */
    const next = async (ms: number): Promise<Person> => {
      await bob.client.close();
      const count = network.published.length;
      ahead.ms = START + ms;
      const again = await person('bob', network, ahead, { store: bob.store, seed: `${ms}` });
      await vi.waitFor(() => expect(network.published.length).toBeGreaterThan(count), { timeout: 20_000 });
      return again;
    };
    bob = await next(YEAR);
    bob = await next(0);
    // Eight days later: whoever seals looks for a newer set.
    clock.ms = ahead.ms = START + 8 * 24 * HOUR;
    for (let i = 0; i < 3; i++) {
      clock.ms += HOUR;
      ahead.ms += HOUR;
      const sent = await alice.client.send('bob', `${i}`);
      // The first ones may wait for the set of today.
      if (i < 2) await sent.until('accepted').catch(() => {});
      else await sent.until('accepted');
    }
    const texts = [await bob.read(), await bob.read(), await bob.read()].map(({ text }) => text);
    expect(texts).toEqual(['0', '1', '2']);
    await Promise.all([alice.client.close(), bob.client.close()]);
  },
);
