import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { type Client, exportAccount, type ImportOptions, importAccount, type KeySlot, type Store } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { rawKeySlot } from '@cyphr/e2ee/store/sealed';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { describe, expect, test, vi } from 'vitest';
import { HEADER_START_BYTES, headerRestLength, openChunk, parseHeader, SEALED_CHUNK_BYTES } from '../../src/backup/stream.js';
import { concat, fromHex, toHex } from '../../src/bytes.js';
import { decodeDevice } from '../../src/identity/index.js';
import { limits } from '../../src/limits.js';
import { decodePrekeys } from '../../src/pqxdh/prekeys.js';
import { seededRng } from '../../src/testing/rng.js';
import { glassNetwork, portsOf } from '../helpers/glass-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { flip } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const clock = { ms: START };
const now = () => clock.ms;
const key = (fill = 7): KeySlot => rawKeySlot(new Uint8Array(32).fill(fill));

async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const reader = stream.getReader();
  for (let result = await reader.read(); !result.done; result = await reader.read()) parts.push(result.value);
  return concat(...parts);
}

/** A stream that gives `bytes` in pieces of that many, and fails where it is told to. */
function streamOf(bytes: Uint8Array, pieceBytes = 50_000, failure?: unknown): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) {
        if (failure !== undefined) controller.error(failure);
        else controller.close();
        return;
      }
      controller.enqueue(bytes.slice(at, at + pieceBytes));
      at += pieceBytes;
    },
  });
}

async function* records(count: number, bytes = 3_000): AsyncIterable<Uint8Array> {
  for (let i = 0; i < count; i++) yield new Uint8Array(bytes).fill(i);
}

/** Alice, who has verified bob and met carol, and the bytes of her export. */
async function exported(history?: AsyncIterable<Uint8Array>) {
  const network = glassNetwork();
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  const carol = await person('carol', network, clock);
  for (const each of [bob, carol]) {
    await alice.client.send(each.account, 'hello');
    await each.read();
    await each.client.send('alice', 'hello');
    await alice.read();
  }
  await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
  const bytes = await collect(exportAccount(alice.store, key(), { history }));
  return { network, alice, bob, carol, bytes };
}
const closeAll = (...all: (Person | { client: Client })[]) => Promise.all(all.map(({ client }) => client.close()));

function importing(
  network: ReturnType<typeof glassNetwork>,
  bytes: Uint8Array | ReadableStream<Uint8Array>,
  store: Store,
  { slot = key(), ...options }: ImportOptions & { slot?: KeySlot; account?: string } = {},
): Promise<Client> {
  const { account = 'alice', ...transfer } = options;
  const stream = bytes instanceof Uint8Array ? streamOf(bytes) : bytes;
  return importAccount({ account, store, ...portsOf(network), now }, stream, slot, transfer);
}

/** Bytes of the header, and each chunk. */
function parts(bytes: Uint8Array): { header: Uint8Array; chunks: Uint8Array[] } {
  const length = HEADER_START_BYTES + headerRestLength(bytes.slice(0, HEADER_START_BYTES));
  const chunks: Uint8Array[] = [];
  for (let at = length; at < bytes.length; at += SEALED_CHUNK_BYTES) chunks.push(bytes.slice(at, at + SEALED_CHUNK_BYTES));
  return { header: bytes.slice(0, length), chunks };
}

