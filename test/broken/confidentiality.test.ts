/** With one of X25519 and ML-KEM broken, what is encrypted stays so. With both it does not: the attacker is a real one. */

import { describe, expect, test, vi } from 'vitest';
import { concat } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { xchachaOpen } from '../../src/crypto/suite.js';
import { entryOf, generateDevice, generateDeviceKeys, relist } from '../../src/identity/device.js';
import {
  acceptLinkRequest,
  generateLinkOffer,
  openLinkAnswer,
  openLinkChallenge,
  parseLinkCode,
  requestLink,
  sealLinkGrant,
} from '../../src/identity/linking.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { acceptInit, initiate, sealFrame } from '../../src/pqxdh/handshake.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { acceptRatchet, initiateRatchet } from '../../src/ratchet/ratchet.js';
import { parseInit } from '../../src/wire/frames.js';
import { parseRatchetFrame } from '../../src/wire/ratchet-message.js';
import { testRng } from '../helpers/rng.js';
import { Party, ratchetOver, text } from '../helpers/sessions.js';
import { bundleOf, makeParty, NOW } from '../pqxdh/world.js';
import { Follower, type State } from '../security/follower.js';
import { attempt, openedSeal, solvedLeak, stateFrom, xwingShared } from './attacker.js';
import { type Breaks, breakOnly } from './broken.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
vi.mock('../../src/crypto/backend/node.js', async (original) => (await import('./broken.js')).withBreaks(await original()));
vi.mock('../../src/crypto/incremental-mlkem.js', async (original) => (await import('./broken.js')).withOpenEncaps(await original()));

const CASES: readonly (readonly [what: string, outcome: 'in vain' | 'with success', breaks: Partial<Breaks>])[] = [
  ['nothing', 'in vain', {}],
  ['X25519', 'in vain', { x25519: true }],
  ['ML-KEM', 'in vain', { mlKem: true }],
  ['Ed25519 and ML-DSA', 'in vain', { ed25519: true, mlDsa: true }],
  ['both', 'with success', { x25519: true, mlKem: true }],
];

const [alice, bob] = [makeParty('alice'), makeParty('bob')];
const ratchet = ratchetOver(braid);

/** A session from alice to bob with its first flight; profile 3, whose epochs take five messages. */
function firstFlight(oneTime: number | undefined) {
  const bundle = verifyBundle(bundleOf(bob, oneTime), undefined, NOW);
  const { secrets, prefix, setId, sealKey } = initiate(alice.device, bundle, 3, testRng('flight'), NOW);
  const rng = testRng('alice sends');
  const sender = new Party<BraidState>(ratchet, initiateRatchet(secrets, rng) as State, rng);
  const message = sender.send(text('the first'));
  const init = concat(prefix, message);
  const { out } = acceptInit(bob.prekeys, bob.device, parseInit(init), {}, NOW);
  const receiver = new Party<BraidState>(ratchet, acceptRatchet(out.secrets) as State, testRng('bob sends'));
  expect(receiver.receive(out.ratchetMessage)).toEqual(text('the first'));
  return { bundle, init, message, sealed: sealFrame(bundle.address, setId, sealKey, init, testRng('seal')), sender, receiver };
}

/** Messages to and fro; `heard` gets each frame. Bob is the one who is followed. */
function converse(
  { sender, receiver }: ReturnType<typeof firstFlight>,
  count: number,
  heard: (frame: Uint8Array, isBobs: boolean, state: State) => void,
): void {
  for (let i = 0; i < count; i++) {
    const isBobs = i % 2 === 0;
    const [from, to] = isBobs ? [receiver, sender] : [sender, receiver];
    const frame = from.send(text(`${i}`));
    heard(frame, isBobs, from.state);
    to.receive(frame);
  }
}

