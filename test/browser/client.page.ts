/** Clients in a real browser: the noble backend, IndexedDB, a network in memory or a relay. */

import { type Client, createClient, type Message } from '@cyphr/e2ee';
import { idbStore } from '@cyphr/e2ee/store/idb';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { relay } from '@cyphr/e2ee/transport/websocket';

/** README's first conversation; what Bob was told, and by whom. */
export async function quickStart(): Promise<string[]> {
  const network = memoryNetwork();
  const alice = await createClient({ account: 'alice', store: idbStore('alice'), ...network });
  const bob = await createClient({ account: 'bob', store: idbStore('bob'), ...network });
  const told: string[] = [];
  await alice.send('bob', 'Hello, Bob!');
  for await (const message of bob.messages()) {
    told.push(message.from.account, message.text);
    await message.ack();
    break;
  }
  await Promise.all([alice.close(), bob.close()]);
  return told;
}

const clients = new Map<string, Client>();

/** Opens the clients of these accounts, each on a store of its own; answers how long that took, in milliseconds. */
export async function start(relayUrl: string, accounts: readonly string[]): Promise<number> {
  const startMs = performance.now();
  for (const account of accounts) clients.set(account, await createClient({ account, store: idbStore(account), ...relay(relayUrl) }));
  return performance.now() - startMs;
}

/** Closes all clients. */
export async function stop(): Promise<void> {
  await Promise.all([...clients.values()].map((client) => client.close()));
  clients.clear();
}

const show = ({ from, text }: Message): string => `${from.account}: ${text}`;

/** Sends, and waits until the relay has it. */
export async function send(from: string, to: string, text: string): Promise<void> {
  const sent = await clients.get(from)!.send(to, text);
  await sent.until('accepted', { signal: AbortSignal.timeout(30_000) });
}

/** The next messages of an account, acknowledged: `<from>: <text>`. */
export async function receive(account: string, count: number): Promise<string[]> {
  const shown: string[] = [];
  if (count === 0) return shown;
  for await (const message of clients.get(account)!.messages({ signal: AbortSignal.timeout(30_000) })) {
    shown.push(show(message));
    await message.ack();
    if (shown.length === count) break;
  }
  return shown;
}

/** There and back, `count` times; throws if anything else arrives. */
export async function roundTrips(from: string, to: string, count: number, label: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    for (const [sender, recipient] of [
      [from, to],
      [to, from],
    ] as const) {
      await send(sender, recipient, `${label} ${i}`);
      const [shown] = await receive(recipient, 1);
      if (shown !== `${sender}: ${label} ${i}`) throw new Error(`${recipient} was shown "${shown}" instead of "${sender}: ${label} ${i}"`);
    }
  }
}

/** The states of all clients. */
export const states = (): string[] => [...clients.values()].map(({ status }) => status.state);

/** A hash of every row of every store of this origin, by name of the database: equal exactly if nothing changed. */
export async function fingerprints(): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const { name } of await indexedDB.databases()) {
    const request = indexedDB.open(name!);
    const db = await new Promise<IDBDatabase>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const texts: string[] = [];
    for (const store of db.objectStoreNames) {
      const rows = db.transaction(store).objectStore(store).getAll();
      await new Promise((resolve) => {
        rows.onsuccess = resolve;
      });
      texts.push(JSON.stringify(rows.result, (_, value) => (value instanceof Uint8Array ? [...value] : value)));
    }
    db.close();
    const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(texts.join('\n')));
    result[name!] = [...new Uint8Array(hash)].join('.');
  }
  return result;
}

/** What can't be reported any more, because the page is being left, goes no further. */
const report = (topic: string, text: string): Promise<unknown> =>
  fetch(`/report/${topic}`, { method: 'POST', body: text }).catch(() => new Promise(() => {}));

/**
 * Everybody writes to everybody in `pairs` without a pause, and reads. Reports on `<topic>-sent` what a resolved `send` has promised, on
 * `<topic>-shown` what came in before it is acknowledged, on `<topic>-acked` what won't come again.
 */
export function flood(topic: string, pairs: readonly (readonly [from: string, to: string])[]): void {
  const write = async (from: string, to: string): Promise<never> => {
    for (let i = 0; ; i++) {
      await clients.get(from)!.send(to, `flood ${i}`);
      await report(`${topic}-sent`, `${to} < ${from}: flood ${i}`);
    }
  };
  const read = async (account: string, client: Client): Promise<void> => {
    for await (const message of client.messages()) {
      await report(`${topic}-shown`, `${account} < ${show(message)}`);
      await message.ack();
      await report(`${topic}-acked`, `${account} < ${show(message)}`);
    }
  };
  for (const [from, to] of pairs) void write(from, to);
  for (const [account, client] of clients) void read(account, client);
}

/** Receives until each of `senders` has said `last`; everything that was shown. */
export async function receiveUntil(account: string, senders: readonly string[], last: string): Promise<string[]> {
  const shown: string[] = [];
  const waiting = new Set(senders.map((sender) => `${sender}: ${last}`));
  for await (const message of clients.get(account)!.messages({ signal: AbortSignal.timeout(30_000) })) {
    shown.push(`${account} < ${show(message)}`);
    waiting.delete(show(message));
    await message.ack();
    if (waiting.size === 0) break;
  }
  return shown;
}