describe('export and import', () => {
  test('the account goes on as a new device: identity, contacts, pins and verifications, and the application’s history', async () => {
    const { network, alice, bob, carol, bytes } = await exported(records(5));
    await alice.client.close();
    const store = glassStore();
    const history: Uint8Array[] = [];
    const client = await importing(network, bytes, store, { history: (record) => void history.push(record) });
    expect(history).toEqual(Array.from({ length: 5 }, (_, i) => new Uint8Array(3_000).fill(i)));
    expect(client.device).not.toBe(alice.client.device);
    expect(await client.contact('bob').identity()).toMatchObject({ trust: 'verified', devices: [bob.client.device] });
    expect(await client.contact('carol').identity()).toMatchObject({ trust: 'unverified', devices: [carol.client.device] });
    await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
    await bob.client.send('alice', 'to the new one');
    for await (const message of client.messages()) {
      expect(message.text).toBe('to the new one');
      await message.ack();
      break;
    }
    await client.send('carol', 'from the new one');
    expect((await carol.read()).text).toBe('from the new one');
    for (const each of [bob, carol]) {
      expect(each.count('identityChanged')).toBe(0);
      expect(await each.client.contact('alice').identity()).toMatchObject({ devices: [client.device] });
    }
    await client.close();
    // It is a store like any other.
    const again = await person('alice', network, clock, { store, seed: 'again' });
    expect(again.client.device).toBe(client.device);
    await closeAll(again, bob, carol);
  });

  test('and its conversations go on where they stood, with their timers', async () => {
    const network = glassNetwork();
    const [alice, bob] = [await person('alice', network, clock), await person('bob', network, clock)];
    await alice.client.send('bob', { kind: 'timer', disappearAfterMs: 60_000 });
    for (let i = 0; i < 5; i++) await alice.client.send('bob', `${i}`);
    for (let i = 0; i < 6; i++) await bob.read();
    const last = await bob.client.send('alice', 'last');
    await alice.read();
    const bytes = await collect(exportAccount(alice.store, key()));
    await alice.client.close();
    const client = await importing(network, bytes, glassStore());
    await client.send('bob', 'imported');
    const message = await bob.read();
    expect(message).toMatchObject({ text: 'imported', disappearAfterMs: 60_000 });
    expect(message.order > last.order).toBe(true);
    await closeAll(bob, { client });
  });

  test('T48: holds no session, no prekey, no device key; and nothing in clear', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    const bob = await person('bob', network, clock);
    await alice.client.send('bob', 'hello');
    await bob.read();
    // A slot that seals nothing shows what is inside.
    let fileKey = new Uint8Array(0);
    const glass: KeySlot = {
      kind: 'glass',
      async seal(masterKey) {
        fileKey = new Uint8Array(masterKey);
        return fileKey;
      },
      open: async () => new Uint8Array(fileKey),
    };
    const bytes = await collect(exportAccount(alice.store, glass));
    const { header, chunks } = parts(bytes);
    const opened = parseHeader(header.slice(HEADER_START_BYTES)).open(fileKey);
    const inside = toHex(concat(...chunks.map((chunk, i) => openChunk(opened, i, i === chunks.length - 1, chunk))));
    const device = decodeDevice(alice.store.rows().get('["device"]')!);
    expect(inside).toContain(toHex(device.accountKey.secretKey!));
    expect(toHex(bytes)).not.toContain(toHex(device.accountKey.secretKey!));
    expect(toHex(bytes)).not.toContain(toHex(device.accountKey.publicKey));
    const { sets, batches } = decodePrekeys(alice.store.rows().get('["prekeys"]')!, []);
    const prekeys = [...sets.map(({ sealSeed }) => sealSeed), ...batches.flatMap(({ units }) => units.map(({ kemSeed }) => kemSeed))];
    expect(prekeys.length).toBeGreaterThan(5);
    for (const prekey of prekeys) expect(inside).not.toContain(toHex(prekey));
    for (const own of [device.deviceKey.secretKey, device.dhKey.secretKey, device.incarnation]) expect(inside).not.toContain(toHex(own));
    for (const [name, value] of alice.store.rows()) {
      if (name.startsWith('["contact"')) expect(inside).toContain(toHex(value));
      else if (/^."(session|skipped|init|prekeys|device)"/.test(name)) expect(inside, name).not.toContain(toHex(value.slice(-64)));
    }
    await closeAll(alice, bob);
  });

  test('T35: its length tells next to nothing: it is the same for one contact and for many', async () => {
    const { alice, bob, carol, bytes, network } = await exported();
    const lone = await person('lone', network, clock);
    expect((await collect(exportAccount(lone.store, key()))).length).toBe(bytes.length);
    const some = await collect(exportAccount(lone.store, key(), { history: records(100) }));
    const more = await collect(exportAccount(lone.store, key(), { history: records(100, 3_100) }));
    expect(some.length).toBe(more.length);
    await closeAll(alice, bob, carol, lone);
  });

  test('many chunks, records longer than a chunk, and one as long as may be', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    const rng = seededRng('history');
    const history = [0, 1, 65_530, 65_536, 200_000, limits.historyRecordBytes, 5].map((length) =>
      length === 0 ? new Uint8Array(0) : rng(length),
    );
    const bytes = await collect(exportAccount(alice.store, key(), { history }));
    await alice.client.close();
    const found: string[] = [];
    const client = await importing(network, streamOf(bytes, 7_777), memoryStore(), { history: (record) => void found.push(toHex(record)) });
    expect(found).toEqual(history.map(toHex));
    await client.close();
  });

  test('of a halted client, too: what it holds is no less its own', async () => {
    const inner = memoryStore();
    const store = glassStore(inner);
    const network = glassNetwork();
    const alice = await person('alice', network, clock, { store });
    await inner.commit([{ key: ['generation'], value: new Uint8Array(40) }]);
    await alice.client.send('bob', 'x').catch(() => {});
    expect(alice.client.status.state).toBe('halted');
    const bytes = await collect(exportAccount(store, key()));
    await alice.client.close();
    await (await importing(network, bytes, memoryStore())).close();
  });

  test('T39: neither a stream nor an error shows what it carries', async () => {
    const { alice, bob, carol, bytes, network } = await exported();
    const device = decodeDevice(alice.store.rows().get('["device"]')!);
    const all = { depth: Number.POSITIVE_INFINITY, showHidden: true, maxArrayLength: null } as const;
    const stream = exportAccount(alice.store, key());
    const reader = stream.getReader();
    await reader.read();
    await reader.read();
    const error = await importing(network, bytes, memoryStore(), { slot: key(8) }).catch((reason: unknown) => reason);
    for (const thing of [stream, reader, key(), error, (error as Error).cause]) {
      const shown = `${inspect(thing, all)} ${JSON.stringify(thing)}`;
      for (const secret of [device.accountKey.secretKey!, new Uint8Array(32).fill(7)]) {
        expect(shown).not.toContain(toHex(secret.slice(0, 8)));
        expect(shown).not.toContain([...secret.slice(0, 8)].join(', '));
      }
      expect(shown).not.toMatch(/alice|carol/);
    }
    await reader.cancel();
    await closeAll(alice, bob, carol);
  });

  test('progress is told, and ends with the length', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    const done: number[] = [];
    const progress = (doneBytes: number, total: number | undefined) => {
      expect(total).toBeUndefined();
      done.push(doneBytes);
    };
    const bytes = await collect(exportAccount(alice.store, key(), { history: records(50), progress }));
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done.at(-1)).toBe(bytes.length);
    done.length = 0;
    await alice.client.close();
    await (await importing(network, bytes, memoryStore(), { progress })).close();
    expect(done.at(-1)).toBe(bytes.length);
  });
});

