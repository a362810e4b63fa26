/**
 * Whose keys are whose. The keys are signed and opaque; the relay stores them, and hands each one-time prekey out at most once.
 *
 * ```
 * account/A          hash of the account key that claimed the name, hex
 * list/A             {version, devices: {D: hash of the device key, hex}}: the newest device list that any device has shown
 * device/A/D         {identity, signedSet, lastResortUsed}
 * mailbox/A/D        random name of the device's mailbox, hex
 * login/A/D/N        proof of login N, counting up: the last one, and before it those that no device is known to have been told of
 * batch/A/D/B        head of a batch; stays when the batch is used up, so that it can't be added twice
 * once/A/D/N         {batch, entry}, N counting up
 * gone/MAILBOX       mailbox of a device that left its list, until it is empty
 * ```
 * A and B are percent-encoded, so that no name can reach into another's keys.
 *
 * Every device in `device/` stands in `list/`, by its id and its key: a newer list takes those out that it doesn't name, in the write
 * that brings it. Only the account key signs lists, so no device can take out another one.
 */

import { randomBytes } from 'node:crypto';
import type { ProvenAccount } from '@cyphr/e2ee';
import { ClassicLevel } from 'classic-level';
import type { Address, Session } from './auth.js';
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

interface ListRow {
  readonly version: number;
  readonly devices: Readonly<Record<number, string>>;
}

/**
 * Proofs that are kept of a device. Of more logins in a row without a known answer the first and the last ones stay: the first is what
 * a store that was restored from before it does not know.
 */
const PROOFS_MAX = 8;

/** How a device's one-time prekeys stand. */
export interface Stock {
  readonly remaining: number;
  readonly lastResortUsed: boolean;
}

/** Who is told of what happens to a mailbox's owner. */
export interface Owners {
  taken(mailbox: string, stock: Stock): void;
  /** The device has left: ends what it has running before the first `await`, then empties the mailbox. May be called again. */
  gone(mailbox: string): Promise<void>;
}

export type Directory = Awaited<ReturnType<typeof openDirectory>>;

