import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ClassicLevel } from 'classic-level';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { concat, u32, u64 } from '../../src/bytes.js';
import { encodeRow } from '../../src/store/node/rows.js';
import { nodeStore } from '../../src/store/node.js';
import type { Store, StoreKey } from '../../src/store/port.js';
import { seededRng } from '../../src/testing/rng.js';
import { flip } from '../helpers/rng.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-node-store-'));
let folders = 0;
const newPath = (): string => join(folder, String(++folders));
const KEY: StoreKey = ['s', 'k'];
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const readText = async (store: Store, key: StoreKey = KEY): Promise<string | undefined> => {
  const [record] = await store.read([key]);
  return record && new TextDecoder().decode(record.value);
};

afterEach(() => {
  vi.doUnmock('classic-level');
  vi.restoreAllMocks();
  vi.resetModules();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Every row of a closed store, as LevelDB holds it. */
async function rawRows(path: string): Promise<[string, string][]> {
  const level = new ClassicLevel<Buffer, Buffer>(path, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  const rows = await level.iterator().all();
  await level.close();
  return rows.map(([key, value]) => [key.toString('hex'), value.toString('hex')]);
}

/** Writes or deletes one raw row of a closed store. */
async function putRaw(path: string, key: Uint8Array, value: Uint8Array | null): Promise<void> {
  const level = new ClassicLevel<Uint8Array, Uint8Array>(path, { keyEncoding: 'view', valueEncoding: 'view' });
  await (value === null ? level.del(key, { sync: true }) : level.put(key, value, { sync: true }));
  await level.close();
}

const META = new Uint8Array([0]);

describe('opening', () => {
  test('refuses an empty path', () => {
    expect(() => nodeStore('')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'path' }));
  });

  test('creates its directory with the first call, for this user only', async () => {
    const path = join(newPath(), 'deep', 'store');
    const store = nodeStore(path);
    expect(() => statSync(path)).toThrow();
    await store.read([KEY]);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    await store.close();
  });

  test('leaves a directory that exists its rights, and what else lies there', async () => {
    const path = join(newPath(), 'served');
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o750);
    writeFileSync(join(path, 'note'), 'not ours');
    const store = nodeStore(path);
    await store.commit([{ key: KEY, value: bytes('mine') }]);
    await store.close();
    expect(statSync(path).mode & 0o777).toBe(0o750);
    expect(readFileSync(join(path, 'note'), 'utf8')).toBe('not ours');
  });

  test('rejects with ERR_STORE_LOCKED while another store has it, and opens afterwards', async () => {
    const path = newPath();
    const [first, second] = [nodeStore(path), nodeStore(path)];
    await first.commit([{ key: KEY, value: bytes('mine') }]);
    await expect(second.read([KEY])).rejects.toMatchObject({
      code: 'ERR_STORE_LOCKED',
      action: 'retry',
      message: expect.stringContaining('open here or in another process'),
    });
    await expect(second.commit([{ key: KEY, value: bytes('theirs') }])).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    await first.close();
    expect(await readText(second)).toBe('mine');
    await second.close();
  });

  test('rejects with ERR_STORE_IO and the cause where no directory can be', async () => {
    mkdirSync(folder, { recursive: true });
    const file = newPath();
    writeFileSync(file, 'a file');
    const store = nodeStore(join(file, 'store'));
    await expect(store.list(['s'], 1)).rejects.toMatchObject({ code: 'ERR_STORE_IO', cause: expect.any(Error) });
    await store.close();
  });

  test('rejects with ERR_STORE_VERSION for a newer layout, and touches no record', async () => {
    const path = newPath();
    const store = nodeStore(path);
    await store.commit([{ key: KEY, value: bytes('precious') }]);
    await store.close();
    await putRaw(path, META, concat(u32(3), bytes('whatever a newer layout keeps here')));
    const before = await rawRows(path);
    const old = nodeStore(path);
    const error = { code: 'ERR_STORE_VERSION', action: 'ask', got: 3, max: 2 };
    await expect(old.read([KEY])).rejects.toMatchObject(error);
    await expect(old.commit([{ key: KEY, value: null }])).rejects.toMatchObject(error);
    await old.close();
    expect(await rawRows(path)).toEqual(before);
  });

  test.each([
    ['a short layout row', u32(1)],
    ['layout 0', concat(u32(0), u64(5))],
    ['no layout at all', new Uint8Array([1, 2])],
    ['a counter of 0', concat(u32(1), u64(0))],
    ['a counter beyond the safe integers', concat(u32(1), new Uint8Array(8).fill(255))],
    ['a layout row without its tally', concat(u32(2), u64(5))],
    ['a layout row beside no witness', concat(u32(2), u64(5), new Uint8Array(16))],
  ])('rejects with ERR_STORE_CORRUPT for %s', async (_what, meta) => {
    const path = newPath();
    await putRaw(path, META, meta);
    const store = nodeStore(path);
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', action: 'recover' });
    await store.close();
  });

  test('rejects with ERR_STORE_CORRUPT for a database of something else', async () => {
    const path = newPath();
    await putRaw(path, bytes('theirs'), bytes('x'));
    const store = nodeStore(path);
    await expect(store.commit([{ key: KEY, value: bytes('x') }])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    await store.close();
    expect(await rawRows(path)).toHaveLength(1);
  });

  test.each([
    ['a row that is too short', (_key: Buffer, _row: Buffer) => new Uint8Array(7), 'a rev is damaged'],
    ['a row without a value', (_key: Buffer, row: Buffer) => row.subarray(0, 20), 'a record is damaged'],
    ['another value', (_key: Buffer, row: Buffer) => flip(row), 'a record is damaged'],
    ['another check', (_key: Buffer, row: Buffer) => flip(row, 8), 'a record is damaged'],
    ['an older rev', (_key: Buffer, row: Buffer) => flip(row, 7, 3), 'a record is damaged'],
    ['no row', () => null, 'records are missing or changed'],
    ['an older row', (key: Buffer) => encodeRow(key, 1, bytes('older')), 'records are missing or changed'],
  ])('rejects with ERR_STORE_CORRUPT for a record with %s', async (_what, change, message) => {
    const path = newPath();
    const store = nodeStore(path);
    await store.commit([{ key: ['a'], value: bytes('older') }]);
    await store.commit([{ key: KEY, value: bytes('newer') }]);
    await store.close();
    const [key, row] = (await rawRows(path)).map((each) => each.map((hex) => Buffer.from(hex, 'hex'))).at(-1) as [Buffer, Buffer];
    await putRaw(path, key, change(key, row));
    const again = nodeStore(path);
    for (const call of [() => again.read([['a']]), () => again.list(['s'], 5), () => again.commit([])]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', action: 'recover', message });
    }
    await again.close();
  });

  test('rejects with ERR_STORE_CORRUPT for a key that nobody wrote', async () => {
    const path = newPath();
    const store = nodeStore(path);
    await store.commit([{ key: KEY, value: bytes('x') }]);
    await store.close();
    await putRaw(path, new Uint8Array([1, 0x75, 0, 0xff, 0]), concat(u64(1), bytes('x')));
    const again = nodeStore(path);
    await expect(again.list(['s'], 5)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', message: 'a key is damaged' });
    await again.close();
  });

  test('says what to install where classic-level is missing', async () => {
    vi.resetModules();
    vi.doMock('classic-level', () => {
      throw new Error('Cannot find package');
    });
    const { nodeStore: lonelyStore } = await import('../../src/store/node.js');
    const store = lonelyStore(newPath());
    await expect(store.read([KEY])).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringContaining('npm install classic-level'),
    });
    await store.close();
  });
});