test('T46, T48: an export of format 1 is read for ever', async () => {
  const file = JSON.parse(readFileSync(new URL('../../test-vectors/export-v1.json', import.meta.url), 'utf8')) as Record<string, string> & {
    history: string[];
  };
  const history: string[] = [];
  const network = glassNetwork();
  const client = await importAccount(
    { account: file['account']!, store: memoryStore(), ...portsOf(network), now },
    streamOf(fromHex(file['export']!)!),
    rawKeySlot(fromHex(file['key']!)!),
    { history: (record) => void history.push(toHex(record)) },
  );
  expect(history).toEqual(file.history);
  expect(await client.contact('bob').identity()).toMatchObject({ trust: 'verified', sinceMs: START });
  expect(await client.contact('carol').identity()).toMatchObject({ trust: 'unverified' });
  expect((await client.contact('bob').safetyNumber()).digits).toBe(file['safetyNumber']);
  await client.close();
});

describe('T48, T37: what is not whole and not from this key is refused, and nothing is written', () => {
  async function refused(
    bytes: Uint8Array | ReadableStream<Uint8Array>,
    code: string,
    options: Parameters<typeof importing>[3] = {},
  ): Promise<void> {
    const store = glassStore();
    const close = vi.spyOn(store, 'close');
    await expect(importing(world.network, bytes, store, options)).rejects.toMatchObject({ code });
    expect(store.commits).toBe(0);
    expect(close).not.toHaveBeenCalled();
  }
  let world: Awaited<ReturnType<typeof exported>>;
  let whole: ReturnType<typeof parts>;
  const join = (...chunks: Uint8Array[]): Uint8Array => concat(whole.header, ...chunks);

  test('the world', async () => {
    world = await exported(records(60));
    await closeAll(world.alice, world.bob, world.carol);
    whole = parts(world.bytes);
    expect(whole.chunks.length).toBeGreaterThan(2);
  });

  test('the wrong key', () => refused(world.bytes, 'ERR_STORE_KEY', { slot: key(8) }));
  test('another kind of slot', () => refused(world.bytes, 'ERR_STORE_KEY', { slot: { ...key(), kind: 'passphrase' } }));
  test('cut off anywhere', async () => {
    const { header, chunks } = whole;
    const borders = chunks.map((_, i) => header.length + i * SEALED_CHUNK_BYTES);
    for (const length of [
      0,
      5,
      HEADER_START_BYTES,
      header.length - 1,
      ...borders,
      ...borders.map((at) => at + 9),
      world.bytes.length - 1,
    ]) {
      await refused(world.bytes.slice(0, length), 'ERR_STORE_CORRUPT');
    }
  });
  test('chunks in another order, twice, left out, or of another export', async () => {
    const [a, b, c, ...rest] = whole.chunks as [Uint8Array, Uint8Array, Uint8Array, ...Uint8Array[]];
    const other = parts(await collect(exportAccount(world.alice.store, key(), { history: records(60) })));
    for (const bytes of [
      join(b, a, c, ...rest),
      join(a, a, b, c, ...rest),
      join(a, c, ...rest),
      join(a, other.chunks[1]!, c, ...rest),
      join(...other.chunks),
    ]) {
      await refused(bytes, 'ERR_STORE_CORRUPT');
    }
    await refused(concat(other.header, ...whole.chunks), 'ERR_STORE_CORRUPT');
  });
  test('something behind the end', () => refused(concat(world.bytes, new Uint8Array(1)), 'ERR_STORE_CORRUPT'));
  test('another chunk behind the last', () => refused(concat(world.bytes, whole.chunks.at(-1)!), 'ERR_STORE_CORRUPT'));
  test('any bit changed', async () => {
    const { header } = whole;
    for (let at = 0; at < header.length; at += 5) {
      const store = glassStore();
      await expect(importing(world.network, flip(world.bytes, at), store), `${at}`).rejects.toMatchObject({ name: 'StoreError' });
      expect(store.commits).toBe(0);
    }
    for (const at of [header.length, header.length + 70_000, world.bytes.length - 1])
      await refused(flip(world.bytes, at), 'ERR_STORE_CORRUPT');
  });
  test('a newer version', () => refused(Object.assign(world.bytes.slice(), { 8: 2 }), 'ERR_STORE_VERSION'));
  test('no export at all', () => refused(new Uint8Array(100_000).fill(0x41), 'ERR_STORE_CORRUPT'));
  test('another account’s, before the application gets anything of it', async () => {
    const seen: Uint8Array[] = [];
    await refused(world.bytes, 'ERR_ARGUMENT', { account: 'bob', history: (record) => void seen.push(record) });
    expect(seen).toEqual([]);
  });
  test('a stream that fails', async () => {
    const cause = new Error('the disk was pulled out');
    await expect(importing(world.network, streamOf(world.bytes.slice(0, 70_000), 9_000, cause), memoryStore())).rejects.toBe(cause);
  });
  test('an application that can’t take a record', async () => {
    const store = glassStore();
    const cause = new Error('no room');
    await expect(importing(world.network, world.bytes, store, { history: () => Promise.reject(cause) })).rejects.toBe(cause);
    expect(store.commits).toBe(0);
  });
  test('a directory that can’t be reached, or has another identity', async () => {
    world.network.directoryDown = true;
    await refused(world.bytes, 'ERR_OFFLINE');
    world.network.directoryDown = false;
    const other = memoryNetwork();
    const impostor = await person('alice', other, clock, { seed: 'impostor' });
    const store = glassStore();
    const opening = importAccount({ account: 'alice', store, ...other, now }, streamOf(world.bytes), key());
    await expect(opening).rejects.toThrow(coded('ERR_ACCOUNT_EXISTS'));
    expect(store.commits).toBe(0);
    await impostor.client.close();
  });
  test('a store that holds something', async () => {
    const store: GlassStore = glassStore();
    const bob = await person('bob', memoryNetwork(), clock, { store });
    await bob.client.close();
    const before = store.dump();
    await expect(importing(world.network, world.bytes, store)).rejects.toThrow(usage('ERR_ARGUMENT', 'store'));
    expect(store.dump()).toBe(before);
  });
});

