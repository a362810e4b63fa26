/**
 * Whose keys are whose. The keys are signed and opaque; the relay stores them, and hands each one-time prekey out at most once.
 *
 * ```
 * account/A          hash of the account key that claimed the name, hex
 * device/A/D         {identity, signedSet, lastResortUsed}
 * mailbox/A/D        random name of the device's mailbox, hex
 * login/A/D          {proof, storeId, generation} of the furthest login
 * batch/A/D/B        head of a batch; stays when the batch is used up, so that it can't be added twice
 * once/A/D/N         {batch, entry}, N counting up
 * ```
 * A and B are percent-encoded, so that no name can reach into another's keys.
 */

import { randomBytes } from 'node:crypto';
import { ClassicLevel } from 'classic-level';
import type { Address } from './auth.js';
import { Refused, type RelayLimits } from './limits.js';

export interface PublishedKeys extends Address {
  readonly identity: string;
  readonly signedSet: string;
  readonly batch?: { readonly id: string; readonly head: string; readonly entries: readonly string[] } | undefined;
}

export interface Bundle {
  readonly device: number;
  readonly identity: string;
  readonly signedSet: string;
  readonly oneTime?: { readonly head: string; readonly entry: string };
}

interface DeviceRow {
  readonly identity: string;
  readonly signedSet: string;
  readonly lastResortUsed: boolean;
}

interface LoginRow {
  readonly proof: string;
  readonly storeId: string;
  readonly generation: number;
}

/** How a device's one-time prekeys stand. */
export interface Stock {
  readonly remaining: number;
  readonly lastResortUsed: boolean;
}

export type Directory = Awaited<ReturnType<typeof openDirectory>>;

export async function openDirectory(path: string, limits: RelayLimits, onTaken: (mailbox: string, stock: Stock) => void) {
  const db = new ClassicLevel<string, unknown>(path, { valueEncoding: 'json', compression: false });
  await db.open();
  const read = async <T>(key: string): Promise<T | undefined> => (await db.get(key)) as T | undefined;
  const name = ({ account, device }: Address): string => `${encodeURIComponent(account)}/${device}`;
  const under = (prefix: string) => ({ gt: `${prefix}/`, lt: `${prefix}0` }); // '0' follows '/'
  const alone = locks();

  async function stock(address: Address): Promise<Stock> {
    const [row, keys] = await Promise.all([read<DeviceRow>(`device/${name(address)}`), db.keys(under(`once/${name(address)}`)).all()]);
    return { remaining: keys.length, lastResortUsed: row?.lastResortUsed ?? false };
  }

  /** The oldest one-time prekey, off the disk before it is given away; otherwise the owner's last resort is noted as used. */
  async function take(address: Address, row: DeviceRow): Promise<Bundle['oneTime']> {
    const [next] = await db.iterator({ ...under(`once/${name(address)}`), limit: 1 }).all();
    if (next === undefined) {
      if (!row.lastResortUsed) await db.put(`device/${name(address)}`, { ...row, lastResortUsed: true }, { sync: true });
      return undefined;
    }
    await db.del(next[0], { sync: true });
    const { batch, entry } = next[1] as { batch: string; entry: string };
    const head = await read<string>(`batch/${name(address)}/${encodeURIComponent(batch)}`);
    return head === undefined ? undefined : { head, entry };
  }

  return {
    identity: async (address: Address) => (await read<DeviceRow>(`device/${name(address)}`))?.identity,
    mailbox: (address: Address) => read<string>(`mailbox/${name(address)}`),
    stock,

    /** Idempotent. The first device claims the account's name for its account key; throws `Refused` for another account key. */
    publish(keys: PublishedKeys, accountKeyHash: Uint8Array): Promise<void> {
      const { account, identity, signedSet, batch } = keys;
      return alone(account, async () => {
        const accountKey = `account/${encodeURIComponent(account)}`;
        const hash = Buffer.from(accountKeyHash).toString('hex');
        const owner = await read<string>(accountKey);
        if (owner !== undefined && owner !== hash) throw new Refused();
        const own = name(keys);
        const before = await read<DeviceRow>(`device/${own}`);
        const devices = await db.keys(under(`device/${encodeURIComponent(account)}`)).all();
        if (before === undefined && devices.length >= limits.devicesPerAccount) throw new Refused();
        const batchKey = batch && `batch/${own}/${encodeURIComponent(batch.id)}`;
        const isNew = batchKey !== undefined && (await read(batchKey)) === undefined;
        const { remaining } = await stock(keys);
        if (isNew && remaining + batch!.entries.length > limits.oneTimePrekeysPerDevice) throw new Refused();
        const [last] = await db.keys({ ...under(`once/${own}`), reverse: true, limit: 1 }).all();
        const first = last === undefined ? 0 : Number.parseInt(last.slice(-8), 16) + 1;

        const writes = db.batch();
        writes.put(accountKey, hash);
        writes.put(`device/${own}`, { identity, signedSet, lastResortUsed: !isNew && (before?.lastResortUsed ?? false) });
        if (before === undefined) writes.put(`mailbox/${own}`, randomBytes(16).toString('hex'));
        if (isNew) {
          writes.put(batchKey, batch!.head);
          for (const [i, entry] of batch!.entries.entries()) {
            writes.put(`once/${own}/${(first + i).toString(16).padStart(8, '0')}`, { batch: batch!.id, entry });
          }
        }
        await writes.write({ sync: true });
      });
    },

    /** Every device of the account, with a one-time prekey for those in `takeFrom`; nothing for an unknown account. */
    fetch(account: string, takeFrom: 'all' | readonly number[]): Promise<Bundle[]> {
      return alone(account, async () => {
        const bundles: Bundle[] = [];
        for await (const [key, value] of db.iterator(under(`device/${encodeURIComponent(account)}`))) {
          const address = { account, device: Number(key.slice(key.lastIndexOf('/') + 1)) };
          const row = value as DeviceRow;
          const wanted = takeFrom === 'all' || takeFrom.includes(address.device);
          const oneTime = wanted ? await take(address, row) : undefined;
          bundles.push({ device: address.device, identity: row.identity, signedSet: row.signedSet, ...(oneTime && { oneTime }) });
          const mailbox = await read<string>(`mailbox/${name(address)}`);
          if (wanted && mailbox !== undefined) onTaken(mailbox, await stock(address));
        }
        return bundles;
      });
    },

    /** Keeps the proof of the furthest generation of a device's store, and returns the one that was kept before. */
    loggedIn(address: Address, proof: string, storeId: Uint8Array, generation: number): Promise<string | undefined> {
      return alone(address.account, async () => {
        const key = `login/${name(address)}`;
        const before = await read<LoginRow>(key);
        const store = Buffer.from(storeId).toString('hex');
        if (before === undefined || before.storeId !== store || before.generation <= generation) {
          await db.put(key, { proof, storeId: store, generation } satisfies LoginRow, { sync: true });
        }
        return before?.proof;
      });
    },

    close: () => db.close(),
  };
}

/** Runs tasks of the same key one after the other. */
function locks() {
  const tails = new Map<string, Promise<unknown>>();
  return <T>(key: string, task: () => Promise<T>): Promise<T> => {
    const run = (tails.get(key) ?? Promise.resolve()).then(task);
    const tail = run.then(
      () => {},
      () => {},
    );
    tails.set(key, tail);
    tail.then(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
    return run;
  };
}
