import { expect } from 'vitest';
import type { BundleBytes } from '../../src/step.js';
import { type HostileNetwork, hostileNetwork } from './hostile-network.js';
import { type Person, person, START } from './people.js';
import { type Timeline, timeline } from './timeline.js';

/** A relay and people whose time passes when a test lets it. */
export interface Stepped {
  readonly time: Timeline;
  readonly network: HostileNetwork;
  /** `work` with all that it starts, while time passes. */
  timed<T>(work: Promise<T>, ms?: number): Promise<T>;
  open(account: string, options?: Parameters<typeof person>[3]): Promise<Person>;
  /** Delivers to `who`; answers whether it was acknowledged. */
  inject(who: Person, bytes: Uint8Array): Promise<boolean>;
  /** What `who` shows by now, sorted. */
  texts(who: Person): Promise<string[]>;
  /** Alice, and bob, who seals: they have answered each other, ten minutes ago. `bundle` is hers, without a one-time prekey. */
  met(): Promise<{ alice: Person; bob: Person; bundle: BundleBytes }>;
}

/** `time.end()` is the caller's. */
export function stepped(network = hostileNetwork()): Stepped {
  const time = timeline(START);
  const clock = {
    get ms() {
      return time.now();
    },
  };
  const timed: Stepped['timed'] = async (work, ms = 100) => {
    const [result] = await Promise.all([work, time.pass(ms)]);
    return result;
  };
  const self: Stepped = {
    time,
    network,
    timed,
    open: (account, options = {}) => timed(person(account, network, clock, options)),
    inject: (who, bytes) => timed(network.inject(who.address, bytes)),
    texts: async (who) => (await timed(who.readAll())).map(({ text }) => text).sort(),
    async met() {
      const alice = await self.open('alice');
      const bob = await self.open('bob', { metadata: 'sealed' });
      const [bundle] = (await network.bundles('alice')) as [BundleBytes];
      await timed(bob.client.send('alice', 'a'));
      expect(await self.texts(alice)).toEqual(['a']);
      await timed(alice.client.send('bob', 'b'));
      await timed(bob.readAll());
      await time.pass(10 * 60_000);
      return { alice, bob, bundle };
    },
  };
  return self;
}