describe('abort and misuse', () => {
  test('an aborted export fails with the reason, lets go of the history, and takes nothing more', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    const stop = new AbortController();
    const reason = new Error('enough');
    let returned = false;
    let given = 0;
    async function* endless(): AsyncIterable<Uint8Array> {
      try {
        for (;;) {
          given += 1;
          yield new Uint8Array(30_000);
        }
      } finally {
        returned = true;
      }
    }
    const reader = exportAccount(alice.store, key(), { history: endless(), signal: stop.signal }).getReader();
    for (let i = 0; i < 3; i++) expect((await reader.read()).done).toBe(false);
    const before = given;
    expect(before).toBeLessThan(12);
    stop.abort(reason);
    await expect(reader.read()).rejects.toBe(reason);
    expect([returned, given]).toEqual([true, before]);
    await alice.client.close();
  });

  test('a stream that its reader cancels lets go of the history', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    let returned = false;
    const history = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false as const, value: new Uint8Array(9) }),
        return: async () => {
          returned = true;
          return { done: true as const, value: undefined };
        },
      }),
    };
    const reader = exportAccount(alice.store, key(), { history }).getReader();
    await reader.read();
    await reader.read();
    await reader.cancel();
    expect(returned).toBe(true);
    await alice.client.close();
  });

  test('an aborted import rejects with the reason, writes nothing, and lets go of the stream', async () => {
    const { network, alice, bob, carol, bytes } = await exported(records(60));
    const stop = new AbortController();
    const reason = new Error('not now');
    let cancelled: unknown;
    let at = 0;
    const slow = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at > 150_000) return stop.abort(reason);
        controller.enqueue(bytes.slice(at, at + 50_000));
        at += 50_000;
      },
      cancel(why) {
        cancelled = why;
      },
    });
    const store = glassStore();
    await expect(importing(network, slow, store, { signal: stop.signal })).rejects.toBe(reason);
    expect([store.commits, cancelled]).toEqual([0, reason]);
    await closeAll(alice, bob, carol);
  });

  test('clumsy arguments are named', async () => {
    const store = memoryStore();
    const options = { account: 'alice', store, ...memoryNetwork() };
    expect(() => exportAccount({} as Store, key())).toThrow(usage('ERR_ARGUMENT', 'store'));
    expect(() => exportAccount(store, {} as KeySlot)).toThrow(usage('ERR_ARGUMENT', 'key'));
    expect(() => exportAccount(store, key(), { progress: 5 as never })).toThrow(usage('ERR_ARGUMENT', 'progress'));
    for (const history of [5, 'text', null, {}])
      expect(() => exportAccount(store, key(), { history: history as never })).toThrow(/^history must be an iterable/);
    await expect(importAccount(options, {} as never, key())).rejects.toThrow(usage('ERR_ARGUMENT', 'backup'));
    await expect(importAccount(options, streamOf(new Uint8Array(0)), {} as KeySlot)).rejects.toThrow(usage('ERR_ARGUMENT', 'key'));
    await expect(importAccount(options, streamOf(new Uint8Array(0)), key(), { history: [] as never })).rejects.toThrow(
      usage('ERR_ARGUMENT', 'history'),
    );
    const alice = await person('alice', glassNetwork(), clock);
    const tooLong = exportAccount(alice.store, key(), { history: records(1, limits.historyRecordBytes + 1) });
    await expect(collect(tooLong)).rejects.toThrow(usage('ERR_LENGTH', 'history'));
    await expect(
      collect(
        exportAccount(alice.store, key(), {
          history: (async function* () {
            yield 'text' as never;
          })(),
        }),
      ),
    ).rejects.toThrow(usage('ERR_ARGUMENT', 'history'));
    await expect(collect(exportAccount(memoryStore(), key()))).rejects.toThrow(coded('ERR_STORE_CORRUPT'));
    await alice.client.close();
  });
});
