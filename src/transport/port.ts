/** The ports to the network: how envelopes travel, and whose keys are whose. Types only. */

import type { Address, BundleBytes, DeviceKeys } from '../step.js';

/** One envelope that arrived. Until `ack()` has resolved, it may come again. */
export interface Delivery {
  /** The same whenever this envelope comes again, and no other's: one that waits is known by it, and not looked at anew. */
  readonly id: string;
  readonly bytes: Uint8Array;
  ack(): Promise<void>;
}

/** Carries opaque envelopes between devices, at least once, in any order. */
export interface Transport {
  /** What the carrier can bear; `maxBytes` is at least 24 KiB, smaller carriers split inside. */
  readonly limits: {
    readonly maxBytes: number;
    readonly messagesPerSecond?: number | undefined;
    readonly orderedCommits?: boolean | undefined;
  };
  /** Resolves once the carrier has accepted the envelope durably; never drops silently. The same bytes may come again. */
  send(to: Address, envelope: Uint8Array, options?: { signal?: AbortSignal | undefined }): Promise<void>;
  /** Envelopes for this device. May end or throw when the connection does, and is then called again. */
  deliveries(options?: {
    signal?: AbortSignal | undefined;
    onUp?: (() => void) | undefined;
    onDrained?: (() => void) | undefined;
  }): AsyncIterable<Delivery>;
  close(): Promise<void>;
}

/**
 * Whose keys are whose. All bytes are signed and opaque: a directory stores, hands each one-time entry out at most once, need not parse.
 * One that verifies device lists may forget the devices that a newer list of their account does not name, as the reference relay does;
 * its transport then refuses for good what is sent to them, and the sender asks the directory again.
 */
export interface Directory {
  /** Idempotent; a batch id that is already known adds nothing. */
  publish(keys: DeviceKeys, options?: { signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * All devices of the account; `[]` for an unknown one. `take` names the devices whose one-time prekey to hand out; default all. Must
   * settle: of an account about which a question is open no other is asked.
   */
  fetch(
    account: string,
    options?: { take?: 'all' | readonly number[] | undefined; signal?: AbortSignal | undefined },
  ): Promise<BundleBytes[]>;
  /** This device's own one-time prekeys that are left. */
  remaining?(): Promise<number>;
  /**
   * What an organisation has signed about an account: at most 16,422 bytes that the client verifies; `undefined` if it has not. Clients
   * ask again until there is one, and when an account's identity changes.
   */
  statement?(account: string, options?: { signal?: AbortSignal | undefined }): Promise<Uint8Array | undefined>;
  /**
   * A drop box, with `pickUp`: what linking a device needs. Leaves 1 to 65,536 bytes in a slot, a name of 32 lowercase hex digits, for at
   * least 15 minutes. Needs no login: the device that is being linked has none. The first write wins; another one rejects with
   * `ERR_REJECTED`, the same bytes again do not.
   */
  leave?(slot: string, bytes: Uint8Array, options?: { signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * What lies in a slot, as soon as there is something; `undefined` after a while (at most half a minute), and it is called again.
   * Needs no login; reading does not delete.
   */
  pickUp?(slot: string, options?: { signal?: AbortSignal | undefined }): Promise<Uint8Array | undefined>;
}

/** A device's proof of itself to a service, made only once its store is open. */
export interface Login {
  readonly address: Address;
  /**
   * Signs a fresh challenge for one service. Throws `ERR_STORE_ROLLBACK` if `lastProof`, made by this device earlier, is ahead of
   * the store, or was made by a copy of it. The result is opaque: keep it and give it back as `lastProof` next time, and again until
   * the device is known to have been given it.
   */
  prove(challenge: { audience: string; nonce: Uint8Array; lastProof?: Uint8Array | undefined }): Promise<Uint8Array<ArrayBuffer>>;
}

/** A port, or a function that makes it for this device. */
export type Bound<P> = P | ((login: Login) => P);

/** Both ports of one network: spreads into `ClientOptions`. */
export interface Network {
  readonly transport: (login: Login) => Transport;
  readonly directory: (login: Login) => Directory;
}