describe.each(CASES)('with %s broken, %s:', (_what, outcome, breaks) => {
  const succeeds = outcome === 'with success';
  const flags = { x25519: breaks.x25519 ?? false, mlKem: breaks.mlKem ?? false };

  test.each([undefined, 1])('a first message is read: %#', (oneTime) => {
    const { bundle, init, sealed } = firstFlight(oneTime);
    breakOnly(breaks);
    expect(openedSeal(bundle, sealed) !== undefined).toBe(succeeds);
    // Even where the seal were none.
    const parsed = parseInit(init);
    const read = attempt(() => ratchet.decrypt(stateFrom(parsed, bundle), parsed.ratchetMessage).out);
    expect(read !== undefined).toBe(succeeds);
    if (succeeds) expect(read).toEqual(text('the first'));
  });

  test('the header of a first message is read', () => {
    const { bundle, init } = firstFlight(1);
    breakOnly(breaks);
    const parsed = parseInit(init);
    const { transcriptHash, ec } = stateFrom(parsed, bundle);
    const { prefix, headerNonce, headerCiphertext } = parseRatchetFrame(parsed.ratchetMessage, 3);
    // Its key comes of the handshake alone: no later agreement makes up for one that is missing there.
    const { key } = ec.nextReceivingHeaderKey;
    const header = attempt(() => xchachaOpen(key, headerNonce, info('hdr', transcriptHash, prefix), headerCiphertext));
    expect(header !== undefined).toBe(succeeds);
  });

  test('any message of four epochs is read, from what travels alone', () => {
    const flight = firstFlight(1);
    breakOnly(breaks);
    const follower = new Follower(stateFrom(parseInit(flight.init), flight.bundle), flags);
    let read = follower.ownerReceives(flight.message) ? 1 : 0;
    let epochs = 0;
    converse(flight, 24, (frame, isBobs, state) => {
      epochs = Math.max(epochs, state.pq.sending.epoch);
      // Who could not read the first one has nothing that he could send on from.
      if (isBobs && read === 0) return;
      if (isBobs ? follower.ownerSends(frame, solvedLeak(state)) : follower.ownerReceives(frame)) read += 1;
    });
    expect(epochs).toBeGreaterThanOrEqual(4);
    expect(read).toBe(succeeds ? 25 : 0);
  });

  test('T21: who has once had bob’s whole state reads on for ever', () => {
    const flight = firstFlight(1);
    breakOnly(breaks);
    const follower = new Follower(ratchet.decode(flight.receiver.snapshot()), flags);
    const isRead: boolean[] = [];
    let epochs = 0;
    converse(flight, 40, (frame, isBobs, state) => {
      epochs = Math.max(epochs, state.pq.sending.epoch);
      isRead.push(isBobs ? follower.ownerSends(frame, solvedLeak(state)) : follower.ownerReceives(frame));
    });
    expect(epochs).toBeGreaterThanOrEqual(6);
    if (succeeds) expect(isRead.filter((each) => !each)).toEqual([]);
    // With X25519 broken he reads until an epoch that began after the theft has ended, two of five messages; else until bob's next key.
    else expect(isRead.lastIndexOf(true) + 1).toBeLessThanOrEqual(breaks.x25519 ? 10 : 2);
    if (breaks.x25519) expect(isRead.slice(0, 3)).toEqual([true, true, true]);
  });

  test('a linking is taken over, by who has seen the code and changes what lies in the drop box', () => {
    const mallory = generateDevice('alice', testRng('mallory'), NOW);
    const fresh = generateDeviceKeys(testRng('fresh'));
    const publicKeys = { device: fresh.device, deviceKey: fresh.deviceKey.publicKey, dhKey: fresh.dhKey.publicKey };
    const offer = generateLinkOffer('alice', testRng('offer'));
    const asked = requestLink(parseLinkCode(offer.qr, 'alice'), offer.offer, 'alice', publicKeys, testRng('request'));
    const { challenge } = acceptLinkRequest(offer, asked.request);
    const honest = openLinkChallenge(asked, challenge);
    breakOnly(breaks);
    const secret = xwingShared(offer.publicKey, asked.request.subarray(0, 1120));
    const stolen = attempt(() => openLinkChallenge({ ...asked, secret }, challenge));
    // His own account key and a list of his own, in which the new device stands: what it would then take for its account.
    const { deviceList } = relist(
      mallory,
      [entryOf(mallory), asked.entry].sort((a, b) => a.device - b.device),
      NOW,
      testRng('list'),
    );
    const answerKeys = stolen?.answerKeys ?? testRng('no keys')(56);
    const grant = sealLinkGrant({ ...honest, answerKeys }, mallory.accountKey.publicKey, mallory.device, deviceList);
    const linked = attempt(() => openLinkAnswer(honest, grant));
    expect(stolen !== undefined).toBe(succeeds);
    expect(linked !== undefined).toBe(succeeds);
    if (succeeds) expect(linked!.accountKey).toEqual(mallory.accountKey.publicKey);
  });
});
