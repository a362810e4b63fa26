/**
 * Accounts of this browser: which there are, and how one is opened. One passphrase (or passkey) unlocks two stores, the client's and the
 * page's history: the slot is asked once, for the client's master key, and the history's key is derived from it.
 */

import { type Client, type ClientOptions, createClient, eraseStore, joinAccount, type KeySlot } from '@cyphr/e2ee';
import { idbStore } from '@cyphr/e2ee/store/idb';
import { passkeySlot, passphraseSlot, rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { type Breaker, breaker } from '../../breaking.js';
import { openHistory } from './history.js';
import { type RelayLog, relayLog } from './relay-log.js';
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
  readonly relayLog: RelayLog;
  readonly breaker: Breaker;
  /** From now on a passkey unlocks the account too. The passphrase stays: passkeys can be lost. */
  addPasskey(): Promise<void>;
}

export interface JoinRequest {
  /** What the other device shows. */
  readonly code: string;
  /** Called with what both devices show once they have found each other. */
  readonly onConfirmation: (confirmation: string) => void;
  /** The person gives up. */
  readonly signal: AbortSignal;
}

export interface Opening {
  readonly account: string;
  /** `unlock` never founds a store; `create` unlocks one that is already there; `join` makes this browser a device of an account. */
  readonly purpose: 'create' | 'unlock' | 'join';
  /** Only to join. */
  readonly join?: JoinRequest | undefined;
  readonly key: { readonly passphrase: string; readonly progress: (fraction: number) => void } | 'passkey';
}

const passkey = (account: string): KeySlot => passkeySlot({ rpId: location.hostname, name: account });

const RECEIPTS = 'receipts';
/** Whether people are told that their messages came and were read: chosen on this device, and heard of when an account is opened. */
export const areReceiptsOn = (): boolean => localStorage.getItem(RECEIPTS) !== 'off';
export const setReceipts = (isOn: boolean): void => localStorage.setItem(RECEIPTS, isOn ? 'on' : 'off');

/** Opens, creates or joins an account. Rejects with the SDK's errors; `ERR_STORE_KEY` is a wrong passphrase. */
export async function openAccount({ account, purpose, join, key }: Opening): Promise<OpenAccount> {
  const { relay: relayUrl } = (await (await fetch('config.json')).json()) as { relay: string };
  const slot = opening(key === 'passkey' ? passkey(account) : passphraseSlot(() => key.passphrase, { progress: key.progress }), purpose);
  const store = sealedStore(idbStore(account), slot);
  const log = relayLog();
  const breaking = breaker();
  const network = breaking.watch(log.watch(relay(relayUrl)));
  const client = await openClient({ account, store, ...network }, join).catch(async (error) => {
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
  const session = await openSession(client, (onElsewhere) => openHistory(historyStore, account, onElsewhere));
  return {
    ...session,
    hasPasskey,
    relayLog: log,
    breaker: breaking,
    async addPasskey() {
      await store.addSlot(passkey(account));
      remember(account, true);
    },
  };
}

async function openClient(options: ClientOptions, join: JoinRequest | undefined): Promise<Client> {
  const settings = { ...options, receipts: areReceiptsOn() ? 'delivered-and-read' : 'off' } as const;
  if (join === undefined) return createClient(settings);
  const joining = await joinAccount({ ...settings, code: join.code, signal: join.signal });
  join.onConfirmation(joining.confirmation);
  return joining.client();
}

const historyOf = (account: string): string => `${account} history`;

/** Destroys all that this browser has of an account, without having to unlock it. */
export async function eraseAccount(account: string): Promise<void> {
  forget(account);
  for (const name of [account, historyOf(account)]) await eraseStore(idbStore(name));
}
