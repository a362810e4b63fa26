/** The TypeScript of README and docs/ runs: each snippet as it stands, among the people and things that it speaks of. */

import 'fake-indexeddb/auto';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Client, type ClientOptions, createClient, importAccount, type KeySlot, type Message, type Store } from '@cyphr/e2ee';
import { ReplayError, TransportError, UsageError } from '@cyphr/e2ee/errors';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { passphraseSlot, rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Relay, startRelay } from '../examples/relay/relay.js';
import { DOCUMENTS, snippetsOf } from './helpers/snippets.js';

const PATIENCE = { timeout: 20_000 };
const SNIPPETS = new Map(DOCUMENTS.flatMap(snippetsOf).map(({ name, code }) => [name, code]));

/** Every client that anybody opened: a snippet that runs for ever ends when its client is closed. */
const opened = vi.hoisted((): { close(): Promise<void> }[] => []);
vi.mock('../src/client/client.js', async (original) => {
  const actual = await original<typeof import('../src/client/client.js')>();
  return {
    ...actual,
    async createClient(options: ClientOptions) {
      const client = await actual.createClient(options);
      opened.push(client);
      return client;
    },
  };
});
// What takes time and is not what these tests are about: a hundred one-time prekeys for everybody,
vi.mock('../src/limits.js', async (original) => (await import('./helpers/few-prekeys.js')).fewPrekeys(await original()));
// and a passphrase’s second or two, which test/store/sealed-package.test.ts pays.
vi.mock('../src/store/sealed/passphrase.js', async (original) => {
  const actual = await original<typeof import('../src/store/sealed/passphrase.js')>();
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  return { ...actual, passphraseSlot: (ask: () => string) => actual.passphraseSlotWith(cost, cost, ask) };
});

let folder: string;
let log: string[];
let relays: Relay[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cyphr-snippets-'));
  log = [];
  relays = [];
  vi.spyOn(console, 'log').mockImplementation((...words) => void log.push(words.join(' ')));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.close()));
  await Promise.all(relays.map((each) => each.close()));
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  rmSync(folder, { recursive: true, force: true });
});

interface World {
  /** What a snippet only declares. */
  readonly globals?: Readonly<Record<string, unknown>>;
  /** Places that it names, and where they are here. */
  readonly places?: Readonly<Record<string, string>>;
  /** What it keeps to itself, and has to be closed. */
  readonly exporting?: string;
}

/** Runs a snippet of README or docs/ from a file of its own; gives what it exports. */
async function run<Exports>(name: string, { globals = {}, places = {}, exporting = '' }: World = {}): Promise<Exports> {
  let code = SNIPPETS.get(name)!;
  for (const [place, here] of Object.entries(places)) {
    expect(code, `${name} names ${place}`).toContain(`'${place}'`);
    code = code.replaceAll(`'${place}'`, JSON.stringify(here));
  }
  for (const [key, value] of Object.entries(globals)) vi.stubGlobal(key, value);
  const file = join(folder, 'snippet.ts');
  writeFileSync(file, `${code}\nexport { ${exporting} };\n`);
  return (await import(/* @vite-ignore */ file)) as Exports;
}

async function startedRelay(): Promise<Relay> {
  const started = await startRelay({ data: join(folder, 'relay'), logLevel: 'silent' });
  relays.push(started);
  return started;
}

async function next(client: Client): Promise<Message> {
  for await (const message of client.messages()) {
    await message.ack();
    return message;
  }
  throw new Error('no message came');
}

const inMemory = (account: string, network = memoryNetwork(), options: Partial<ClientOptions> = {}): Promise<Client> =>
  createClient({ account, store: memoryStore(), ...network, ...options });

