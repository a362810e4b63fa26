import { expect, test, vi } from 'vitest';
import { seededRng } from '../../src/testing/rng.js';

const NOW = 1_800_000_000_000;

/** The library over one backend: a copy of its modules of its own. */
async function libraryOver(name: 'node' | 'noble') {
  vi.resetModules();
  vi.doMock('#backend', () => import(`../../src/crypto/backend/${name}.ts`));
  const pqxdh = await import('../../src/pqxdh/index.js');
  const prekeys = await import('../../src/pqxdh/prekeys.js');
  const identity = await import('../../src/identity/index.js');
  const ratchet = await import('../../src/ratchet/index.js');
  const { backend } = await import('#backend');
  vi.doUnmock('#backend');
  return { ...pqxdh, ...prekeys, ...identity, ...ratchet, backend };
}

test.each([
  ['node', 'noble'],
  ['noble', 'node'],
] as const)('T23: keys, prekeys and sessions written under %s are read under %s, and go on', async (first, second) => {
  const one = await libraryOver(first);
  const two = await libraryOver(second);
  expect(one.backend).not.toBe(two.backend);
  const rng = seededRng(`cross ${first} ${second}`);
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
  const text = (plaintext: Uint8Array): string => Buffer.from(plaintext).toString();

  const bob = one.generateDevice('bob', rng, NOW);
  const { next: bobPrekeys, out: published } = one.generatePrekeys(bob, rng, NOW);
  const alice = two.generateDevice('alice', rng, NOW);
  const { address, identity, signedSet, batch } = published;
  const bundle = { address, identity, signedSet, oneTime: { head: batch!.head, entry: batch!.entries[3]! } };

  // The second backend verifies what the first signed, and encapsulates to its keys.
  const { secrets, prefix } = two.initiate(alice, two.verifyBundle(bundle, undefined, NOW), 1, rng, NOW);
  let initiator = two.initiateRatchet(secrets, rng);
  const hello = two.encrypt(initiator, bytes('hello'), rng);
  initiator = hello.next;

  // Stored under the first, opened under the second: the same device accepts.
  const reopened = two.decodeDevice(one.encodeDevice(bob));
  expect(reopened).toEqual(bob);
  const reopenedPrekeys = two.decodePrekeys(one.encodePrekeys(bobPrekeys), []);
  const init = new Uint8Array([...prefix, ...hello.out]);
  const there = one.accept(bobPrekeys, bob, init, NOW).out;
  const here = two.accept(reopenedPrekeys, reopened, init, NOW).out;
  expect(here.secrets).toEqual(there.secrets);

  let responder = one.acceptRatchet(there.secrets);
  const opened = one.decrypt(responder, there.ratchetMessage);
  expect(text(opened.out)).toBe('hello');
  responder = opened.next;

  // Each message moves both sides to the other backend, through their encoded states.
  for (let i = 0; i < 12; i++) {
    const [from, to] = i % 2 === 0 ? [one, two] : [two, one];
    const speaker = from.encrypt(
      from.decodeState((i % 4 < 2 ? to : from).encodeState(i % 2 === 0 ? responder : initiator)),
      bytes(`message ${i}`),
      rng,
    );
    const listener = to.decrypt(to.decodeState((i % 4 < 2 ? from : to).encodeState(i % 2 === 0 ? initiator : responder)), speaker.out);
    expect(text(listener.out)).toBe(`message ${i}`);
    if (i % 2 === 0) [responder, initiator] = [speaker.next, listener.next];
    else [initiator, responder] = [speaker.next, listener.next];
    expect(one.encodeState(initiator)).toEqual(two.encodeState(initiator));
  }
});
