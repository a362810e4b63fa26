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
  return {
    time,
    network,
    timed,
    open: (account, options = {}) => timed(person(account, network, clock, options)),
    inject: (who, bytes) => timed(network.inject(who.address, bytes)),
    texts: async (who) => (await timed(who.readAll())).map(({ text }) => text).sort(),
  };
}
