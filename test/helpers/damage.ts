import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '../../src/bytes.js';
import { isCyphrError } from '../../src/errors.js';
import { nodeStore } from '../../src/store/node.js';
import { seededRng } from '../../src/testing/rng.js';

/** One thing that can happen to a file. `bytes` is what is left of it; `undefined`: it is gone. */
export interface Damage {
  readonly what: string;
  readonly bytes: Buffer | undefined;
}

/** What a disk does to a file: bits that flip, an end that is missing, sectors of zeros, ones and other files' data, no file at all. */
export function* damagesOf(file: Buffer, step: number, seed: string): Generator<Damage> {
  const rng = seededRng(seed);
  const changed = (what: string, change: (bytes: Buffer) => void): Damage => {
    const bytes = Buffer.from(file);
    change(bytes);
    return { what, bytes };
  };
  for (let at = 0; at < file.length; at += step) {
    const bit = rng(1)[0]! & 7;
    yield changed(`bit ${bit} of byte ${at} flipped`, (bytes) => {
      bytes[at]! ^= 1 << bit;
    });
    yield { what: `cut to ${at} bytes`, bytes: file.subarray(0, at) };
  }
  // Where a table has its footer, and a log its newest record.
  for (let at = Math.max(0, file.length - 64); at < file.length; at += Math.min(step, 4)) {
    yield changed(`last bytes, ${at} inverted`, (bytes) => {
      bytes[at]! ^= 255;
    });
  }
  for (let at = 0; at < file.length; at += Math.max(512, 4 * step)) {
    const end = Math.min(at + 512, file.length);
    yield changed(`sector at ${at} zeroed`, (bytes) => bytes.fill(0, at, end));
    yield changed(`sector at ${at} set`, (bytes) => bytes.fill(255, at, end));
    yield changed(`sector at ${at} foreign`, (bytes) => bytes.set(rng(end - at), at));
  }
  yield { what: 'deleted', bytes: undefined };
}

/** Everything that the store in a directory holds in the spaces `s` and `t`, or the error with which it refuses. */
export async function contentOf(path: string): Promise<string | { readonly code: string; readonly field?: string | undefined }> {
  const store = nodeStore(path);
  try {
    const records = [...(await store.list(['s'], 100_000)), ...(await store.list(['t'], 100_000))];
    return records.map(({ key, value, rev }) => `${key.join('/')} ${rev} ${toHex(value)}`).join('\n');
  } catch (error) {
    if (!isCyphrError(error)) throw error;
    return { code: error.code, field: error.field };
  } finally {
    await store.close();
  }
}

/** Does every damage to every file of the store in `path`, each to a fresh copy, and reports what became of it. */
export async function damageAll(
  path: string,
  stepOf: (file: Buffer) => number,
  seed: string,
  report: (file: string, damage: Damage, found: Awaited<ReturnType<typeof contentOf>>) => void,
): Promise<void> {
  const copies = mkdtempSync(join(tmpdir(), 'cyphr-damage-'));
  try {
    // The lock is empty, and LevelDB's log for people is never read.
    for (const name of readdirSync(path).filter((each) => !/^LO(?:CK|G|G\.old)$/.test(each))) {
      const file = readFileSync(join(path, name));
      const damages = damagesOf(file, stepOf(file), `${seed} ${name}`);
      const worker = async (copy: string): Promise<void> => {
        for (const damage of damages) {
          cpSync(path, copy, { recursive: true });
          if (damage.bytes === undefined) rmSync(join(copy, name));
          else writeFileSync(join(copy, name), damage.bytes);
          report(name, damage, await contentOf(copy));
          rmSync(copy, { recursive: true });
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, i) => worker(join(copies, String(i)))));
    }
  } finally {
    rmSync(copies, { recursive: true });
  }
}

/** A closed store of `count` records; `isOld` ones have been opened several times since, so that they have tables. */
export async function makeStore(path: string, count: number, valueBytes: number, isOld: boolean): Promise<void> {
  const rng = seededRng(`${count} records of ${valueBytes}`);
  const key = (i: number): [string, string] => [i % 3 ? 's' : 't', String(i).padStart(6, '0')];
  let store = nodeStore(path);
  for (let i = 0; i < count; i += 10) {
    await store.commit(Array.from({ length: 10 }, (_, j) => ({ key: key(i + j), value: rng(valueBytes) })));
  }
  for (let life = 0; isOld && life < 2; life++) {
    await store.close();
    store = nodeStore(path);
    for (let i = life; i < count; i += 7) await store.commit([{ key: key(i), value: i % 4 ? rng(valueBytes + 9) : null }]);
  }
  await store.close();
}
