import { expect, test, vi } from 'vitest';
import { encodeControl } from '../../src/client/control.js';
import type { SentMessages } from '../../src/client/sent.js';
import { DecodeError, InternalError, StoreError, UsageError } from '../../src/errors.js';
import { sessionLimits } from '../../src/limits.js';
import { sealFrame } from '../../src/pqxdh/handshake.js';
import type { BundleBytes } from '../../src/step.js';
import type { Write } from '../../src/store/port.js';
import { parseSignedSet } from '../../src/wire/objects.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
/** What the handler of receipts throws, if anything. */
const fault = vi.hoisted(() => ({ error: undefined as Error | undefined }));
vi.mock('../../src/client/sent.js', async (original) => {
  const sent = await original<typeof import('../../src/client/sent.js')>();
  const receipts =
    (messages: SentMessages): SentMessages['receipts'] =>
    async (...said) => {
      if (fault.error !== undefined) throw fault.error;
      return messages.receipts(...said);
    };
  const sentMessages: typeof sent.sentMessages = (ctx) => {
    const messages = sent.sentMessages(ctx);
    return { ...messages, receipts: receipts(messages) };
  };
  return { ...sent, sentMessages };
});
const kept = ({ observations }: Person): number =>
  observations.filter((record) => record.kind === 'log' && record.event === 'envelope-kept').length;

/** A store that fails for as many commits as `failures` says, of those that hold a message. */
function failingStore() {
  const store = glassStore();
  const commit = store.commit;
  const failing = { store, failures: 0, error: new Error('disk full') };
  store.commit = async (writes: readonly Write[]) => {
    if (failing.failures > 0 && writes.some(({ key }) => key[0] === 'inbox')) {
      failing.failures -= 1;
      throw failing.error;
    }
    await commit(writes);
  };
  return failing;
}

/** Bob, on such a store, knows Alice. */
async function talking() {
  const network = hostileNetwork();
  const clock = { ms: START };
  const failing = failingStore();
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock, { store: failing.store });
  await alice.client.send('bob', 'hello');
  await bob.read();
  return { network, failing, alice, bob };
}

test('a store that fails in the middle of a delivery: the relay keeps it, and it comes again, once, in order', async () => {
  const { network, failing, alice, bob } = await talking();
  failing.failures = 2;
  for (const text of ['a', 'b', 'c']) await alice.client.send('bob', text);
  const interrupted = await bob.observed((record) => record.kind === 'log' && record.event === 'receiving-failed');
  expect(interrupted).toMatchObject({ code: 'ERR_STORE_IO' });
  expect(network.unackedCount(bob.address)).toBeGreaterThan(0);
  for (const text of ['a', 'b', 'c']) expect((await bob.read()).text).toBe(text);
  expect(await bob.readAll()).toEqual([]);
  expect(failing.failures).toBe(0);
  expect(bob.dropped()).toEqual([]);
  expect(network.unackedCount(bob.address)).toBe(0);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test.each([
  ['ERR_STORE_FULL', 'needs-person', /free space/],
  ['ERR_STORE_IO', 'by-itself', /tried again/],
] as const)(
  'a store that keeps refusing with %s: the diagnosis says so, until an envelope was handled again',
  async (code, heals, advice) => {
    const { failing, alice, bob } = await talking();
    Object.assign(failing, { failures: Number.POSITIVE_INFINITY, error: new StoreError(code, 'no more') });
    await (await alice.client.send('bob', 'a')).until('accepted');
    await bob.observed((record) => record.kind === 'log' && record.event === 'receiving-failed' && record.code === code);
    expect(await bob.client.diagnose()).toMatchObject({ cause: code, heals, advice: expect.stringMatching(advice) });
    failing.failures = 0;
    expect((await bob.read()).text).toBe('a');
    expect(await bob.client.diagnose()).toMatchObject({ cause: 'healthy' });
    await Promise.all([alice.client.close(), bob.client.close()]);
  },
);

test('a commit that is not one is a fault of ours: the message stays with the relay, and nothing else waits for it', async () => {
  const { network, failing, alice, bob } = await talking();
  await network.settled();
  Object.assign(failing, { failures: 1, error: new UsageError('ERR_ARGUMENT', 'a key twice', { field: 'writes' }) });
  for (const text of ['a', 'b']) await (await alice.client.send('bob', text)).until('accepted');
  expect((await bob.read()).text).toBe('b');
  expect([bob.dropped(), network.unackedCount(bob.address)]).toEqual([[], 1]);
  const { reference } = (await bob.seen('undecryptable')) as { reference: string };
  const advice = expect.stringMatching(/report/);
  expect(await bob.client.diagnose(reference)).toMatchObject({ cause: 'ERR_BUG', heals: 'needs-person', advice });
  expect((await bob.client.diagnose()).references).toEqual([reference]);
  // Said once, however often it comes.
  failing.failures = 1;
  network.cut(bob.address);
  await bob.observed(() => kept(bob) === 2);
  expect(bob.count('undecryptable')).toBe(1);
  network.cut(bob.address);
  expect((await bob.read()).text).toBe('a');
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test.each([
  ['what is not ours', new TypeError('x'), 'error', 'ERR_BUG'],
  ['a bug', new InternalError('ERR_BUG', 'x'), 'error', 'ERR_BUG'],
  ['what the sender did wrong', new DecodeError('ERR_DECODE', 'x'), 'info', 'ERR_DECODE'],
] as const)('a control message that is void by %s: how loud the log says it', async (_, error, level, code) => {
  const network = hostileNetwork();
  const bob = await person('bob', network, { ms: START });
  const peer = evilPeer('mallory', 'mallory', START);
  network.answer = (account, honest) => (account === 'mallory' ? [peer.published()] : honest);
  await bob.client.contact('mallory').identity();
  fault.error = error;
  const control = encodeControl({ t: 'receipts', delivered: [], read: [] });
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  const isAcked = await network.inject(bob.address, peer.flight(bundle, peer.text('hello')));
  expect([isAcked, await network.inject(bob.address, peer.next(peer.raw(control, 'control')))]).toEqual([true, true]);
  fault.error = undefined;
  expect(bob.observations.filter((record) => record.kind === 'log' && record.event === 'control-void')).toMatchObject([{ level, code }]);
  await bob.client.close();
});

test('a store that fails when a first contact that had to wait is tried again: the carrier is asked for it', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const failing = failingStore();
  const bob = await person('bob', network, clock, { store: failing.store });
  const alice = await person('alice', network, clock);
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  const { setId, sealKey } = parseSignedSet(bundle.signedSet);
  const rng = testRng('junk flights');
  for (let i = 0; i < sessionLimits.unknownFlightsPerMinute; i++)
    await network.inject(bob.address, sealFrame(bob.address, setId, sealKey, new Uint8Array(0), rng));
  expect(bob.dropped()).toHaveLength(sessionLimits.unknownFlightsPerMinute);
  failing.failures = 1;
  await (await alice.client.send('bob', 'it had to wait')).until('accepted');
  await network.settled();
  expect(network.unackedCount(bob.address)).toBe(1);
  clock.ms += 60_000;
  await bob.observed((record) => record.kind === 'log' && record.event === 'retry-failed');
  expect((await bob.read()).text).toBe('it had to wait');
  expect(failing.failures).toBe(0);
  expect(await bob.readAll()).toEqual([]);
  expect(network.unackedCount(bob.address)).toBe(0);
  await Promise.all([alice.client.close(), bob.client.close()]);
});
