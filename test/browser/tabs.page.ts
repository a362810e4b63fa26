/** One of several tabs of one account: a client on the shared store, and what its application does. */

import { type Client, createClient, type ErasureReport, type Store } from '@cyphr/e2ee';
import { idbStore } from '@cyphr/e2ee/store/idb';
import { relay } from '@cyphr/e2ee/transport/websocket';

let client: Client;
let name = '';

/** What can't be reported any more, because the tab is being left, goes no further. */
const report = (topic: string, text: string): Promise<unknown> =>
  fetch(`/report/${topic}`, { method: 'POST', body: text }).catch(() => new Promise(() => {}));

let busy = 0;
let restsSinceMs = 0;
/** The store, and whether it is in use. */
function watched(store: Store): Store {
  const during = async <T>(use: () => Promise<T>): Promise<T> => {
    busy += 1;
    try {
      return await use();
    } finally {
      busy -= 1;
      restsSinceMs = performance.now();
    }
  };
  return {
    ...store,
    read: (keys) => during(() => store.read(keys)),
    list: (...what) => during(() => store.list(...what)),
    commit: (writes) => during(() => store.commit(writes)),
  };
}
/** Whether nothing has used the store for half a second. */
export const rests = (): boolean => busy === 0 && performance.now() - restsSinceMs > 500;

/** Opens the client of `account` in this tab, which is called `tab`; its device. */
export async function open(relayUrl: string, account: string, tab: string): Promise<number> {
  name = tab;
  client = await createClient({ account, store: watched(idbStore(account)), ...relay(relayUrl) });
  return client.device;
}

export const erase = (): Promise<ErasureReport> => client.erase();
/** Waits until the client is closed, by whomever; its state. */
export async function closed(): Promise<string> {
  await new Promise<void>((resolve) => {
    if (client.status.state === 'closed') return resolve();
    client.on('status', ({ status }) => status.state === 'closed' && resolve());
  });
  return client.status.state;
}
export const databases = async (): Promise<(string | undefined)[]> => (await indexedDB.databases()).map(({ name: each }) => each);

/** Whether this tab holds the lock of the account's store. */
export async function leads(account: string): Promise<boolean> {
  const { held } = await navigator.locks.query();
  const own = await new Promise<string | undefined>((resolve) => {
    // A lock of its own tells the name of this context.
    void navigator.locks.request(`me ${name}`, async () => {
      const all = await navigator.locks.query();
      resolve(all.held?.find((lock) => lock.name === `me ${name}`)?.clientId);
    });
  });
  return held?.some((lock) => lock.name?.endsWith(`/${account}`) === true && lock.clientId === own) === true;
}

/** Sends, and waits until the relay has it. */
export async function send(to: string, text: string): Promise<void> {
  const sent = await client.send(to, text);
  await sent.until('accepted', { signal: AbortSignal.timeout(45_000) });
}

/** Sends without a pause, as long as the tab lives; reports on `<topic>-sent` what a resolved `send` has promised. */
export function flood(topic: string, to: string, label: string): void {
  void (async () => {
    for (let i = 0; ; i++) {
      await client.send(to, `${label} ${i}`);
      await report(`${topic}-sent`, `${label} ${i}`);
    }
  })().catch((error: { code?: string }) => report(`${topic}-ended`, `${label} ${error.code}`));
}

/** Shows what comes, reported on `<topic>-shown`, and acknowledges it, then reported on `<topic>-acked`. */
export function readOn(topic: string): void {
  void (async () => {
    for await (const message of client.messages()) {
      await report(`${topic}-shown`, message.text);
      await message.ack();
      await report(`${topic}-acked`, message.text);
    }
  })();
}

/** Reads until somebody says `last`; everything that was shown. */
export async function readUntil(last: string): Promise<string[]> {
  const shown: string[] = [];
  for await (const message of client.messages({ signal: AbortSignal.timeout(45_000) })) {
    shown.push(message.text);
    await message.ack();
    if (message.text === last) break;
  }
  return shown;
}

/** Reports each `status` and `sent` event on the topic, after the name of the tab. */
export function hear(topic: string): void {
  client.on('status', ({ status }) => void report(topic, `${name} ${status.state}`));
  client.on('sent', ({ id, state: to }) => void report(topic, `${name} ${id} ${to}`));
}
