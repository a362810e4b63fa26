/** What the model of the whole believes of its machines has to be true, too. */

import { expect, test } from 'vitest';
import { sessionLimits } from '../../src/limits.js';
import { sealFrame } from '../../src/pqxdh/handshake.js';
import type { BundleBytes } from '../../src/step.js';
import { parseSignedSet } from '../../src/wire/objects.js';
import { glassStore, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';
import { stepRelay } from '../helpers/step-relay.js';
import { timeline } from '../helpers/timeline.js';
import { machine } from './machine.js';

test('what a machine dropped late is that envelope, not the one that came last', async () => {
  const time = timeline(START);
  const relay = stepRelay();
  relay.isSwift = true;
  const faults: string[] = [];
  const bob = machine('bob/1', 'bob', glassStore(), { relay, now: time.now, seed: 'late drops', faults });
  try {
    bob.start();
    await time.pass(60_000);
    const to = bob.addresses[0]!;
    const [bundle] = (await relay.bundles('bob')) as [BundleBytes];
    const { setId, sealKey } = parseSignedSet(bundle.signedSet);
    const rng = testRng('late drops');
    const mallory = relay
      .network({ isUp: true, losesAcks: false, losesReplies: false })
      .transport({ address: { account: 'mallory', device: 1 }, prove: async () => new Uint8Array() });
    const flights = sessionLimits.unknownFlightsPerMinute + 1;
    for (let i = 0; i < flights; i++) await mallory.send(to, sealFrame(to, setId, sealKey, new Uint8Array(0), rng));
    await time.settle();
    expect(bob.dropped).toHaveLength(flights - 1);
    // The last flight waits for a token; what is no flight need not.
    await mallory.send(to, new Uint8Array(100));
    await time.pass(60_000);
    const [waited, later] = relay.accepted.slice(-2);
    expect(bob.dropped.slice(-2).map(({ parcel }) => parcel.id)).toEqual([later!.id, waited!.id]);
    expect(faults).toEqual([]);
  } finally {
    bob.stop();
    await time.settle();
    time.end();
  }
});
