/** A history against senders who may send none, and over the reference relay. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient, joinAccount } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { describe, expect, test, vi } from 'vitest';
import { startRelay } from '../../examples/relay/relay.js';
import type { Context } from '../../src/client/context.js';
import { type ControlSender, encodeControl } from '../../src/client/control.js';
import { openDatabase } from '../../src/client/database.js';
import { history } from '../../src/client/history.js';
import { keys, pendingRecord, sentRecord } from '../../src/client/records.js';
import { limits } from '../../src/limits.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { linked } from '../helpers/devices.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { type GlassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

// A small inbox, too: no test need fill one of 10,000.
vi.mock('../../src/limits.js', async (original) => {
  const all = (await import('../helpers/few-prekeys.js')).fewPrekeys(await original());
  return { ...all, limits: { ...all.limits, inboxCount: 3 } };
});

const PATIENCE = { timeout: 20_000 };
const closeAll = (...people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));
const said = { t: 'history', at: START, id: new Uint8Array(16).fill(7), part: 0, records: [new Uint8Array(3)], isLast: true } as const;
const inboxOf = ({ store }: Person): number => [...store.rows().keys()].filter((key) => key.startsWith('["inbox"')).length;
const isVoid = (record: Person['observations'][number]): boolean => record.kind === 'log' && record.event === 'control-void';

/** Puts a control message for all other devices of the account into the queue of a device that is closed. */
async function queue(store: GlassStore, payload: Uint8Array): Promise<void> {
  const db = await openDatabase(store, { rng: testRng('queue'), now: () => START, onCommit() {}, onLost() {} });
  const id = 'a'.repeat(32);
  const record = { to: 'alice', state: 'queued', atMs: START, seq: 1_000, waitingFor: [], accepted: 0, isControl: true };
  await db.commit([
    { key: keys.sent(id), value: sentRecord.encode(record) },
    { key: keys.pending('alice', 1_000), value: pendingRecord.encode({ id, payload, atMs: START, control: 'any' }) },
  ]);
  await db.close();
}

describe('who may send a history', () => {
  test('T12: a linked device sends none, neither to the one that linked it nor to another linked one', async () => {
    const [clock, network] = [{ ms: START }, hostileNetwork()];
    const phone = await person('alice', network, clock, { seed: 'phone' });
    const laptop = await linked(phone, network, clock, { seed: 'laptop' });
    const tablet = await linked(phone, network, clock, { seed: 'tablet' });
    await laptop.client.close();
    await queue(laptop.store, encodeControl(said));
    const again = await person('alice', network, clock, { store: laptop.store, seed: 'laptop again' });
    await Promise.all([phone, tablet].map((who) => who.observed(isVoid)));
    expect([await phone.readAll(), await tablet.readAll()]).toEqual([[], []]);
    expect([inboxOf(phone), inboxOf(tablet)]).toEqual([0, 0]);
    await closeAll(phone, again, tablet);
  });

  test('T12: nobody else does, neither as what devices say nor as what people say', async () => {
    const [clock, network] = [{ ms: START }, hostileNetwork()];
    const phone = await person('alice', network, clock, { seed: 'phone' });
    const laptop = await linked(phone, network, clock, { seed: 'laptop' });
    const evil = evilPeer('bob', 'bob', START);
    network.answer = (account, honest) => (account === 'bob' ? [evil.published()] : honest);
    await laptop.client.contact('bob').identity();
    const bundle = (await network.bundles('alice')).find(({ address }) => address.device === laptop.client.device)!;
    const inject = (envelope: Uint8Array): Promise<boolean> => network.inject(laptop.address, envelope);
    expect(await inject(evil.flight(bundle, evil.text('hello')))).toBe(true);
    expect((await laptop.read()).text).toBe('hello');
    const { t, ...content } = said;
    for (const frame of [evil.raw(encodeControl(said), 'control'), evil.raw(encodeMsgpack({ t, ...content }))])
      expect(await inject(evil.next(frame))).toBe(true);
    await laptop.observed(isVoid);
    await laptop.observed((record) => record.kind === 'log' && record.event === 'message-refused');
    expect(await inject(evil.next(evil.text('after that')))).toBe(true);
    expect((await laptop.readAll()).map(({ text }) => text)).toEqual(['after that']);
    await closeAll(phone, laptop);
  });

  test('what the linking device says is strict, too', async () => {
    const from = { account: 'alice', deviceKeyHash: new Uint8Array(64) } as ControlSender;
    const device = { account: 'alice', accountKey: { secretKey: undefined } };
    const ctx = { db: { read: async () => from.deviceKeyHash }, device: () => device } as unknown as Context;
    const take = history(ctx, {} as never).history;
    expect(await take(from, said)).toEqual({ writes: [], message: { to: 'alice', payload: encodeControl(said) } });
    const wrong = [{ id: new Uint8Array(15) }, { part: -1 }, { part: 0.5 }, { records: ['text'] }, { records: [new Uint8Array(1), null] }];
    for (const change of wrong) await expect(take(from, { ...said, ...change })).rejects.toMatchObject({ code: 'ERR_DECODE' });
  });

  test('it fills the inbox and no more: the rest waits with the relay, and comes as the application takes what is there', async () => {
    const [clock, network] = [{ ms: START }, hostileNetwork()];
    const phone = await person('alice', network, clock, { seed: 'phone' });
    const laptop = await linked(phone, network, clock, { seed: 'laptop' });
    const records = Array.from({ length: 10 }, (_, i) => new Uint8Array(limits.historyPartBytes).fill(i));
    await phone.client.devices.sendHistory(laptop.client.device, records);
    await vi.waitFor(() => expect(inboxOf(laptop)).toBe(limits.inboxCount), PATIENCE);
    const most: number[] = [];
    const parts: number[] = [];
    while (parts.length < 10) {
      const { content } = await laptop.read();
      most.push(inboxOf(laptop));
      if (content.kind === 'history') parts.push(content.part);
    }
    expect(parts).toEqual(records.map((_, i) => i));
    expect(Math.max(...most)).toBeLessThanOrEqual(limits.inboxCount);
    await closeAll(phone, laptop);
  });
});

test('over the reference relay: linked, sent, away meanwhile, and read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cyphr-history-'));
  const server = await startRelay({ data: folder, logLevel: 'silent' });
  const open: Client[] = [];
  try {
    const alice = await createClient({ account: 'alice', store: memoryStore(), ...relay(server.url) });
    open.push(alice);
    const store = memoryStore();
    const kept = { ...store, close: async () => {} };
    const link = await alice.devices.link();
    const [joining, asked] = await Promise.all([
      joinAccount({ account: 'alice', store: kept, ...relay(server.url), code: link.typed }),
      link.request(),
    ]);
    await asked.confirm();
    const phone = await joining.client();
    const records = Array.from({ length: 40 }, (_, i) => new Uint8Array(5_000).fill(i));
    const sending = alice.devices.sendHistory(phone.device, records);
    const found: number[] = [];
    for await (const { content, ack } of phone.messages()) {
      if (content.kind === 'history') found.push(...content.records.map(([first]) => first!));
      await ack();
      if (found.length > 0) break;
    }
    await phone.close();
    await sending;
    const again = await createClient({ account: 'alice', store, ...relay(server.url) });
    open.push(again);
    for await (const { content, ack } of again.messages()) {
      if (content.kind === 'history') found.push(...content.records.map(([first]) => first!));
      await ack();
      if (content.kind === 'history' && content.isLast) break;
    }
    expect(found).toEqual(records.map((_, i) => i));
  } finally {
    await Promise.all(open.map((client) => client.close()));
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
