import { describe, expect, it } from 'vitest';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { Scka } from '../../src/ratchet/scka.js';
import type { Profile } from '../../src/step.js';
import { ReferenceRatchet } from '../helpers/reference-ratchet.js';
import { testRng } from '../helpers/rng.js';
import { handshakeSecrets, Party, ratchetOver, text } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

interface Peer {
  send(plaintext: Uint8Array): Uint8Array;
  receive(frame: Uint8Array): Uint8Array;
}

function reference(ratchet: ReferenceRatchet<unknown>): Peer {
  return { send: (plaintext) => ratchet.encrypt(plaintext), receive: (frame) => ratchet.decrypt(frame) };
}

/** The library on either side; `epoch` tells which chain epoch it sends in. */
function pairs(scka: Scka<unknown>, seed: string, profile: Profile): { role: string; alice: Peer; bob: Peer; epoch: () => number }[] {
  const { initiator, responder } = handshakeSecrets(testRng(seed), profile);
  const ratchet = ratchetOver(scka);
  const ours = (secrets: typeof initiator, rng = testRng(`${seed} ${secrets.role}`)): Party<unknown> =>
    new Party(ratchet, ratchet.start(secrets, rng), rng);
  const theirs = (secrets: typeof initiator): Peer => reference(new ReferenceRatchet(scka, secrets, testRng(`${seed} ${secrets.role}`)));
  const [alice, bob] = [ours(initiator), ours(responder)];
  return [
    { role: 'initiates', alice, bob: theirs(responder), epoch: () => alice.state.pq.sending.epoch },
    { role: 'answers', alice: theirs(initiator), bob, epoch: () => bob.state.pq.sending.epoch },
  ];
}

/** 150 messages in bursts, a third of them held back and delivered in any order later. */
function converse(seed: string, alice: Peer, bob: Peer): void {
  const rng = testRng(`${seed} network`);
  const chance = (): number => rng(1)[0]! / 256;
  const held: [to: Peer, frame: Uint8Array, plaintext: Uint8Array][] = [];
  const deliver = (): void => {
    const [[to, frame, plaintext]] = held.splice(Math.floor(chance() * held.length), 1) as [(typeof held)[number]];
    expect(new Uint8Array(to.receive(frame))).toEqual(plaintext);
  };
  let bobHeard = false;
  for (let i = 0; i < 150; i++) {
    const [from, to] = bobHeard && Math.floor(i / 4) % 2 === 1 ? [bob, alice] : [alice, bob];
    const plaintext = text(`${i} ${'x'.repeat(rng(1)[0]! * (i % 50 === 0 ? 40 : 1))}`);
    const frame = from.send(plaintext);
    if (bobHeard && chance() < 0.33) {
      held.push([to, frame, plaintext]);
    } else {
      expect(new Uint8Array(to.receive(frame))).toEqual(plaintext);
      bobHeard = true;
    }
    if (held.length > 0 && chance() < 0.3) deliver();
  }
  while (held.length > 0) deliver();
}

describe.each([
  ['braid', braid as Scka<unknown>],
  ['toy', toyScka() as Scka<unknown>],
  ['slow toy', toyScka(4) as Scka<unknown>],
])('a second implementation, %s SCKA', (name, scka) => {
  it.each([1, 2, 3] as const)('understands and is understood, profile %i', (profile) => {
    const seed = `interoperability ${name} ${profile}`;
    for (const { role, alice, bob, epoch } of pairs(scka, seed, profile)) {
      converse(`${seed} ${role}`, alice, bob);
      expect(epoch()).toBeGreaterThan(0);
    }
  });

  it('gives the same frames, byte for byte, while one side speaks', () => {
    const { initiator } = handshakeSecrets(testRng('bytes'));
    const ratchet = ratchetOver(scka);
    const ours = new Party(ratchet, ratchet.start(initiator, testRng('alice')), testRng('random'));
    const [start, random] = [testRng('alice'), testRng('random')];
    let draws = 0;
    const theirs = new ReferenceRatchet(scka, initiator, (length) => (draws++ === 0 ? start : random)(length));
    for (let i = 0; i < 5; i++) expect(Buffer.from(ours.send(text(`${i}`)))).toEqual(theirs.encrypt(text(`${i}`)));
  });
});
