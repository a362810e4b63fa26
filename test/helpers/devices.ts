import { joinWith } from '../../src/client/join.js';
import type { JoinOptions, Linking } from '../../src/client/types.js';
import type { Network } from '../../src/transport/port.js';
import { type Clock, type GlassStore, glassStore, type Person, person } from './people.js';
import { testRng } from './rng.js';

/** A further device of the account of `old`, linked as somebody with two screens does it; it is published when this resolves. */
export async function linked(
  old: Person,
  network: Network,
  clock: Clock,
  options: Parameters<typeof person>[3] & { readonly link?: Linking } = {},
): Promise<Person> {
  const { link = await old.client.devices.link(), ...given } = options;
  const seed = given.seed ?? `${old.account} linked`;
  const made = await person(old.account, network, clock, {
    ...given,
    seed,
    async open(opening) {
      const [joining, asked] = await Promise.all([joinWith({ ...opening, code: link.qr }, (rng) => rng!), link.request()]);
      if (asked.confirmation !== joining.confirmation) throw new Error('the two screens differ');
      await asked.confirm();
      return joining.client();
    },
  });
  // Not with the runner's means: golden stores are made without it.
  for (const end = Date.now() + 20_000; made.store.rows().has('["publish"]'); ) {
    if (Date.now() > end) throw new Error('the linked device does not publish itself');
    await new Promise((turn) => setImmediate(turn));
  }
  return made;
}

/** A device that has nothing yet joins; its randomness is `seed`'s. */
export function joining(
  account: string,
  network: Network,
  clock: Clock,
  code: JoinOptions['code'],
  seed: string,
  { store = glassStore(), signal }: { readonly store?: GlassStore; readonly signal?: AbortSignal } = {},
) {
  const { transport, directory } = network;
  const join = joinWith({ account, transport, directory, store, rng: testRng(seed), now: () => clock.ms, code, signal }, (rng) => rng!);
  return { store, join };
}

/** Both devices until each shows a string. */
export async function introduced(link: Linking, { join }: ReturnType<typeof joining>) {
  const [joined, asked] = await Promise.all([join, link.request()]);
  return { joined, asked };
}
