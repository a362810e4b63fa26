import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { sessionRecord } from '../../src/client/records.js';
import { decodeBraid } from '../../src/ratchet/braid/state.js';
import { decodeCore } from '../../src/ratchet/state.js';
import { memoryStore } from '../../src/store/memory.js';
import { nodeStore } from '../../src/store/node.js';
import type { Store, StoreKey } from '../../src/store/port.js';
import { rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { seededRng } from '../../src/testing/rng.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const folder = mkdtempSync(join(tmpdir(), 'cyphr-restart-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Every phase of the post-quantum ratchet: one conversation is in each. */
const PHASES = [
  'keysUnsampled',
  'keysSampled',
  'headerSent',
  'ct1Received',
  'ekSentCt1Received',
  'noHeaderReceived',
  'headerReceived',
  'ct1Sampled',
  'ekReceivedCt1Sampled',
  'ct1Acknowledged',
  'ct2Sampled',
] as const;

const kept: Store = { ...memoryStore(), close: async () => {} };
const keptSealed: Store = { ...memoryStore(), close: async () => {} };
const slot = () => rawKeySlot(new Uint8Array(32).fill(7));
const STORES: readonly [string, () => Store][] = [
  ['memoryStore', () => kept],
  ['nodeStore', () => nodeStore(join(folder, 'plain'))],
  ['sealedStore over memoryStore', () => sealedStore(keptSealed, slot())],
  ['sealedStore over nodeStore', () => sealedStore(nodeStore(join(folder, 'sealed')), slot())],
];

/** The phase of alice's session with an account. */
function phaseOf(store: GlassStore, account: string): string | undefined {
  for (const [key, value] of store.rows()) {
    if (JSON.parse(key)[0] !== 'session') continue;
    const session = sessionRecord.decode(value);
    if (session.account === account) return decodeCore(session.core, [], decodeBraid).scka.phase.kind;
  }
  return undefined;
}

/** Rows that an opening writes by itself: the number of the commit, and the proofs of logging in. */
const isState = (key: StoreKey): boolean => key[0] !== 'generation' && key[0] !== 'login';

async function rowsOf(store: Store, keys: readonly StoreKey[]): Promise<string[]> {
  const records = await store.read(keys);
  return keys.map((key, i) => `${JSON.stringify(key)} ${records[i] && toHex(records[i].value)}`);
}

test.each(STORES)('a clean restart on %s goes on where it was, in every phase of the ratchet', async (_name, make) => {
  const network = hostileNetwork();
  const clock = { ms: START };
  // Everything depends on this seed: with it, every phase is met soon.
  const rng = seededRng('restart 3');
  let inner = make();
  const store = glassStore(inner);
  let alice = await person('alice', network, clock, { store });
  const peers: Person[] = [];
  const exchange = async (from: Person, to: Person, text: string): Promise<void> => {
    await from.client.send(to.account, text);
    expect((await to.read()).text).toBe(text);
  };

  for (const [i, phase] of PHASES.entries()) {
    // Only small pieces come one by one in both directions. Who begins chooses their size.
    const isLean = phase === 'ekSentCt1Received';
    const peer = await person(`peer ${i}`, network, clock, isLean ? { bandwidth: 'lean' } : {});
    peers.push(peer);
    await (i % 2 === 0 && !isLean ? exchange(alice, peer, 'first') : exchange(peer, alice, 'first'));
    for (let n = 0; phaseOf(store, peer.account) !== phase; n++) {
      expect(n, `messages until ${phase}`).toBeLessThan(300);
      await (rng(1)[0]! < 128 ? exchange(alice, peer, `a${n}`) : exchange(peer, alice, `p${n}`));
    }
  }
  // One message is under way, so that there is a skipped key too.
  const held: Parameters<typeof network.route>[0][] = [];
  network.route = (envelope) => {
    if (envelope.to.account !== 'alice' || held.length > 0) return [envelope];
    held.push(envelope);
    return [];
  };
  await (await peers[1]!.client.send('alice', 'late')).until('accepted');
  await exchange(peers[1]!, alice, 'early');

  await alice.client.close();
  const keys = [...store.rows().keys()].map((key) => JSON.parse(key) as StoreKey);
  const last = [...store.rows()].map(([key, value]) => `${key} ${toHex(value)}`);
  expect(keys.filter(([space]) => space === 'session').length).toBeGreaterThanOrEqual(PHASES.length);
  expect(keys.filter(([space]) => space === 'skipped').length).toBeGreaterThan(0);
  await inner.close();

  // What was committed last is what the next process finds.
  inner = make();
  expect(await rowsOf(inner, keys)).toEqual(last);
  const state = keys.filter(isState);
  const before = await rowsOf(inner, state);
  alice = await person('alice', network, clock, { store: glassStore(inner), seed: 'second life' });
  await alice.seen('status', ({ status }) => status.state === 'online');
  expect(await rowsOf(inner, state)).toEqual(before);

  network.route = (envelope) => [envelope];
  await peers[0]!.client.send('alice', 'and on');
  expect((await alice.read()).text).toBe('and on');
  void network.inject(held[0]!.to, held[0]!.bytes);
  expect((await alice.read()).text).toBe('late');
  for (const peer of peers) {
    for (let n = 0; n < 2; n++) {
      await exchange(alice, peer, `again ${n}`);
      await exchange(peer, alice, `and again ${n}`);
    }
  }
  for (const { dropped } of [alice, ...peers]) expect(dropped()).toEqual([]);
  expect(keysUsedTwice(network.sent.map(({ bytes }) => bytes))).toEqual([]);
  await Promise.all([alice, ...peers].map(({ client }) => client.close()));
  await inner.close();
});