describe('commits', () => {
  test('are synced, and those that wait together share one batch', async () => {
    const batch = vi.spyOn(ClassicLevel.prototype, 'batch');
    const store = nodeStore(newPath());
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.commit([{ key: ['s', String(i)], value: bytes('x') }])));
    expect(batch.mock.calls).toHaveLength(1);
    await store.commit([{ key: KEY, value: bytes('x') }]);
    await store.commit([]);
    expect(batch.mock.calls).toHaveLength(2);
    for (const [, options] of batch.mock.calls as unknown[][]) expect(options).toEqual({ sync: true });
    await store.close();
  });

  test('of one group conflict alone, checked in the order of the calls', async () => {
    const store = nodeStore(newPath());
    const outcomes = await Promise.allSettled([
      store.commit([{ key: KEY, value: bytes('first'), ifRev: 0 }]),
      store.commit([
        { key: KEY, value: bytes('second'), ifRev: 0 },
        { key: ['s', 'second'], value: bytes('x') },
      ]),
      store.commit([{ key: ['s', 'third'], value: bytes('third'), ifRev: 0 }]),
      store.commit([{ key: KEY, value: null }]),
      store.commit([{ key: KEY, value: bytes('fifth'), ifRev: 0 }]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
    expect((outcomes[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'ERR_STORE_CONFLICT', action: 'retry' });
    expect(await readText(store)).toBe('fifth');
    expect(await store.read([['s', 'second']])).toEqual([undefined]);
    await store.close();
  });

  test('that conflict see the winner when they read again', async () => {
    const store = nodeStore(newPath());
    await Promise.all([
      store.commit([{ key: KEY, value: bytes('winner'), ifRev: 0 }]),
      store.commit([{ key: KEY, value: bytes('loser'), ifRev: 0 }]).catch(async () => expect(await readText(store)).toBe('winner')),
    ]);
    expect.assertions(1);
    await store.close();
  });

  test('of more than one group all hold', async () => {
    const batch = vi.spyOn(ClassicLevel.prototype, 'batch');
    const store = nodeStore(newPath());
    await Promise.all(Array.from({ length: 600 }, (_, i) => store.commit([{ key: ['s', String(i)], value: bytes('x') }])));
    expect(batch.mock.calls).toHaveLength(3);
    expect(await store.list(['s'], 1_000)).toHaveLength(600);
    await store.close();
  });

  test.each([
    ['IO error: 000003.log: No space left on device', 'ERR_STORE_FULL', 'ask'],
    ['IO error: 000003.log: Disk quota exceeded', 'ERR_STORE_FULL', 'ask'],
    ['IO error: 000003.log: Input/output error', 'ERR_STORE_IO', 'retry'],
  ])('that fail with "%s" reject with %s, and the next one writes to a fresh log', async (message, code, action) => {
    const store = nodeStore(newPath());
    await store.commit([{ key: KEY, value: bytes('before') }]);
    const [before] = await store.read([KEY]);
    const failure = Object.assign(new Error(message), { code: 'LEVEL_IO_ERROR' });
    vi.spyOn(ClassicLevel.prototype, 'batch').mockRejectedValueOnce(failure);
    const open = vi.spyOn(ClassicLevel.prototype, 'open');
    const outcomes = await Promise.allSettled(['one', 'two'].map((text) => store.commit([{ key: KEY, value: bytes(text) }])));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code, action, cause: failure } });
    expect(await readText(store)).toBe('before');
    expect(open).not.toHaveBeenCalled();
    await Promise.all([store.commit([{ key: KEY, value: bytes('after') }]), store.commit([{ key: ['s', '2'], value: bytes('x') }])]);
    expect(open).toHaveBeenCalledTimes(1);
    const [after] = await store.read([KEY]);
    expect(after!.rev).toBeGreaterThan(before!.rev);
    expect(await readText(store)).toBe('after');
    await store.close();
  });

  test('reject all that wait when the fresh log cannot be had, and go on once it can', async () => {
    const store = nodeStore(newPath());
    await store.commit([{ key: KEY, value: bytes('before') }]);
    vi.spyOn(ClassicLevel.prototype, 'batch').mockRejectedValueOnce(new Error('gone'));
    await expect(store.commit([{ key: KEY, value: bytes('x') }])).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    vi.spyOn(ClassicLevel.prototype as unknown as { _open(): Promise<void> }, '_open').mockRejectedValueOnce(full);
    const outcomes = await Promise.allSettled([1, 2].map((i) => store.commit([{ key: ['s', String(i)], value: bytes('x') }])));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'ERR_STORE_FULL' } });
    await store.commit([{ key: KEY, value: bytes('after') }]);
    expect(await readText(store)).toBe('after');
    await store.close();
  });
});

