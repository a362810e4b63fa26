/**
 * Everything that comes in: bounds → unseal → find the session → decrypt → one commit → wipe → acknowledge.
 *
 * What can't be used is acknowledged and counted, never answered. Only a failure of the store leaves an envelope with the relay.
 */

import { equal, fromHex, toHex, wipe } from '../bytes.js';
import { DecodeError, decryptFailed, InternalError, isCyphrError, ReplayError, StoreError, TrustError, UsageError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { sessionLimits, wireLimits } from '../limits.js';
import { acceptInit, findSeen, openFrame } from '../pqxdh/handshake.js';
import { encodePrekeys, encodeSeen, findSet, seenKey } from '../pqxdh/prekeys.js';
import { acceptRatchet, decrypt } from '../ratchet/ratchet.js';
import { accepted, received, replaced } from '../session/peer.js';
import type { Step } from '../step.js';
import type { Write } from '../store/port.js';
import type { Delivery } from '../transport/port.js';
import { FRAME_INIT, FRAME_SEALED, frameType, type InitFrame, parseInit, parseSealed } from '../wire/frames.js';
import { ratchetTag } from '../wire/ratchet-message.js';
import type { Arrivals } from './arrivals.js';
import { claims as openClaims } from './claims.js';
import type { Contacts, KnownContact } from './contacts.js';
import type { Context } from './context.js';
import type { Control, ControlEffect, ControlHandlers, ControlSender } from './control.js';
import { deferred, Later, unlessLater } from './deferred.js';
import type { Troubles } from './diagnosis.js';
import type { Greetings } from './greetings.js';
import type { Inbox } from './inbox.js';
import type { Keyring } from './keyring.js';
import { type Opened, readPlaintext } from './opened.js';
import { keys } from './records.js';
import type { Repair } from './repair.js';
import type { LiveSession, Sessions } from './sessions.js';

/** The incoming side of one client. */
export interface Receiver {
  /** Handles one envelope to the end. Rejects only if the store failed; then the envelope is not acknowledged. */
  receive(delivery: Delivery): Promise<void>;
  /** Tries again what waits for news of this account, such as a pin or a list. */
  retry(account: string): Promise<void>;
  /** Asks who the senders of unconfirmed first messages are; called when the connection is up. */
  confirmAll(): void;
  /** Whether a sender is being asked for: messages may be shown soon that can't be yet. */
  isAsking(): boolean;
  /** Calls back when the carrier should be asked again for what it was left with; returns how not to. */
  onStranded(listener: () => void): () => void;
  close(): void;
}

/** Whether a session is with an identity that the account had before, and has not again. */
function isFormer({ pin, former }: KnownContact, { accountKeyHash }: LiveSession['facts']): boolean {
  return !equal(pin, accountKeyHash) && (former as Uint8Array[]).some((each) => equal(each, accountKeyHash));
}

/** Whether the pinned account doesn't name the device of this session, in its newest list that is known here: it was replaced. */
function isReplaced(
  { pin, devices }: KnownContact,
  { accountKeyHash, deviceKeyHash }: Pick<LiveSession['facts'], 'accountKeyHash' | 'deviceKeyHash'>,
): boolean {
  return equal(pin, accountKeyHash) && !devices.some(({ keyHash }) => equal(keyHash, deviceKeyHash));
}

/** The receiver of `ctx`. */
export async function receiver(
  ctx: Context,
  contacts: Contacts,
  sessions: Sessions,
  inbox: Inbox,
  keyring: Keyring,
  greetings: Greetings,
  arrivals: Arrivals,
  repair: Repair,
  troubles: Troubles,
  handlers: ControlHandlers,
  onHeard: (from: ControlSender, said: Opened['lists']) => Promise<void>,
  onSessionReady: (account: string) => void,
): Promise<Receiver> {
  /** First flights, by account, that wait for a fresh list to name their devices. */
  const unlisted = new Map<string, Set<string>>();
  /** Whether one more may: a few devices are linked while the account key is away, and what waits is not acknowledged. */
  const mayWait = (account: string, initId: string): boolean => {
    const flights = unlisted.get(account) ?? new Set();
    if (flights.size < sessionLimits.unlistedFlights) unlisted.set(account, flights.add(initId));
    return flights.has(initId);
  };

  /** Whether the carrier keeps what else comes from senders whom nobody has confirmed. */
  const isFull = (account?: string): boolean =>
    inbox.unconfirmedCount() >= sessionLimits.claimedMessages ||
    (account !== undefined && inbox.unconfirmedCount(account) >= sessionLimits.claimedPerAccount);
  const sayFailed = (error: unknown): void => ctx.observer.log('warn', 'retry-failed', isCyphrError(error) ? error.code : 'ERR_BUG');
  const later = deferred(ctx, {
    take: (delivery, was) => take(delivery, was),
    isFull,
    isOver: ({ why, account, identity }) =>
      why === 'pin' && (contacts.mayShow(account!, fromHex(identity!)!) || contacts.standing.isAnswered(account!, identity!)),
    onTried: inbox.stir,
  });
  contacts.standing.onAsked((account, hasSaid) => {
    if (!hasSaid) return inbox.stir();
    later.retry(account, 'pin').catch(sayFailed);
  });

  /** The rows and effects of one decrypted message on a session, old or new, with what is known of its account under the same lock. */
  const deliver = async (
    contact: KnownContact | undefined,
    before: LiveSession | undefined,
    live: LiveSession,
    step: Step<LiveSession['state'], Uint8Array>,
    extra: readonly Write[] = [],
    onCommitted: () => void = () => {},
  ): Promise<void> => {
    const { account, device, accountKeyHash, replayable } = live.facts;
    const owner = live.facts;
    const { opened, unreadable } = readPlaintext(step.out, (code) =>
      ctx.observer.log(code === 'ERR_BUG' ? 'error' : 'info', 'content-unreadable', code),
    );
    const nowMs = ctx.now();
    const id = fromHex(live.id)!;
    const isStranger = contact !== undefined && (!equal(contact.pin, accountKeyHash) || isReplaced(contact, owner));
    if (isStranger) throw new TrustError('ERR_DEVICE_UNTRUSTED', 'the session is not with a device of the pinned identity');
    const known = await sessions.peer(owner);
    let peer = before === undefined ? accepted(known, id, nowMs, opened?.hello?.incarnation) : received(known, id, nowMs);
    const startedHere = peer.sessions.some((session) => session.initiatedByUs && toHex(session.id) === live.id);
    if (opened?.hello !== undefined && !startedHere) peer = replaced(peer, id, opened.hello.incarnation, opened.hello.replaces, nowMs);
    const isEstablished = live.init !== null || before === undefined;
    const greeted = isEstablished ? await greetings.answered(account) : undefined;
    const isRecovered = greeted !== undefined || (before === undefined && (await sessions.hasReplaced(owner, contact?.devices)));
    const after: LiveSession = { id: live.id, facts: { ...live.facts, silentSinceMs: undefined }, state: step.next, init: null };
    const from: ControlSender = { account, device, accountKeyHash, deviceKeyHash: owner.deviceKeyHash, session: id };
    const control = contact === undefined ? undefined : opened?.control;
    const effect = control && (await handle(from, control));
    const heard = await repair.heard(owner, known, peer, id, control?.t === 'retry' && effect !== undefined ? control : undefined);
    peer = heard.peer;
    const trouble = unreadable && troubles.unreadable(account, unreadable, contact === undefined);
    const posted = [...heard.requests, ...(effect === undefined ? [] : [effect]), ...(trouble === undefined ? [] : [trouble])];
    const peerRows = peer === known ? undefined : await sessions.peerWrites(owner, peer);

    const rows: Write[] = [...extra, ...(greeted ?? []), ...sessions.writes(before, after), ...(peerRows?.writes ?? [])];
    const isClaimed = before === undefined && contact === undefined;
    if (isClaimed) rows.push(claims.write(live.id));
    rows.push(...posted.flatMap(({ writes }) => writes));
    const isOwn = account === ctx.device().account;
    // From an own device comes nothing but copies: whom it wrote to is part of them.
    const message = effect?.message ?? (opened?.payload === undefined || isOwn ? undefined : { payload: opened.payload });
    const said = message && { id: opened!.messageId, ...message };
    const commit = (more: readonly Write[]): Promise<void> => {
      // What a message deletes is not sent again, whatever its coming has shown.
      const logged = new Set(more.flatMap(({ key }) => (key[0] === 'log' ? key[1]! : [])));
      const kept = rows.filter(({ key }) => key[0] !== 'log' || !logged.has(key[1]!));
      return ctx.db.commit([...kept, ...more]).catch((error: unknown) => {
        const isTaken = error instanceof StoreError && error.code === 'ERR_STORE_CONFLICT' && !ctx.life.hasEnded();
        if (isTaken) throw new ReplayError('ERR_DUPLICATE', 'a tag of the session is taken', { cause: error });
        // What we put together wrongly is no fault of the message: it is not to be dropped for it.
        if (error instanceof UsageError && !ctx.life.hasEnded()) throw new InternalError('ERR_BUG', 'not a commit', { cause: error });
        throw error;
      });
    };
    const common = { account, device, accountKeyHash, receivedAtMs: nowMs, replayable: replayable && before === undefined };
    const waits = contact === undefined || claims.include(common);
    const show = said === undefined ? await commit([]) : await arrivals.take({ ...said, ...common }, waits, commit);
    sessions.install(after);
    if (peerRows !== undefined) {
      sessions.installPeer(owner, peerRows.peer);
      claims.expired(peerRows.expired);
    }
    if (isClaimed) claims.added(after);
    onCommitted();
    for (const each of posted) each.committed?.();
    wipe(...step.wipe, step.out);
    show?.();
    if (isEstablished) {
      const reason = isRecovered ? 'recovered' : known.sessions.length > (before === undefined ? 0 : 1) ? 'healed' : 'first-contact';
      ctx.events.emit({ type: 'sessionEstablished', address: { account, device }, reason });
      onSessionReady(account);
    }
    if (opened !== undefined) await onHeard(from, opened.lists);
  };

  /** What a control message causes; nothing if its handler finds that it is void. */
  const handle = async (from: ControlSender, control: Control): Promise<ControlEffect | undefined> => {
    try {
      return await (handlers[control.t] as (from: ControlSender, control: Control) => Promise<ControlEffect>)(from, control);
    } catch (error) {
      if (error instanceof StoreError || ctx.life.hasEnded()) throw error;
      // Also where the fault is ours: what comes again for ever would only show it again.
      const code = isCyphrError(error) ? error.code : 'ERR_BUG';
      ctx.observer.log(code === 'ERR_BUG' ? 'error' : 'info', 'control-void', code);
      return undefined;
    }
  };

  /** A ratchet message, bare or in a seal. `only` names the session that it must belong to. */
  const receiveRatchet = async (frame: Uint8Array, only?: string): Promise<void> => {
    const tag = ratchetTag(frame);
    const id = await sessions.byTag(tag);
    if (id === undefined) throw new UsageError('ERR_NO_SESSION', 'no session has the tag of the message');
    if (only !== undefined && id !== only) throw decryptFailed();
    const account = await sessions.accountOf(id);
    if (account === undefined) throw new UsageError('ERR_NO_SESSION', 'the session of this tag is gone');
    if ((await contacts.load(account)) === undefined && isFull(account)) throw new Later('room', account);
    await ctx.lock(`peer ${account}`, async () => {
      const live = await sessions.load(id);
      if (live === undefined) throw new UsageError('ERR_NO_SESSION', 'the session of this tag is gone');
      const contact = await contacts.load(account);
      if (contact !== undefined && (isReplaced(contact, live.facts) || isFormer(contact, live.facts))) {
        // Told once: whoever has the old device, or the old identity, must not be able to flood with it.
        await repair.replaced(live);
        throw new TrustError('ERR_DEVICE_UNTRUSTED', 'the device of this session was replaced');
      }
      // A claim that the pin has not ended is asked about, or waits for a person: what follows it waits, too.
      const isOther = contact !== undefined && !equal(contact.pin, live.facts.accountKeyHash);
      if (isOther && claims.include(live.facts)) throw new Later('person', account);
      let step: Step<LiveSession['state'], Uint8Array>;
      try {
        step = decrypt(live.state, frame);
      } catch (error) {
        await repair.failed(live, frame, error);
        throw error;
      }
      await deliver(contact, live, live, step);
    });
  };

  /** A first flight (section 2.4), and what it waited for. */
  const receiveInit = async (inner: Uint8Array, was: Later | undefined): Promise<void> => {
    const init = parseInit(inner);
    const identity = toHex(keyHash(init.accountKey));
    // Another one of the same identity came first, and the answer may be a moment away, or the pin be made already.
    const isAgain = was?.why === 'pin' || was?.why === 'person';
    if (!isAgain && later.isBehind(init.account, identity)) throw new Later('pin', init.account, identity);
    for (;;) {
      const outcome = await ctx.lock(`peer ${init.account}`, () => ctx.lock('prekeys', () => acceptOnce(init)));
      if (outcome === 'accepted') break;
      if (outcome instanceof Uint8Array) {
        later.giveBack();
        const id = toHex(outcome);
        if ((await sessions.accountOf(id)) === undefined) {
          await ctx.lock(`peer ${init.account}`, () => sayDropped(init));
          throw new ReplayError('ERR_DUPLICATE', 'this first flight was accepted before');
        }
        return receiveRatchet(init.ratchetMessage, id);
      }
      // The pin stands. Whether the identity has changed is the directory's to say, and a person's to accept; meanwhile it waits.
      const standing = contacts.standing.of(init.account, init.accountKey);
      if (standing !== 'pinned') throw new Later(standing === 'waits' ? 'person' : 'pin', init.account, identity);
    }
    keyring.used();
    if ((await contacts.load(init.account)) !== undefined) return;
    claims.confirm(init.account);
    await claims.trim();
  };

  const sayKeyGone = (account: string, isContact: boolean): void => {
    // Who writes there to mend it has to know the device.
    if (isContact) contacts.askFor(account);
    troubles.unproven(account, 'ERR_KEY_GONE', isContact ? 'needs-person' : 'never');
  };

  /**
   * Says of a contact's flight that its session is no more, if none with the device is left: it went with a claim, with all that came on
   * it, before the sender was confirmed. One that expired has made room for others.
   */
  const sayDropped = async ({ account, accountKey, deviceKey }: InitFrame): Promise<void> => {
    const contact = await contacts.load(account);
    const owner = { account, accountKeyHash: keyHash(accountKey), deviceKeyHash: keyHash(deviceKey) };
    if (contact === undefined || !equal(contact.pin, owner.accountKeyHash) || isReplaced(contact, owner)) return;
    if ((await sessions.peer(owner)).sessions.length === 0) sayKeyGone(account, true);
  };

  /** Accepts a flight, unless it was: then returns the id of its session, 16 bytes. Concurrent copies of one flight come one after another. */
  const acceptOnce = async (init: InitFrame): Promise<'accepted' | 'other-identity' | Uint8Array> => {
    const seen = findSeen(keyring.prekeys(), init);
    if (seen !== undefined) return seen.sessionId;
    const contact = await contacts.load(init.account);
    if (contact === undefined && isFull(init.account)) throw new Later('room', init.account);
    try {
      await acceptFlight(init, contact);
      return 'accepted';
    } catch (error) {
      if (error instanceof TrustError && error.code === 'ERR_IDENTITY_CHANGED') return 'other-identity';
      const isContact = contact !== undefined && equal(contact.pin, keyHash(init.accountKey));
      if (error instanceof ReplayError && error.code === 'ERR_KEY_GONE') sayKeyGone(init.account, isContact);
      // Of a device that was replaced, or removed, while its message was under way.
      if (isContact && error instanceof TrustError) troubles.unproven(init.account, error.code, 'never');
      throw error;
    }
  };

  const acceptFlight = async (init: InitFrame, contact: KnownContact | undefined): Promise<void> => {
    const step = acceptInit(keyring.prekeys(), ctx.device(), init, { pinnedIdentity: contact?.pin, storedList: contact?.list }, ctx.now());
    const { secrets, ratchetMessage, replayable, sessionId, initId, peer } = step.out;
    await contacts.learn(init.account, peer.list);
    // Of an account that was pinned meanwhile, another one.
    const known = await contacts.load(init.account);
    if (known !== undefined && !equal(known.pin, peer.accountKeyHash))
      throw new TrustError('ERR_IDENTITY_CHANGED', 'another identity was pinned meanwhile');
    // A device that only a list past its freshness names: its account says so anew, or it waits with the relay.
    if (known !== undefined && ctx.now() > peer.list.freshUntil && isReplaced(known, peer) && mayWait(init.account, toHex(initId))) {
      // Its account may have said so already, to the directory alone.
      contacts.askFor(init.account);
      throw new Later('list', init.account);
    }
    const state = acceptRatchet(secrets);
    wipe(secrets.rootKey, secrets.headerKeyA, secrets.nextHeaderKeyB, secrets.sckaSecret, secrets.signedPrekey.secretKey);
    const { account, device } = peer.address;
    const live: LiveSession = {
      id: toHex(sessionId),
      facts: {
        account,
        device,
        accountKeyHash: peer.accountKeyHash,
        deviceKeyHash: peer.deviceKeyHash,
        replayable,
        unansweredCount: 0,
        createdAtMs: ctx.now(),
      },
      state,
      init: null,
    };
    const opened = decrypt(state, ratchetMessage);
    const name = seenKey(init.setId, init.otId, init.ephemeralKey);
    const rows: Write[] = [
      { key: keys.prekeys, value: encodePrekeys(step.next) },
      { key: keys.seen(name), value: encodeSeen({ setId: init.setId, otId: init.otId, initId, sessionId }), ifRev: 0 },
    ];
    await deliver(known, undefined, live, opened, rows, () => {
      keyring.install(step.next);
      wipe(...step.wipe);
    });
    if (replayable) ctx.events.emit({ type: 'lastResortUsed', address: peer.address });
  };

  const open = async (bytes: Uint8Array, was: Later | undefined): Promise<void> => {
    const type = frameType(bytes);
    if (type === FRAME_INIT) throw new DecodeError('ERR_DECODE', 'an unsealed first flight');
    if (type !== FRAME_SEALED) return receiveRatchet(bytes);
    // Cheapest first: junk for no set of ours must not use up what honest first flights need.
    if (findSet(keyring.prekeys(), parseSealed(bytes).setId) === undefined) {
      troubles.unproven(undefined, 'ERR_KEY_GONE', 'never');
      throw new ReplayError('ERR_KEY_GONE', 'no secrets for this set');
    }
    if (bytes.length > wireLimits.sealedBytes)
      throw new DecodeError('ERR_TOO_LARGE', 'no sealed frame is that long', { got: bytes.length });
    // Each may cost signatures. What waited for the pin has paid, and cost none.
    if (was?.why !== 'pin' && !later.takeToken(was !== undefined)) throw new Later('flights');
    const { account, device } = ctx.device();
    const inner = openFrame(keyring.prekeys(), { account, device }, bytes);
    if (frameType(inner) === FRAME_INIT) return receiveInit(inner, was);
    // Only what belongs to a session of ours is no flight of a stranger.
    if ((await sessions.byTag(ratchetTag(inner))) !== undefined) later.giveBack();
    return receiveRatchet(inner);
  };

  /** If this fails the envelope comes again, and is recognised. Not waited for: the next envelope need not. */
  const acknowledge = (delivery: Delivery): void => {
    const ack = async (): Promise<void> => delivery.ack();
    ack().catch(() => ctx.observer.log('debug', 'ack-failed'));
  };

  const take = async (delivery: Delivery, was?: Later): Promise<void> => {
    try {
      const outcome = await ctx.observer.span('receive', () => unlessLater(open(delivery.bytes, was)), {
        paddedBytes: delivery.bytes.length,
      });
      if (outcome instanceof Later) return later.add(delivery, outcome);
    } catch (error) {
      if (ctx.life.hasEnded() || error instanceof StoreError) throw error;
      const code = isCyphrError(error) ? error.code : 'ERR_BUG';
      // A fault of ours is no reason to lose the envelope, nor to take no other: it stays with the relay.
      if (code === 'ERR_BUG') {
        ctx.observer.log('error', 'envelope-kept', code);
        return troubles.unproven(undefined, code, 'needs-person');
      }
      ctx.observer.log('info', 'envelope-dropped', code);
    }
    acknowledge(delivery);
  };

  const self: Receiver = {
    async receive(delivery) {
      // After a new connection the same envelope comes again: what it waits for has not happened meanwhile.
      if (!later.has(delivery)) await take(delivery);
    },
    retry(account) {
      unlisted.delete(account);
      return later.retry(account);
    },
    onStranded: later.onStranded,
    confirmAll() {
      claims.confirmAll();
      // What the directory could not be asked then it may answer now.
      for (const account of [...later.accounts('list'), ...later.accounts('person')]) contacts.askFor(account);
      for (const account of later.accounts('pin')) contacts.standing.ask(account);
      // What has disappeared meanwhile has made room.
      later.retry().catch(sayFailed);
    },
    isAsking: () => claims.isAsking() || contacts.standing.isAsking() || later.isTrying(),
    close: () => later.close(),
  };
  const claims = await openClaims(
    ctx,
    contacts,
    sessions,
    inbox,
    arrivals,
    (account) => troubles.reportStranger({ account, code: 'ERR_DEVICE_UNTRUSTED', heals: 'never' }),
    (account) => self.retry(account),
  );
  contacts.onPinned((account) => {
    claims
      .settle(account)
      .then(() => repair.orphaned(account))
      .catch(sayFailed);
  });
  return self;
}
