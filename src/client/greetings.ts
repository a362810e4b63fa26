/**
 * Tells contacts that a new device has taken the place of a lost one: starts a session with each, so that they send there. A greeting
 * is committed with its session, transmitted until the relay has it, and remembered until the contact has answered.
 *
 * Nothing is encrypted for a contact that was not greeted before the new device is published: of two that greet each other at the same
 * time, at least one then finds the other's new device.
 */

import { equal } from '../bytes.js';
import { keyHash } from '../identity/index.js';
import type { VerifiedBundle } from '../pqxdh/bundle.js';
import type { Write } from '../store/port.js';
import type { Contacts } from './contacts.js';
import type { Context } from './context.js';
import type { Encryption } from './encryption.js';
import { isRefusedForGood } from './ports.js';
import { greetRecord, keys } from './records.js';

/** The greetings of one client. */
export interface Greetings {
  /** Accounts to which something is to be done. */
  accounts(): Iterable<string>;
  isDue(account: string): boolean;
  /** Whether this account must wait for the publication of this device. */
  mustWait(account: string): Promise<boolean>;
  /** Starts the sessions of an account that is due, and commits the greetings. Throws what holds them. */
  start(account: string): Promise<void>;
  /** Hands over what was committed. Throws what the carrier says. */
  transmit(account: string): Promise<void>;
  /** The rows that go with the first answer of an account that was greeted; `undefined` if it was not. */
  answered(account: string): Promise<Write[] | undefined>;
}

interface Hello {
  readonly device: number;
  readonly bytes: Uint8Array;
}

/** The greetings in `ctx.db`. `wake` has an account looked at again. */
export async function greetings(
  ctx: Context,
  contacts: Contacts,
  encryption: Encryption,
  wake: (account: string) => void,
): Promise<Greetings> {
  const { db } = ctx;
  /** Not started, or not handed over. */
  const due = new Set<string>();
  for (const { key, value } of await db.list(['greet'])) {
    const { isStarted, hellos } = greetRecord.decode(value);
    if (!isStarted || hellos.length > 0) due.add(key[1]!);
  }
  const load = async (account: string): Promise<{ isStarted: boolean; hellos: Hello[] } | undefined> => {
    const row = await db.read(keys.greet(account));
    return row === undefined ? undefined : (greetRecord.decode(row) as unknown as { isStarted: boolean; hellos: Hello[] });
  };
  const write = (account: string, hellos: readonly Hello[]): Write => ({
    key: keys.greet(account),
    value: greetRecord.encode({ isStarted: true, hellos }),
  });

  /** Sessions for which keys are being fetched: nobody waits for the directory's word on somebody else, and no key is taken in vain. */
  let beingStarted = 0;
  /** For whom there was no room while others were asked about: what these leave is theirs. */
  const postponed = new Set<string>();
  const startOne = async (account: string): Promise<void> => {
    const contact = await contacts.load(account);
    if (contact === undefined) return;
    contacts.assertSendable(contact);
    // What was queued may have started them.
    const missing = await ctx.lock(`peer ${account}`, async () => {
      const devices: number[] = [];
      for (const entry of contact.devices) {
        if ((await encryption.usable(contact, account, entry)) !== undefined) continue;
        await encryption.assertMayStart(account, entry);
        devices.push(entry.device);
      }
      return devices;
    });
    // The rest when the keys are next looked after: somebody may wait for what the hour still allows.
    if (missing.length > encryption.spareCount() - beingStarted) {
      if (beingStarted > 0) postponed.add(account);
      return;
    }
    beingStarted += missing.length;
    try {
      await startWith(account, missing.length === 0 ? [] : await contacts.refresh(account, missing));
    } finally {
      beingStarted -= missing.length;
      const next = [...postponed].slice(0, Math.max(0, encryption.spareCount() - beingStarted));
      for (const other of next) {
        postponed.delete(other);
        wake(other);
      }
    }
  };
  const startWith = (account: string, bundles: readonly VerifiedBundle[]): Promise<void> =>
    ctx.lock(`peer ${account}`, async () => {
      // Answered meanwhile: then there is nothing left to say.
      if ((await load(account))?.isStarted !== false) return;
      const current = (await contacts.load(account))!;
      contacts.assertSendable(current);
      const rows: Write[] = [];
      const hellos: Hello[] = [];
      const installs: (() => void)[] = [];
      for (const entry of current.devices) {
        if ((await encryption.usable(current, account, entry)) !== undefined) continue;
        const bundle = bundles.find(
          ({ address, accountKeyHash, deviceKey }) =>
            address.device === entry.device && equal(accountKeyHash, current.pin) && equal(keyHash(deviceKey), entry.keyHash),
        );
        if (bundle === undefined) continue;
        const { frame, writes, install } = await encryption.onNewSession(current, bundle, undefined);
        rows.push(...writes);
        hellos.push({ device: entry.device, bytes: frame });
        installs.push(install);
      }
      await db.commit([...rows, write(account, hellos)]);
      for (const install of installs) install();
    });

  return {
    accounts: () => due,
    isDue: (account) => due.has(account),
    mustWait: async (account) =>
      due.has(account) && (await load(account))?.isStarted === false && (await db.read(keys.publish)) !== undefined,
    async start(account) {
      if (!due.has(account) || (await load(account))?.isStarted !== false) return;
      await startOne(account);
    },
    async transmit(account) {
      if (!due.has(account)) return;
      let { isStarted, hellos } = (await load(account)) ?? { isStarted: true, hellos: [] };
      if (!isStarted) return;
      for (const { device, bytes } of hellos) {
        await ctx.life.race(ctx.transport.send({ account, device }, bytes)).catch((error: unknown) => {
          // A device that is gone. Others, and what is written later, go on.
          if (!isRefusedForGood(error)) throw error;
        });
        hellos = hellos.filter((other) => other.device !== device);
        // Answered meanwhile: then there is nothing left to note.
        await ctx.lock(`peer ${account}`, async () => {
          if ((await load(account)) !== undefined) await db.commit([write(account, hellos)]);
        });
      }
      due.delete(account);
    },
    async answered(account) {
      if ((await load(account)) === undefined) return undefined;
      return [{ key: keys.greet(account), value: null }];
    },
  };
}