describe('failing reads and closes', () => {
  test('reject with our errors', async () => {
    const store = nodeStore(newPath());
    await store.commit([{ key: KEY, value: bytes('x') }]);
    const damaged = Object.assign(new Error('Corruption: checksum mismatch'), { code: 'LEVEL_CORRUPTION' });
    vi.spyOn(ClassicLevel.prototype, 'getMany').mockRejectedValueOnce(damaged);
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', cause: damaged });
    vi.spyOn(ClassicLevel.prototype, 'iterator').mockImplementationOnce(() => {
      throw 'not even an error';
    });
    await expect(store.list(['s'], 1)).rejects.toMatchObject({ code: 'ERR_STORE_IO', cause: 'not even an error' });
    vi.spyOn(ClassicLevel.prototype, 'close').mockRejectedValueOnce(new Error('busy'));
    await expect(store.close()).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
  });
});

describe('a killed process', () => {
  const script = fileURLToPath(new URL('commit-loop.ts', import.meta.url));

  /**
   * Starts the loop, kills it with SIGKILL at once after it printed `count` counters, and answers all that it printed. `meanwhile` is
   * called after the first ones; the counting begins when it is done.
   */
  function runUntil(path: string, count: number, meanwhile?: () => Promise<void>): Promise<number[]> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, ['--import', 'tsx', script, path], { stdio: ['ignore', 'pipe', 'pipe'] });
      let printed = '';
      let failure = '';
      let from = meanwhile === undefined ? 0 : undefined;
      child.stderr.on('data', (chunk) => {
        failure += chunk;
      });
      child.stdout.on('data', (chunk) => {
        printed += chunk;
        const lines = printed.split('\n').length - 1;
        if (from === undefined && lines > 1) {
          from = Number.POSITIVE_INFINITY;
          meanwhile?.().then(() => {
            from = printed.split('\n').length - 1;
          }, reject);
        }
        if (from !== undefined && lines >= from + count) child.kill('SIGKILL');
      });
      child.on('close', (_code, signal) => {
        if (signal !== 'SIGKILL') reject(new Error(`the child ended by itself: ${failure}`));
        else resolve(printed.split('\n').slice(0, -1).map(Number));
      });
    });
  }

  test('T25: keeps all others out while it lives, and goes on unharmed', async () => {
    const path = newPath();
    const other = nodeStore(path);
    const printed = await runUntil(path, 3, async () => {
      for (const call of [() => other.read([KEY]), () => other.commit([{ key: KEY, value: bytes('theirs') }]), () => other.erase!()]) {
        await expect(call()).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED', action: 'retry' });
      }
    });
    const [latest] = await other.read([['latest']]);
    expect(Buffer.from(latest!.value).readUInt32BE()).toBeGreaterThanOrEqual(Math.max(...printed));
    expect(await readText(other)).toBeUndefined();
    await other.close();
  });

  const seed = process.env['CYPHR_SEED'] ?? String(Date.now());
  test(`T26: loses nothing that it was told is committed, and keeps commits whole (CYPHR_SEED=${seed})`, { timeout: 120_000 }, async () => {
    const rng = seededRng(`kill ${seed}`);
    const path = newPath();
    const acknowledged: number[] = [];
    // Every other process dies as soon as it opens what the last one has left.
    for (const lines of [0, 1, 2, 3, 4, 5].map((round) => (round % 2 === 0 ? 2 + rng(1)[0]! : 1))) {
      acknowledged.push(...(await runUntil(path, lines)).filter((n) => n > 0));
      const copy = newPath();
      cpSync(path, copy, { recursive: true });
      const store = nodeStore(copy);
      const stored = await store.list(['counter'], 100_000);
      const numbers = stored.map(({ value }) => Buffer.from(value).readUInt32BE());
      expect(numbers).toEqual(numbers.map((_, i) => i + 1));
      expect(numbers.length).toBeGreaterThanOrEqual(Math.max(...acknowledged));
      const [latest] = await store.read([['latest']]);
      expect(latest?.value).toEqual(u32(numbers.length));
      const greatest = Math.max(...stored.map(({ rev }) => rev));
      await store.commit([{ key: KEY, value: bytes('x') }]);
      expect((await store.read([KEY]))[0]!.rev).toBeGreaterThan(greatest);
      await store.close();
    }
    expect(acknowledged.length).toBeGreaterThan(3);
  });
});
