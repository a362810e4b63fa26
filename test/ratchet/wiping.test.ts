import { beforeEach, expect, it, vi } from 'vitest';
import { isZero } from '../../src/bytes.js';
import type * as suiteModule from '../../src/crypto/suite.js';
import type * as keysModule from '../../src/ratchet/keys.js';
import { codeOf } from '../helpers/expect-code.js';
import { forge } from '../helpers/forge.js';
import { flip, testRng } from '../helpers/rng.js';
import { secretsIn } from '../helpers/secrets.js';
import { session, text } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

type Derive = (...call: unknown[]) => unknown;

/** Every buffer that a key derivation gave: the agreement, the output of a KDF, and the keys cut from it. */
const derived = vi.hoisted(() => {
  const secrets: Uint8Array[] = [];
  const record = (value: unknown): void => {
    if (value instanceof Uint8Array) secrets.push(value);
    else for (const [name, member] of Object.entries(value as object)) if (name !== 'tag') record(member);
  };
  const recording = (module: object, names: readonly string[]): object =>
    Object.fromEntries(
      Object.entries(module).map(([name, derive]: [string, Derive]) => {
        const recorded: Derive = (...call) => {
          const result = derive(...call);
          record(result);
          return result;
        };
        return [name, names.includes(name) ? recorded : derive];
      }),
    );
  return { secrets, recording };
});
vi.mock('../../src/ratchet/keys.js', async (original) => {
  const keys = await original<typeof keysModule>();
  const { deriveHeaderNonce, ...secret } = keys;
  return { deriveHeaderNonce, ...derived.recording(secret, Object.keys(secret)) };
});
vi.mock('../../src/crypto/suite.js', async (original) =>
  derived.recording(await original<typeof suiteModule>(), ['x25519', 'hkdfSha256', 'hkdfExpandSha256', 'hkdfExtractSha256']),
);
beforeEach(() => {
  derived.secrets.length = 0;
});

/** Two chains and two epochs apart, with messages missing in each. */
function apart() {
  const { alice, bob } = session(toyScka(), testRng('wiping'), 2);
  bob.receive(alice.send(text('ping')));
  alice.send(text('lost'));
  alice.receive(bob.send(text('pong')));
  alice.send(text('lost'));
  expect(alice.state.pq.sending.epoch).toBe(bob.state.pq.receiving.epoch + 1);
  return { alice, bob };
}

it('T49: a step leaves no derived key behind but those of the next state', () => {
  const { alice, bob } = apart();
  const step = (run: () => void, state: () => unknown): void => {
    derived.secrets.length = 0;
    run();
    const kept = new Set(secretsIn(state()));
    expect(derived.secrets.length).toBeGreaterThan(5);
    for (const secret of derived.secrets) expect(kept.has(secret) || isZero(secret)).toBe(true);
  };
  let frame = new Uint8Array() as Uint8Array;
  for (let i = 0; i < 4; i++) {
    const [from, to] = i % 2 === 0 ? [alice, bob] : [bob, alice];
    step(
      () => {
        frame = from.send(text(`${i}`));
      },
      () => from.state,
    );
    step(
      () => void to.receive(frame),
      () => to.state,
    );
  }
});

it('T49: a message that fails at the very end leaves no key behind at all', () => {
  const { alice, bob } = apart();
  const frame = alice.send(text('last'));
  derived.secrets.length = 0;
  expect(codeOf(() => bob.receive(flip(frame)))).toBe('ERR_DECRYPT');
  expect(derived.secrets.length).toBeGreaterThan(10);
  for (const secret of derived.secrets) expect(isZero(secret)).toBe(true);
  expect(bob.receive(frame)).toEqual(text('last'));
});

it('a ratchet key that is known already is refused before any derivation', () => {
  const { alice, bob } = apart();
  bob.receive(alice.send(text('turn')));
  bob.send(text('answer'));
  const { ec } = alice.state;
  if (ec.kind !== 'sending') throw new Error('alice is sending');
  const header = { n: 0, previousChainLength: ec.sendIndex, pqCounter: alice.state.pq.sending.counter + 1 };
  const frame = forge(alice.state, { headerKey: ec.nextSendingHeaderKey, header });
  derived.secrets.length = 0;
  expect(codeOf(() => bob.receive(frame))).toBe('ERR_DECRYPT');
  expect(derived.secrets).toEqual([]);
});
