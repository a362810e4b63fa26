/**
 * Device lists and signed sets travel in sessions: each message says which lists its sender has, and a device whose own is newer says
 * what it is. The directory is asked where a peer speaks of a list that has not come; nothing waits for it.
 */

import { equal, toHex } from '../bytes.js';
import { DecodeError, isCyphrError } from '../errors.js';
import { sessionLimits } from '../limits.js';
import { COMPOSITE_KEY_BYTES } from '../wire/frames.js';
import { encodeIdentity } from '../wire/objects.js';
import type { Plaintext } from '../wire/plaintext.js';
import type { Contacts } from './contacts.js';
import type { Context } from './context.js';
import type { ControlEffect, ControlOf, ControlSender } from './control.js';
import type { Outbox } from './outbox.js';

/** The lists of one client, as they travel. */
export interface Lists {
  /** What a message says of the lists that its sender has. */
  heard(from: ControlSender, said: Pick<Plaintext, 'ownListVersion' | 'ownListHash' | 'peerListVersion'>): Promise<void>;
  /** The handler of `keys`. */
  keys(from: ControlSender, control: ControlOf<'keys'>): Promise<ControlEffect>;
  /** Tells everybody with whom there is a session: devices came or went. A list that was only renewed is told to who speaks of an older one. */
  tellAll(): Promise<void>;
}

/** The lists of `ctx`. `signedSet` is the device's newest one, TBS‖sig. */
export function lists(ctx: Context, contacts: Contacts, outbox: Outbox, signedSet: () => Uint8Array): Lists {
  /** Which version a device was last told, and when, by H(DIK). */
  const told = new Map<string, { readonly version: number; readonly atMs: number }>();

  const tell = async (account: string, only?: readonly Uint8Array[]): Promise<void> => {
    const { deviceKey, deviceList } = ctx.device();
    const control = { t: 'keys', list: deviceList, key: deviceKey.publicKey, set: signedSet() } as const;
    const { writes, committed } = outbox.post(account, control, { only, sessionsOnly: true });
    await ctx.db.commit(writes);
    committed();
  };

  return {
    async heard({ account, deviceKeyHash }, { ownListVersion, ownListHash, peerListVersion }) {
      const contact = await contacts.load(account);
      if (contact === undefined) return;
      if (ownListVersion > contact.listVersion) contacts.askFor(account, ownListVersion);
      if (ownListVersion === contact.listVersion && !equal(ownListHash, contact.listHash)) ctx.observer.log('warn', 'directory-conflict');
      if (peerListVersion >= ctx.ownList().version || !contacts.isSendable(contact)) return;
      const name = toHex(deviceKeyHash);
      const { version } = ctx.ownList();
      const last = told.get(name);
      const atMs = ctx.now();
      // Who goes on not to know what it was told is told again tomorrow: an answer shows that this device is there.
      const pauseMs = last?.version === version ? sessionLimits.toldAgainMs : sessionLimits.listRefetchMs;
      if (last !== undefined && Math.abs(atMs - last.atMs) < pauseMs) return;
      await tell(account, [deviceKeyHash]);
      told.delete(name);
      told.set(name, { version, atMs });
      if (told.size > sessionLimits.toldDevices) told.delete(told.keys().next().value as string);
    },
    async keys({ account, device }, { list, key, set }) {
      if (key.length !== COMPOSITE_KEY_BYTES) throw new DecodeError('ERR_DECODE', 'a key of another length', { field: 'key' });
      const { identity } = (await contacts.load(account))!;
      // Verified as a bundle of the directory is: the session only says who brought it.
      await contacts.told({
        address: { account, device },
        identity: encodeIdentity({ accountKey: identity, deviceList: list, deviceKey: key }),
        signedSet: set,
      });
      return { writes: [] };
    },
    async tellAll() {
      const accounts = new Set((await ctx.db.list(['peer'])).map(({ key }) => key[1]!));
      for (const account of accounts) {
        if (ctx.life.hasEnded()) return;
        if (!contacts.isSendable(await contacts.load(account))) continue;
        await tell(account).catch((error: unknown) =>
          ctx.observer.log('info', 'telling-failed', isCyphrError(error) ? error.code : 'ERR_BUG'),
        );
      }
    },
  };
}