export async function openDirectory(path: string, limits: RelayLimits, owners: Owners) {
  const db = new ClassicLevel<string, unknown>(path, { valueEncoding: 'json', compression: false });
  await db.open();
  const read = async <T>(key: string): Promise<T | undefined> => (await db.get(key)) as T | undefined;
  const name = ({ account, device }: Address): string => `${encodeURIComponent(account)}/${device}`;
  const under = (prefix: string) => ({ gt: `${prefix}/`, lt: `${prefix}0` }); // '0' follows '/'
  const count = (n: number): string => n.toString(16).padStart(8, '0');
  const after = (key: string | undefined): number => (key === undefined ? 0 : Number.parseInt(key.slice(-8), 16) + 1);
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

  /** Empties the mailboxes of devices that have left, also what an earlier run did not come to. */
  async function clean(): Promise<void> {
    const keys = await db.keys(under('gone')).all();
    await Promise.all(
      keys.map(async (key) => {
        await owners.gone(key.slice('gone/'.length));
        await db.del(key);
      }),
    );
  }

  return {
    mailbox: (address: Address) => read<string>(`mailbox/${name(address)}`),
    stock,
    clean,

    /**
     * Idempotent. The first device claims the account's name for its account key; a newer list ends the devices that it doesn't name.
     * Throws `Refused` for another account key, and for a device that isn't in the newest list.
     */
    publish(keys: PublishedKeys, { accountKeyHash, listVersion, devices }: ProvenAccount): Promise<void> {
      const { account, device, identity, signedSet, batch } = keys;
      return alone(account, async () => {
        const accountKey = `account/${encodeURIComponent(account)}`;
        const hash = Buffer.from(accountKeyHash).toString('hex');
        const owner = await read<string>(accountKey);
        if (owner !== undefined && owner !== hash) throw new Refused();
        const listKey = `list/${encodeURIComponent(account)}`;
        const known = await read<ListRow>(listKey);
        const shown = Object.fromEntries(devices.map((entry) => [entry.device, Buffer.from(entry.keyHash).toString('hex')]));
        const list = known === undefined || listVersion > known.version ? { version: listVersion, devices: shown } : known;
        if (list.devices[device] !== shown[device]) throw new Refused();

        const own = name(keys);
        const ids = (await db.keys(under(`device/${encodeURIComponent(account)}`)).all()).map(deviceIn);
        const gone = ids.filter((id) => list.devices[id] === undefined || list.devices[id] !== (known ?? list).devices[id]);
        // A device may come in the place of another one with the same id.
        const before = gone.includes(device) ? undefined : await read<DeviceRow>(`device/${own}`);
        if (before === undefined && ids.length - gone.length >= limits.devicesPerAccount) throw new Refused();
        const batchKey = batch && `batch/${own}/${encodeURIComponent(batch.id)}`;
        const isNew = batchKey !== undefined && (before === undefined || (await read(batchKey)) === undefined);
        const left = before === undefined ? [] : await db.keys(under(`once/${own}`)).all();
        if (isNew && left.length + batch!.entries.length > limits.oneTimePrekeysPerDevice) throw new Refused();
        const first = after(left.at(-1));

        const writes = db.batch();
        for (const id of gone) {
          const leaving = name({ account, device: id });
          writes.put(`gone/${await read<string>(`mailbox/${leaving}`)}`, true);
          for (const space of ['device', 'mailbox']) writes.del(`${space}/${leaving}`);
          for (const space of ['login', 'batch', 'once'])
            for (const key of await db.keys(under(`${space}/${leaving}`)).all()) writes.del(key);
        }
        writes.put(accountKey, hash);
        writes.put(listKey, list);
        writes.put(`device/${own}`, { identity, signedSet, lastResortUsed: !isNew && (before?.lastResortUsed ?? false) });
        if (before === undefined) writes.put(`mailbox/${own}`, randomBytes(16).toString('hex'));
        if (isNew) {
          writes.put(batchKey, batch!.head);
          for (const [i, entry] of batch!.entries.entries()) writes.put(`once/${own}/${count(first + i)}`, { batch: batch!.id, entry });
        }
        await writes.write({ sync: true });
        if (gone.length > 0) await clean();
      });
    },

    /** Every device of the account, with a one-time prekey for those in `takeFrom`; nothing for an unknown account. */
    fetch(account: string, takeFrom: 'all' | readonly number[]): Promise<Bundle[]> {
      return alone(account, async () => {
        const bundles: Bundle[] = [];
        for await (const [key, value] of db.iterator(under(`device/${encodeURIComponent(account)}`))) {
          const address = { account, device: deviceIn(key) };
          const row = value as DeviceRow;
          const wanted = takeFrom === 'all' || takeFrom.includes(address.device);
          const oneTime = wanted ? await take(address, row) : undefined;
          bundles.push({ device: address.device, identity: row.identity, signedSet: row.signedSet, ...(oneTime && { oneTime }) });
          const mailbox = await read<string>(`mailbox/${name(address)}`);
          if (wanted && mailbox !== undefined) owners.taken(mailbox, await stock(address));
        }
        return bundles;
      });
    },

    /**
     * Lets a device in that `admit` lets in by its identity: the session's token, and the proofs of its earlier logins, oldest first, that
     * no answer is known to have told it of. Throws `Refused` for an unknown device, and what `admit` throws.
     */
    login(address: Address, proof: string, admit: (identity: string, session: Session) => string) {
      return alone(address.account, async () => {
        const own = name(address);
        const [row, mailbox] = [await read<DeviceRow>(`device/${own}`), await read<string>(`mailbox/${own}`)];
        if (row === undefined || mailbox === undefined) throw new Refused();
        const kept = await db.iterator(under(`login/${own}`)).all();
        const login = after(kept.at(-1)?.[0]);
        const token = admit(row.identity, { ...address, mailbox, login });
        const writes = db.batch().put(`login/${own}/${count(login)}`, proof);
        if (kept.length >= PROOFS_MAX) writes.del(kept[1]![0]);
        await writes.write({ sync: true });
        return { token, lastProofs: kept.map(([, earlier]) => earlier as string) };
      });
    },

    /** The answer to the login of this session has come: what it told need not be told again. */
    answered(session: Session): Promise<void> {
      const own = `login/${name(session)}`;
      return db.clear({ ...under(own), lt: `${own}/${count(session.login)}` });
    },

    close: () => db.close(),
  };
}

/** The device that a key of `device/` is of. */
function deviceIn(key: string): number {
  return Number(key.slice(key.lastIndexOf('/') + 1));
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
