import { beforeEach, describe, expect, it, vi } from 'vitest';
import { isZero, toHex } from '../../src/bytes.js';
import type * as kemModule from '../../src/crypto/incremental-mlkem.js';
import type * as suiteModule from '../../src/crypto/suite.js';
import type * as authenticatorModule from '../../src/ratchet/braid/authenticator.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type * as keysModule from '../../src/ratchet/keys.js';
import type { Scka } from '../../src/ratchet/scka.js';
import type { RatchetState } from '../../src/ratchet/state.js';
import type { Step } from '../../src/step.js';
import { padBody } from '../../src/wire/padding.js';
import { messageOf, walk } from '../helpers/braid.js';
import { codeOf } from '../helpers/expect-code.js';
import { forge } from '../helpers/forge.js';
import { flip, testRng } from '../helpers/rng.js';
import { filledDuring, secretsIn } from '../helpers/secrets.js';
import { type Party, session, text } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

type Derive = (...call: unknown[]) => unknown;

/** Every buffer that a key derivation gave: the agreement, the output of a KDF, and the keys cut from it. */
const derived = vi.hoisted(() => {
  const secrets: Uint8Array[] = [];
  const record = (value: unknown): void => {
    if (value instanceof Uint8Array) secrets.push(value);
    else for (const [name, member] of Object.entries(value as object)) if (!['tag', 'ct1', 'ct2'].includes(name)) record(member);
  };
  const recording = <M extends object>(module: M, names: readonly (keyof M)[]): M => {
    const out = { ...module };
    for (const name of names) {
      const derive = module[name] as Derive;
      const recorded: Derive = (...call) => {
        const result = derive(...call);
        record(result);
        return result;
      };
      out[name] = recorded as M[typeof name];
    }
    return out;
  };
  return { secrets, recording };
});
vi.mock('../../src/ratchet/keys.js', async (original) => {
  const keys = await original<typeof keysModule>();
  const { deriveHeaderNonce, ...secret } = keys;
  return { deriveHeaderNonce, ...derived.recording(secret, Object.keys(secret) as (keyof typeof secret)[]) };
});
vi.mock('../../src/crypto/suite.js', async (original) => {
  const suite = await original<typeof suiteModule>();
  return {
    ...derived.recording(suite, ['x25519', 'hkdfSha256', 'hkdfExpandSha256', 'hkdfExtractSha256']),
    mlKem768: derived.recording(suite.mlKem768, ['decapsulate']),
  };
});
vi.mock('../../src/crypto/incremental-mlkem.js', async (original) =>
  derived.recording(await original<typeof kemModule>(), ['encaps1', 'encaps2']),
);
vi.mock('../../src/ratchet/braid/authenticator.js', async (original) =>
  derived.recording(await original<typeof authenticatorModule>(), ['updateAuthenticator', 'epochSecret']),
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

describe.each([
  ['toy', toyScka() as Scka<unknown>],
  ['braid', braid as Scka<unknown>],
])('T49, %s SCKA', (_, scka) => {
  it('a step leaves no derived key behind but those of the next state; one that fails at the very end leaves none at all', () => {
    const { alice, bob } = session(scka, testRng('steps'), 3);
    const expectWiped = (run: () => void, state: () => unknown): void => {
      derived.secrets.length = 0;
      run();
      const kept = new Set(secretsIn(state()));
      expect(derived.secrets.length).toBeGreaterThan(5);
      for (const secret of derived.secrets) expect(kept.has(secret) || isZero(secret)).toBe(true);
    };
    let frame = new Uint8Array() as Uint8Array;
    for (let i = 0; i < 30; i++) {
      const [from, to] = i % 2 === 0 ? [alice, bob] : [bob, alice];
      if (i % 5 === 4) from.send(text('lost'));
      expectWiped(
        () => {
          frame = from.send(text(`${i}`));
        },
        () => from.state,
      );
      expectWiped(
        () => expect(codeOf(() => to.receive(flip(frame)))).toBe('ERR_DECRYPT'),
        () => null,
      );
      expectWiped(
        () => expect(to.receive(frame)).toEqual(text(`${i}`)),
        () => to.state,
      );
    }
    expect(alice.state.pq.sending.epoch).toBeGreaterThan(2);
  });
});

it('T49: a step hands over every secret that only the state before it holds, and none that the next one holds', () => {
  const { alice, bob } = session(braid as Scka<unknown>, testRng('handed over'), 3);
  const commit = (party: Party<unknown>, { next, out, wipe }: Step<RatchetState, Uint8Array>): Uint8Array => {
    const kept = new Set(secretsIn(next));
    const left = secretsIn(party.state).filter((secret) => !kept.has(secret));
    expect(left.every((secret) => wipe.includes(secret))).toBe(true);
    expect(wipe.some((secret) => kept.has(secret))).toBe(false);
    for (const buffer of wipe) buffer.fill(0);
    party.state = next;
    return out;
  };
  const late: [Party<unknown>, Uint8Array][] = [];
  const say = (from: Party<unknown>): Uint8Array => commit(from, from.ratchet.encrypt(from.state, text('x'), from.rng));
  for (let i = 0; i < 40; i++) {
    const [from, to] = i % 2 === 0 ? [alice, bob] : [bob, alice];
    if (i % 5 === 4) for (let j = 0; j < 2; j++) late.push([to, say(from)]);
    commit(to, to.ratchet.decrypt(to.state, say(from)));
    if (i % 7 === 6) for (const [party, frame] of late.splice(0, 2)) commit(party, party.ratchet.decrypt(party.state, frame));
  }
  expect(alice.state.pq.sending.epoch).toBeGreaterThan(2);
});

it('T49: nor does one that fails beyond a gap over two chains and two epochs', () => {
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

it('T05: a false agreement of the SCKA leaves nothing of what was computed of it', () => {
  const { epoch, pieces, states } = walk(2);
  const genuine = messageOf(pieces, epoch, 2, 'ct2', 4);
  derived.secrets.length = 0;
  expect(codeOf(() => braid.receive(states['ekSentCt1Received, one left']!, { ...genuine, chunk: new Uint8Array(32) }, 2))).toBe(
    'ERR_DECRYPT',
  );
  expect(derived.secrets.length).toBeGreaterThan(3);
  for (const secret of derived.secrets) expect(isZero(secret)).toBe(true);
});

it('the key of an epoch that is entered, copied for the walk, is wiped', () => {
  const { alice, bob } = apart();
  const frame = alice.send(text('last'));
  const entered = toHex(bob.state.pq.receiving.nextChainKey!);
  expect(filledDuring(() => bob.ratchet.decrypt(bob.state, frame))).toContain(entered);
});

it('the padded copy of a plaintext is wiped', () => {
  const { alice } = apart();
  expect(filledDuring(() => alice.ratchet.encrypt(alice.state, text('secret'), alice.rng))).toContain(toHex(padBody(text('secret'))));
});
