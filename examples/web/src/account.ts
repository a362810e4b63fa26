/**
 * Accounts of this browser: which there are, and how one is opened. One passphrase (or passkey) unlocks two stores, the client's and the
 * page's history: the slot is asked once, for the client's master key, and the history's key is derived from it.
 */

import { createClient, eraseStore, type KeySlot } from '@cyphr/e2ee';
import { idbStore } from '@cyphr/e2ee/store/idb';
import { passkeySlot, passphraseSlot, rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { openHistory } from './history.js';
import { relayLog } from './relay-log.js';
import { openSession, type Session } from './session.js';

/** An account of this browser. Its name is no secret here: the database is named after it. */
export interface KnownAccount {
  readonly account: string;
  /** Whether a passkey opens it too. */
  readonly hasPasskey: boolean;
}

const LIST = 'accounts';

export function knownAccounts(): readonly KnownAccount[] {
  return JSON.parse(localStorage.getItem(LIST) ?? '[]');
}

/** The last used comes last. */
function remember(account: string, hasPasskey: boolean): void {
  const others = knownAccounts().filter((known) => known.account !== account);
  localStorage.setItem(LIST, JSON.stringify([...others, { account, hasPasskey }]));
}

export function forget(account: string): void {
  localStorage.setItem(LIST, JSON.stringify(knownAccounts().filter((known) => known.account !== account)));
}

const HISTORY_KEY_INFO = new TextEncoder().encode('cyphr web example: history');

interface OpenedSlot extends KeySlot {
  /** Whether a new store was founded with it. */
  isNew(): boolean;
  /** Once, after it was used: the key of the history, HKDF-SHA-256 of the master key. The caller wipes it. */
  takeHistoryKey(): Uint8Array;
}

/** `slot`, which founds a store only where that is the purpose: a browser that has evicted an account must not found an empty one. */
function opening(slot: KeySlot, purpose: Opening['purpose']): OpenedSlot {
  let isNew = false;
  let derived: Uint8Array | undefined;
  let isTaken = false;
  async function derive(masterKey: Uint8Array): Promise<void> {
    if (isTaken) return;
    const key = await crypto.subtle.importKey('raw', masterKey.slice(), 'HKDF', false, ['deriveBits']);
    derived = new Uint8Array(
      await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: HISTORY_KEY_INFO }, key, 256),
    );
  }
  return {
    kind: slot.kind,
    async seal(masterKey, ad, options) {
      if (purpose === 'unlock') throw new NothingHere();
      isNew = true;
      await derive(masterKey);
      return slot.seal(masterKey, ad, options);
    },
    async open(sealed, ad, options) {
      const masterKey = await slot.open(sealed, ad, options);
      await derive(masterKey);
      return masterKey;
    },
    isNew: () => isNew,
    takeHistoryKey() {
      if (derived === undefined) throw new NothingHere();
      const key = derived;
      derived = undefined;
      isTaken = true;
      return key;
    },
  };
}

/** This browser holds no data of the account, though it is on the list. */
export class NothingHere extends Error {}

/** An unlocked account. */
export interface OpenAccount extends Session {
  readonly hasPasskey: boolean;
  /** From now on a passkey unlocks the account too. The passphrase stays: passkeys can be lost. */
  addPasskey(): Promise<void>;
}

export interface Opening {
  readonly account: string;
  /** `unlock` never founds a store; `create` unlocks one that is already there. */
  readonly purpose: 'create' | 'unlock';
  readonly key: { readonly passphrase: string; readonly progress: (fraction: number) => void } | 'passkey';
}

const passkey = (account: string): KeySlot => passkeySlot({ rpId: location.hostname, name: account });

/** Opens or creates an account. Rejects with the SDK's errors; `ERR_STORE_KEY` is a wrong passphrase. */
export async function openAccount({ account, purpose, key }: Opening): Promise<OpenAccount> {
  const { relay: relayUrl } = (await (await fetch('config.json')).json()) as { relay: string };
  const slot = opening(key === 'passkey' ? passkey(account) : passphraseSlot(() => key.passphrase, { progress: key.progress }), purpose);
  const store = sealedStore(idbStore(account), slot);
  const log = relayLog();
  const client = await createClient({ account, store, ...log.watch(relay(relayUrl)) }).catch(async (error) => {
    await store.close();
    // An account that was refused leaves nothing behind; one that was there before stays.
    if (slot.isNew()) await eraseAccount(account);
    throw error;
  });
  const hasPasskey = (await store.slots()).some(({ kind }) => kind === 'passkey');
  remember(account, hasPasskey);
  const historyKey = slot.takeHistoryKey();
  const historyStore = sealedStore(idbStore(historyOf(account)), rawKeySlot(historyKey));
  historyKey.fill(0);
  const session = await openSession(client, log, (onElsewhere) => openHistory(historyStore, account, onElsewhere));
  return {
    ...session,
    hasPasskey,
    async addPasskey() {
      await store.addSlot(passkey(account));
      remember(account, true);
    },
  };
}

const historyOf = (account: string): string => `${account} history`;

/** Destroys all that this browser has of an account, without having to unlock it. */
export async function eraseAccount(account: string): Promise<void> {
  forget(account);
  for (const name of [account, historyOf(account)]) await eraseStore(idbStore(name));
}
