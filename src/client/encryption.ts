/** From a payload to the frame for one device: on the active session, or on a new one. Prepares rows; commits nothing. */

import { concat, equal, fromHex, toHex, wipe } from '../bytes.js';
import { UsageError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { sessionLimits } from '../limits.js';
import type { VerifiedBundle } from '../pqxdh/bundle.js';
import { initiate, sealFrame } from '../pqxdh/handshake.js';
import { encrypt, initiateRatchet, isUsedUp, lastMessage } from '../ratchet/ratchet.js';
import { died, mayStart, type PeerSessions, started, wasInVain } from '../session/peer.js';
import type { Address, Profile } from '../step.js';
import type { Write } from '../store/port.js';
import type { DeviceEntry } from '../wire/objects.js';
import { encodePlaintext } from '../wire/plaintext.js';
import type { ContactDevice, Contacts, KnownContact } from './contacts.js';
import { encodeHello } from './content.js';
import type { Context } from './context.js';
import { pendingRecord } from './records.js';
import type { LoggedName } from './sendlog.js';
import type { LiveSession, Sessions, StoredInit } from './sessions.js';

/** An encryption, to be committed with what else belongs to it: then `install`, which also wipes. */
export interface Encrypted {
  readonly frame: Uint8Array;
  /** Under what name the other side knows it. */
  readonly name: LoggedName;
  readonly writes: readonly Write[];
  install(): void;
}

/** The encrypting side of one client. Callers hold the lock of the account. */
export interface Encryption {
  /** The session with this device of the contact that can be sent on now, if any: under the pinned identity, and only there. */
  usable(contact: KnownContact, account: string, entry: DeviceEntry): Promise<LiveSession | undefined>;
  /** How many sessions may be started in this hour beside those that somebody waits for: two thirds of all. After `assertMayStart`. */
  spareCount(): number;
  /**
   * Throws `ERR_SESSION_DEAD` while no session may be started with this device. The last third of an hour's is for accounts for which
   * something waits that a person wrote, and no account takes all of it.
   */
  assertMayStart(account: string, entry: DeviceEntry): Promise<void>;
  /** Whether the last session with this device was never answered: the next one does without a one-time prekey, since that may be gone. */
  wasInVain(account: string, entry: DeviceEntry): Promise<boolean>;
  /** Whether a frame on that session can be sealed as the settings ask: `'sealed'` never falls back to a bare frame. */
  canSeal(live: LiveSession): Promise<boolean>;
  /** Encrypts on that session; `undefined` where the frame is to be sealed, and can't be by now. */
  onSession(contact: KnownContact, address: Address, live: LiveSession, message: Outgoing): Promise<Encrypted | undefined>;
  /** Starts a session whose hello carries the message, if any. Throws `ERR_SESSION_DEAD` beyond the limits, `ERR_BUNDLE`. */
  onNewSession(contact: KnownContact, bundle: VerifiedBundle, message: Outgoing | undefined): Promise<Encrypted>;
}

/** A payload on its way: the application's, or control content. `id` has 16 bytes. */
export interface Outgoing {
  readonly id: Uint8Array;
  readonly kind: 'app' | 'control';
  readonly payload: Uint8Array;
}

/** Of the sessions of an hour, those that only what people write may start. */
const RESERVE = Math.ceil(sessionLimits.newPerHour / 3);
const PROFILES = { standard: 1, lean: 2, wide: 3 } as const;
/** Below these, a carrier is slow: small chunks, so that a message stays short. */
const SLOW_MESSAGES_PER_SECOND = 5;

/** The encryption of `ctx`. */
export function encryption(ctx: Context, contacts: Contacts, sessions: Sessions): Encryption {
  const { transport, settings, rng } = ctx;
  /** Sessions that were started from here in the last hour: read from the rows of the peers when the first is to be. */
  let recent: readonly { readonly account: string; readonly atMs: number }[] = [];
  let hasRead = false;

  /** The application's choice, else what the carrier bears; the peer's SignedSet has the last word. */
  const profileFor = (allowed: number): Profile => {
    const isSlow = (transport.limits.messagesPerSecond ?? Number.POSITIVE_INFINITY) <= SLOW_MESSAGES_PER_SECOND;
    const preferred: Profile = PROFILES[settings.bandwidth ?? (isSlow ? 'lean' : 'standard')];
    const order: Profile[] = [preferred, 1, 2, 3];
    const profile = order.find((candidate) => (allowed & (1 << (candidate - 1))) !== 0);
    if (profile === undefined) throw new UsageError('ERR_NO_SESSION', 'no chunk size suits both carriers', { field: 'bandwidth' });
    return profile;
  };

  const unansweredMax =
    transport.limits.maxBytes < sessionLimits.smallCarrierBytes
      ? sessionLimits.unansweredMessagesSmallCarrier
      : sessionLimits.unansweredMessages;

  const plaintextOf = (contact: KnownContact, kind: 'app' | 'control', messageId: Uint8Array, payload: Uint8Array): Uint8Array => {
    const own = ctx.ownList();
    return encodePlaintext({
      kind,
      messageId,
      ownListVersion: own.version,
      peerListVersion: contact.listVersion,
      ownListHash: own.shortHash,
      payload,
    });
  };

  /** One ratchet step and its rows; `before` is none for a session that this message starts, `set` what a later one is sealed to. */
  const step = async (
    before: LiveSession | undefined,
    live: LiveSession,
    address: Address,
    plaintext: Uint8Array,
    peer: PeerSessions | undefined,
    set?: ContactDevice,
  ): Promise<Encrypted> => {
    const { next, out, wipe: used } = encrypt(live.state, plaintext, rng);
    const { init } = live;
    const after: LiveSession = {
      id: live.id,
      facts: {
        ...live.facts,
        unansweredCount: live.facts.unansweredCount + (init === null ? 0 : 1),
        silentSinceMs: live.facts.silentSinceMs ?? ctx.now(),
      },
      state: next,
      init,
    };
    let frame = out;
    if (init !== null) {
      frame = sealFrame(address, init.setId, init.sealKey, concat(init.prefix, out), rng);
    } else if (set !== undefined) {
      frame = sealFrame(address, set.setId, set.sealKey, out, rng);
    }
    const peerRows = peer === undefined ? undefined : await sessions.peerWrites(live.facts, peer);
    return {
      frame,
      name: { ...lastMessage(next), deviceKeyHash: live.facts.deviceKeyHash, session: fromHex(live.id)! },
      writes: [...sessions.writes(before, after), ...(peerRows?.writes ?? [])],
      install() {
        sessions.install(after);
        if (peerRows !== undefined) sessions.installPeer(live.facts, peerRows.peer);
        wipe(...used, plaintext);
      },
    };
  };

  /** Sessions that may still be started in this hour. */
  const roomNow = (): number => {
    const nowMs = ctx.now();
    recent = recent.filter(({ atMs }) => Math.abs(nowMs - atMs) < 3_600_000);
    return sessionLimits.newPerHour - recent.length;
  };
  const spareCount = (): number => roomNow() - RESERVE;
  /** Whether a person's message waits for a session with the account. */
  const isAwaited = async (account: string): Promise<boolean> =>
    (await ctx.db.list(['pending', account])).some(({ value }) => {
      const { control, as } = pendingRecord.decode(value);
      return control === undefined && as === undefined;
    });
  /** Whether the hour has room for a session with the account. */
  const hasRoom = async (account: string): Promise<boolean> => {
    if (!hasRead) {
      const stored = await sessions.startedAt();
      if (!hasRead) recent = [...recent, ...stored];
      hasRead = true;
    }
    if (spareCount() > 0) return true;
    return roomNow() > 0 && recent.filter((each) => each.account === account).length < RESERVE && (await isAwaited(account));
  };
  const startable = async (account: string, deviceKeyHash: Uint8Array): Promise<PeerSessions> => {
    const peer = await sessions.peer({ account, deviceKeyHash });
    if (mayStart(peer, ctx.now()) && (await hasRoom(account))) return peer;
    throw new UsageError(
      'ERR_SESSION_DEAD',
      'the session can’t be used any more (unanswered for 200 messages or 14 days, or dead), and a new one not be started yet',
      {
        field: 'to',
      },
    );
  };

  /** A session whose counters are used up is never to be promoted again. */
  const withoutUsedUp = (peer: PeerSessions, active: Awaited<ReturnType<Sessions['active']>>): PeerSessions =>
    active !== undefined && isUsedUp(active.live.state) ? died(peer, active.facts.id) : peer;

  const isBare = ({ init }: LiveSession): boolean => init !== null || settings.metadata !== 'sealed';
  const self: Encryption = {
    spareCount,
    async assertMayStart(account, entry) {
      await startable(account, entry.keyHash);
    },
    async usable(contact, account, entry) {
      const active = await sessions.active({ account, deviceKeyHash: entry.keyHash });
      if (active === undefined || !equal(active.live.facts.accountKeyHash, contact.pin)) return undefined;
      const { live, facts } = active;
      const { silentSinceMs, unansweredCount } = live.facts;
      // Perhaps the device has lost its state: its newest set says so.
      if (silentSinceMs !== undefined && Math.abs(ctx.now() - silentSinceMs) > sessionLimits.silenceMs) contacts.askFor(account);
      const isGivenUp =
        live.init !== null && (unansweredCount >= unansweredMax || Math.abs(ctx.now() - facts.createdAtMs) > sessionLimits.unansweredMs);
      return isGivenUp || isUsedUp(live.state) ? undefined : live;
    },
    wasInVain: async (account, { keyHash: deviceKeyHash }) => wasInVain(await sessions.peer({ account, deviceKeyHash })),
    canSeal: async (live) => isBare(live) || (await contacts.sealingSet(live.facts)) !== undefined,
    async onSession(contact, address, live, { kind, id, payload }) {
      const set = isBare(live) ? undefined : await contacts.sealingSet(address);
      if (!isBare(live) && set === undefined) return undefined;
      return step(live, live, address, plaintextOf(contact, kind, id, payload), undefined, set);
    },
    async onNewSession(contact, bundle, message) {
      const nowMs = ctx.now();
      const { account, device } = bundle.address;
      const deviceKeyHash = keyHash(bundle.deviceKey);
      const peer = withoutUsedUp(await startable(account, deviceKeyHash), await sessions.active({ account, deviceKeyHash }));
      const profile = profileFor(bundle.signedSet.profiles);
      const { secrets, prefix, sessionId, setId, sealKey } = initiate(ctx.device(), bundle, profile, rng, nowMs);
      const state = initiateRatchet(secrets, rng);
      wipe(secrets.rootKey, secrets.headerKeyA, secrets.nextHeaderKeyB, secrets.sckaSecret);
      const init: StoredInit = { prefix, setId, sealKey };
      const live: LiveSession = {
        id: toHex(sessionId),
        facts: {
          account,
          device,
          accountKeyHash: bundle.accountKeyHash,
          deviceKeyHash,
          replayable: false,
          unansweredCount: 0,
          createdAtMs: nowMs,
        },
        state,
        init,
      };
      const replaces = peer.sessions
        .filter(({ status }) => status !== 'receiveOnly')
        .map(({ id }) => id)
        .slice(0, 5);
      const said = message === undefined ? {} : { [message.kind]: message.payload };
      const hello = encodeHello({ incarnation: ctx.device().incarnation, replaces, ...said });
      // Whether or not it is committed: it has cost the device a one-time key.
      recent = [...recent, { account, atMs: nowMs }];
      return step(
        undefined,
        live,
        bundle.address,
        plaintextOf(contact, 'control', message?.id ?? rng(16), hello),
        started(peer, fromHex(live.id)!, bundle.signedSet.incarnation, nowMs),
      );
    },
  };
  return self;
}
