import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient, type Message, type StoreError } from '@cyphr/e2ee';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Relay, startRelay } from '../../examples/relay/relay.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

let folder: string;
let service: Relay;
let open: Client[];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cyphr-rollback-'));
  service = await startRelay({ data: join(folder, 'relay'), port: 0, logLevel: 'silent' });
  open = [];
});
afterEach(async () => {
  await Promise.allSettled(open.map((client) => client.close()));
  await service.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(account: string, directory = account): Promise<Client> {
  const client = await createClient({ account, store: nodeStore(join(folder, directory)), ...relay(service.url) });
  open.push(client);
  return client;
}

function copyOf(directory: string, name: string): void {
  cpSync(join(folder, directory), join(folder, name), { recursive: true });
}

async function read(client: Client): Promise<Message> {
  for await (const message of client.messages()) {
    await message.ack();
    return message;
  }
  throw new Error('the client closed');
}

async function exchange(one: Client, other: Client, text: string): Promise<void> {
  await one.send(other.account, `${text} there`);
  await other.send(one.account, `${text} back`);
  expect([(await read(other)).text, (await read(one)).text]).toEqual([`${text} there`, `${text} back`]);
}

function halt(client: Client): Promise<StoreError> {
  return new Promise((resolve) => {
    client.on('status', ({ status }) => {
      if (status.state === 'halted') resolve(status.error);
    });
    if (client.status.state === 'halted') resolve(client.status.error);
  });
}

async function online(client: Client): Promise<void> {
  await new Promise<void>((resolve) => {
    client.on('status', ({ status }) => status.state === 'online' && resolve());
    if (client.status.state === 'online') resolve();
  });
}

describe('T24: a directory that was copied, on the reference relay', () => {
  test.each([0, 1, 4, 20])(
    'restored from a backup, with %i messages written before it is online: halted; recovered, it goes on',
    async (drafts) => {
      const bob = await start('bob');
      let alice = await start('alice');
      await exchange(alice, bob, 'first');
      await alice.close();
      copyOf('alice', 'backup');
      alice = await start('alice');
      await exchange(alice, bob, 'second');
      await alice.close();

      const restored = await start('alice', 'backup');
      const halted = halt(restored);
      const written = Array.from({ length: drafts }, (_, i) => restored.send('bob', `draft ${i}`, { key: `${i}` }).catch(() => undefined));
      const queued = (await Promise.all(written)).filter((sent) => sent !== undefined);
      expect(await halted).toMatchObject({ name: 'StoreError', code: 'ERR_STORE_ROLLBACK' });
      await expect(restored.send('bob', 'x')).rejects.toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
      const lost = restored.device;
      // What bob sends before he knows is lost with the device.
      const known = new Promise<void>((resolve) => {
        bob.on('sessionEstablished', ({ reason }) => reason === 'recovered' && resolve());
      });
      await restored.recover();
      expect(restored.device).not.toBe(lost);
      for (const _ of queued) await read(bob);
      await known;
      await exchange(restored, bob, 'third');
      await restored.close();
      const again = await start('alice', 'backup');
      await exchange(again, bob, 'fourth');
      expect(await bob.contact('alice').identity()).toMatchObject({ trust: 'unverified', devices: [again.device] });
    },
  );

  test('a copy that is used while the original runs: the copy halts at its login, and sends nothing', async () => {
    const bob = await start('bob');
    const alice = await start('alice');
    await exchange(alice, bob, 'first');
    await alice.close();
    copyOf('alice', 'copy');
    const one = await start('alice');
    await online(one);
    await exchange(one, bob, 'second');
    const two = await start('alice', 'copy');
    await two.send('bob', 'never').catch(() => {});
    expect((await halt(two)).code).toBe('ERR_STORE_ROLLBACK');
    await one.send('bob', 'still here');
    expect((await read(bob)).text).toBe('still here');
    expect(bob.status).toMatchObject({ unackedCount: 0 });
  });

  test('a store that was never copied logs in again and again', async () => {
    const bob = await start('bob');
    for (let i = 0; i < 4; i++) {
      const alice = await start('alice');
      await exchange(alice, bob, `${i}`);
      await alice.close();
    }
  });
});