const RUNS: Readonly<Record<string, (name: string) => Promise<void>>> = {
  async 'README.md: The first message'(name) {
    const code = SNIPPETS.get(name)!;
    expect(code.trim().split('\n').length).toBeLessThanOrEqual(16);
    await run(name);
    expect(log).toEqual([...code.matchAll(/console\.log\(.*\/\/ (.+)$/gm)].map(([, promised]) => promised));
  },

  async 'README.md: Node and a relay'(name) {
    const { url } = await startedRelay();
    const bob = await inMemory('bob', relay(url));
    const running = run(name, { places: { './carol-data': join(folder, 'carol'), 'ws://127.0.0.1:8787': url } });
    expect(await next(bob)).toMatchObject({ text: 'Hello from Node', from: { account: 'carol' } });
    await bob.send('carol', 'Hello from the terminal');
    await vi.waitFor(() => expect(log).toEqual(['bob Hello from the terminal']), PATIENCE);
    for (const client of opened) await client.close();
    await running;
  },

  async 'README.md: In the browser'(name) {
    const { url } = await startedRelay();
    const bob = await inMemory('bob', relay(url));
    const ui = { askPassphrase: vi.fn(async () => 'correct horse'), show: vi.fn() };
    const history = { save: vi.fn(async () => {}) };
    const running = run(name, { globals: { ui, history }, places: { 'wss://relay.example': url } });
    await vi.waitFor(() => expect(ui.show).toHaveBeenCalledWith('online'), PATIENCE);
    await bob.send('alice', 'Hello, browser');
    await vi.waitFor(() => expect(history.save).toHaveBeenCalledWith(expect.any(String), 'Hello, browser'), PATIENCE);
    expect(ui.askPassphrase.mock.calls).toEqual([['create']]);
    for (const client of opened) await client.close();
    await running;
  },

  async 'README.md: Several devices, and whom one talks to'(name) {
    const network = memoryNetwork();
    const [alice, bob] = [await inMemory('alice', network), await inMemory('bob', network)];
    const told: string[] = [];
    const showCode = vi.fn();
    const ui = {
      showCode,
      tell: (text: string) => void told.push(text),
      async compare(digits: string) {
        await vi.waitFor(() => expect(told).toContain(`Confirm on the other device if it shows ${digits}`), PATIENCE);
        return true;
      },
    };
    const records = [new Uint8Array([1, 2, 3]), new Uint8Array([4, 5])];
    const added: Uint8Array[] = [];
    const db = { records: () => Readable.from(records), add: async (record: Uint8Array) => void added.push(record) };
    interface Exports {
      linkDevice(client: Client): Promise<void>;
      beLinked(options: ClientOptions, code: string): Promise<Client>;
      receive(message: Message): Promise<void>;
      report(client: Client): void;
    }
    const { linkDevice, beLinked, receive, report } = await run<Exports>(name, { globals: { ui, db } });
    await alice.send('bob', 'from one device');
    await next(bob);
    report(bob);
    const linking = linkDevice(alice);
    await vi.waitFor(() => expect(showCode).toHaveBeenCalled(), PATIENCE);
    const phone = await beLinked({ account: 'alice', store: memoryStore(), ...network }, showCode.mock.calls[0]![1]);
    opened.push(phone);
    const receiving = phone.subscribe(receive);
    await linking;
    await vi.waitFor(() => expect(added).toEqual(records), PATIENCE);
    expect(await phone.devices.list()).toHaveLength(2);
    await alice.send('bob', 'from one of two');
    await vi.waitFor(() => expect(told).toContain('alice: 1 new, 0 gone'), PATIENCE);
    await phone.close();
    await receiving;
  },

  async 'README.md: Several devices, and whom one talks to (2)'(name) {
    const network = memoryNetwork();
    const receipts = 'delivered-and-read';
    const [alice, bob] = [await inMemory('alice', network, { receipts }), await inMemory('bob', network, { receipts })];
    const view = { add: vi.fn(), change: vi.fn(), react: vi.fn(), remove: vi.fn() };
    const { talk } = await run<{ talk(client: Client): Promise<void> }>(name, { globals: { view } });
    const talking = talk(alice);
    const kinds = [await next(bob), await next(bob), await next(bob)].map(({ content }) => content.kind);
    expect(kinds).toEqual(['text', 'edit', 'timer']);

    const mine = await bob.send('alice', 'Hi');
    await bob.send('alice', { kind: 'timer', disappearAfterMs: 0 });
    await bob.send('alice', { kind: 'edit', target: mine.id, text: 'Hello' });
    await bob.send('alice', { kind: 'reaction', target: mine.id, emoji: '🙂' });
    await bob.send('alice', { kind: 'deletion', target: mine.id });
    await vi.waitFor(() => expect(view.remove).toHaveBeenCalledWith(mine.id), PATIENCE);
    expect(view.add.mock.calls).toEqual([[expect.objectContaining({ text: 'Hi' })]]);
    expect(view.change).toHaveBeenCalledWith(mine.id, 'Hello');
    expect(view.react).toHaveBeenCalledWith(mine.id, '🙂');
    await alice.close();
    await talking;
  },

  async 'README.md: State that survives'(name) {
    const network = memoryNetwork();
    const [folderOf, offers] = [(each: string) => join(folder, each), new Map<string, () => Promise<void>>()];
    const ui = {
      askBackupPassphrase: vi.fn(async () => 'correct horse'),
      offer: (text: string, act: () => Promise<void>) => void offers.set(text, act),
    };
    interface Exports {
      watch(client: Client): void;
      backup(store: Store): ReadableStream<Uint8Array>;
    }
    const received: string[] = [];
    const loop = (client: Client): Promise<void> => client.subscribe(({ text }) => void received.push(text));
    const { watch, backup } = await run<Exports>(name, { globals: { ui, startLoop: loop } });

    // A copy of the folder, from before it went on.
    const before = await inMemory('alice', network, { store: nodeStore(folderOf('alice')) });
    await before.close();
    cpSync(folderOf('alice'), folderOf('copy'), { recursive: true });
    const store = nodeStore(folderOf('alice'));
    const alice = await inMemory('alice', network, { store });
    await inMemory('bob', network);
    await (await alice.send('bob', 'Hello')).until('accepted');
    const bytes = await new Response(backup(store)).arrayBuffer();
    await alice.close();
    const copy = await inMemory('alice', network, { store: nodeStore(folderOf('copy')) });
    watch(copy);
    await expect(loop(copy)).rejects.toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
    await vi.waitFor(() => expect([...offers.keys()]).toEqual(['This device was restored or copied.']), PATIENCE);
    await offers.get('This device was restored or copied.')!();
    await vi.waitFor(() => expect(copy.status.state).toBe('online'), PATIENCE);
    await (await inMemory('carol', network)).send('alice', 'Hello again');
    await vi.waitFor(() => expect(received).toEqual(['Hello again']), PATIENCE);

    const slot = passphraseSlot(ui.askBackupPassphrase);
    const imported = await importAccount({ account: 'alice', store: memoryStore(), ...network }, new Blob([bytes]).stream(), slot);
    opened.push(imported);
    expect(ui.askBackupPassphrase.mock.calls).toEqual([['create'], ['unlock']]);
    expect(await imported.devices.fingerprint()).toEqual(await copy.devices.fingerprint());
  },

  async 'README.md: The package'(name) {
    const cases: (() => Promise<void>)[] = [];
    const globals = {
      test: (_name: string, each: () => Promise<void>) => cases.push(each),
      myStore: (store: string) => nodeStore(join(folder, store)),
      dropMyStore: (store: string) => rm(join(folder, store), { recursive: true, force: true }),
    };
    await run(name, { globals });
    expect(cases.length).toBeGreaterThan(10);
    for (const each of cases) await each();
  },

  async 'docs/errors.md: Errors'(name) {
    const { advice } = await run<{ advice(error: unknown): string }>(name);
    expect(advice(new TransportError('ERR_OFFLINE', ''))).toContain('nothing is lost');
    expect(advice(new ReplayError('ERR_DUPLICATE', ''))).toContain('refused');
    for (const error of [new UsageError('ERR_ARGUMENT', ''), new Error('somebody else’s')]) expect(() => advice(error)).toThrow(error);
  },

  async 'docs/storage.md: Encryption at rest'(name) {
    const ask = vi.fn(async () => 'correct horse');
    const keychain = { key: async () => new Uint8Array(32).fill(7) };
    const here = join(folder, 'alice');
    const world = { globals: { ask, keychain }, places: { './alice-data': here }, exporting: 'store' };
    const { store } = await run<{ store: Store }>(name, world);
    await store.close();
    const byKey = sealedStore(nodeStore(here), rawKeySlot(await keychain.key()));
    await expect(byKey.read([['contact', 'bob']])).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
    await byKey.close();
    const byPassphrase = sealedStore(nodeStore(here), passphraseSlot(ask));
    expect(await byPassphrase.read([['contact', 'bob']])).toEqual([undefined]);
    await byPassphrase.close();
  },

  async 'docs/storage.md: Export'(name) {
    interface Exports {
      save(store: Store, key: KeySlot): Promise<void>;
      load(options: ClientOptions, key: KeySlot): Promise<Client>;
    }
    const { save, load } = await run<Exports>(name, { places: { 'alice.cyphr': join(folder, 'alice.cyphr') } });
    const [network, store, key] = [memoryNetwork(), memoryStore(), rawKeySlot(new Uint8Array(32).fill(7))];
    const alice = await inMemory('alice', network, { store });
    await save(store, key);
    const loaded = await load({ account: 'alice', store: memoryStore(), ...network }, key);
    opened.push(loaded);
    expect(loaded.device).not.toBe(alice.device);
    expect(await loaded.devices.fingerprint()).toEqual(await alice.devices.fingerprint());
  },
};

/** Snippets that are compiled only, with the reason. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'docs/storage.md: Hardware tokens': 'needs a token: test/store/pkcs11-sealed.test.ts runs the same with SoftHSM',
};

test('every snippet of README and docs/ runs, or says why it does not', () => {
  expect([...Object.keys(RUNS), ...Object.keys(NOT_RUN)].sort()).toEqual([...SNIPPETS.keys()].sort());
});
test.each(Object.entries(RUNS))('%s', (name, check) => check(name));
