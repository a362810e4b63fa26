/**
 * A file beside the database that says how far its commits had come: counter u64 ‖ CRC-32C of that.
 *
 * LevelDB takes a log that lost its end for one that ended there. So the counter is written here after each synced commit and before
 * that commit is acknowledged: a witness that is ahead of the database tells that commits are missing. Those writes are not synced.
 * A killed process leaves the file as it was; after a power failure it may be behind, which says nothing.
 */

import { open, readFile, rm } from 'node:fs/promises';
import { concat, equal, u32, u64 } from '../../bytes.js';
import { crc32c } from './crc32c.js';

/** The name of the file. */
export const WITNESS = 'cyphr-witness';
const COUNTER_BYTES = 8;

/** The open witness of one store. */
export interface Witness {
  write(counter: number): Promise<void>;
  close(): Promise<void>;
}

/** The counter that the witness in the directory `path` tells; `undefined` if there is none, or it is damaged. */
export async function readWitness(path: string): Promise<number | undefined> {
  const bytes = await readFile(`${path}/${WITNESS}`).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return Buffer.alloc(0);
  });
  const counter = bytes.length < COUNTER_BYTES ? 0n : bytes.readBigUInt64BE();
  return equal(bytes, encode(Number(counter))) ? Number(counter) : undefined;
}

/** Opens the witness for writing. With `isNew` it is made, telling 0, and is on disk when this resolves. */
export async function openWitness(path: string, isNew: boolean): Promise<Witness> {
  const file = await open(`${path}/${WITNESS}`, isNew ? 'w' : 'r+', 0o600);
  const write = async (counter: number): Promise<void> => {
    await file.write(encode(counter), 0, null, 0);
  };
  try {
    if (isNew) {
      await write(0);
      await file.sync();
      await syncFolder(path);
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  return { write, close: () => file.close() };
}

/** Deletes the witness, if there is one. */
export const removeWitness = (path: string): Promise<void> => rm(`${path}/${WITNESS}`, { force: true });

function encode(counter: number): Uint8Array {
  const bytes = u64(counter);
  return concat(bytes, u32(crc32c(bytes)));
}

/** Makes the names in a directory durable, where the platform can (Windows can't, and needs no telling). */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}
