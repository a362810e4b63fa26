/** Sessions as rows: loaded once, kept decoded while they are used, written with every step. The only place that pairs rows and ratchet states. */

import { compare, equal, fromHex, toHex } from '../bytes.js';
import { decodeCore, decodeSkippedChain, encodeCore, encodeSkippedChain, type RatchetState, receivingTags } from '../ratchet/ratchet.js';
import type { SkippedChain } from '../ratchet/skipped.js';
import { activeSession, expire, NO_SESSIONS, type PeerSessions, type SessionFacts } from '../session/peer.js';
import type { StoreKey, Write } from '../store/port.js';
import type { DeviceEntry } from '../wire/objects.js';
import type { Database } from './database.js';
import { decodeFacts, encodeFacts, initRecord, keys, peerRecord, type SessionRecord, sessionRecord } from './records.js';

/** How many sessions stay decoded. */
const LIVE_SESSIONS = 1_000;

/** The stored Init of a session that was started here and is not answered yet. */
export interface StoredInit {
  readonly prefix: Uint8Array;
  readonly setId: Uint8Array;
  readonly sealKey: Uint8Array;
}

/** One session with its row. Immutable: a step makes a new one. */
export interface LiveSession {
  /** sessionId in hex: the name of its rows. */
  readonly id: string;
  readonly facts: Omit<SessionRecord, 'core'>;
  readonly state: RatchetState;
  readonly init: StoredInit | null;
}

/** A device of a peer, by its keys and not by its number: whoever claims the same account with other keys is another peer. */
export interface PeerDevice {
  readonly account: string;
  /** H(DIK), 64 bytes. */
  readonly deviceKeyHash: Uint8Array;
}

/** The sessions of one client. Callers hold the lock of the account, for reading too: what is loaded is kept. */
export interface Sessions {
  load(id: string): Promise<LiveSession | undefined>;
  /** The account of a session, which never changes: the lock that `load` needs. Holds no lock, and keeps nothing. */
  accountOf(id: string): Promise<string | undefined>;
  /** The session whose index has `tag`. */
  byTag(tag: Uint8Array): Promise<string | undefined>;
  peer(owner: PeerDevice): Promise<PeerSessions>;
  /** When sessions were started from here with any device, as far as that still counts. */
  startedAt(): Promise<readonly { readonly account: string; readonly atMs: number }[]>;
  /** Whether there were sessions with a device of this account that stands in its list no longer. */
  hasReplaced(owner: PeerDevice, listed: readonly DeviceEntry[] | undefined): Promise<boolean>;
  /** Whether one of these sessions is claimed: no pin confirms its sender so far (claims.ts). */
  isClaimed(peer: PeerSessions): Promise<boolean>;
  /** The session that sends to this device go out on. */
  active(owner: PeerDevice): Promise<{ live: LiveSession; facts: SessionFacts } | undefined>;
  /** The rows that take `before` (none for a new session) to `after`. */
  writes(before: LiveSession | undefined, after: LiveSession): Write[];
  /** The rows of a changed peer, with those of the sessions that expire through it. */
  peerWrites(owner: PeerDevice, peer: PeerSessions): Promise<{ writes: Write[]; peer: PeerSessions; expired: readonly Uint8Array[] }>;
  /** The rows that remove a peer with all its sessions; `install` is called after the commit. */
  removal(owner: PeerDevice): Promise<{ writes: Write[]; install(): void }>;
  /** After the commit: what was written is what is used from now on. */
  install(live: LiveSession): void;
  installPeer(owner: PeerDevice, peer: PeerSessions): void;
}

/** A map that drops what was not used for longest. */
function recent<V>(max: number): { get(key: string): V | undefined; set(key: string, value: V): void; delete(key: string): void } {
  const map = new Map<string, V>();
  return {
    get(key) {
      const value = map.get(key);
      if (value !== undefined) {
        map.delete(key);
        map.set(key, value);
      }
      return value;
    },
    set(key, value) {
      map.delete(key);
      map.set(key, value);
      if (map.size > max) map.delete(map.keys().next().value as string);
    },
    delete: (key) => map.delete(key),
  };
}

function tagSet(state: RatchetState | undefined): Set<string> {
  return new Set(state === undefined ? [] : receivingTags(state).map(toHex));
}

/** The rows to delete with a session. */
function deletion({ id, state, init }: LiveSession): Write[] {
  const rowKeys: StoreKey[] = [keys.session(id), keys.claimed(id)];
  if (init !== null) rowKeys.push(keys.init(id));
  for (const tag of tagSet(state)) rowKeys.push(keys.tag(tag));
  for (const { headerKey } of state.skipped) rowKeys.push(keys.skipped(id, toHex(headerKey.tag)));
  return rowKeys.map((key) => ({ key, value: null }));
}

/** The sessions in `db` whose senders no pin confirms (claims.ts), oldest first. */
export async function claimedSessions(db: Database): Promise<[id: string, session: SessionRecord][]> {
  const found: [string, SessionRecord][] = [];
  for (const { key } of await db.list(['claimed'])) {
    const row = await db.read(keys.session(key[1]!));
    if (row !== undefined) found.push([key[1]!, sessionRecord.decode(row)]);
  }
  return found.sort(([, a], [, b]) => a.createdAtMs - b.createdAtMs);
}

/** Whether a message came from who claims to be this. */
export function isFrom(
  { device, accountKeyHash }: Pick<SessionRecord, 'device' | 'accountKeyHash'>,
  from: Pick<SessionRecord, 'device' | 'accountKeyHash'>,
): boolean {
  return device === from.device && equal(accountKeyHash, from.accountKeyHash);
}

/** The sessions in `db`. */
export function sessions(db: Database): Sessions {
  const live = recent<LiveSession>(LIVE_SESSIONS);
  const peers = recent<PeerSessions>(LIVE_SESSIONS);
  const peerName = ({ account, deviceKeyHash }: PeerDevice): string => `${toHex(deviceKeyHash)} ${account}`;

  const load = async (id: string): Promise<LiveSession | undefined> => {
    const known = live.get(id);
    if (known !== undefined) return known;
    const [row, init, skippedRows] = await Promise.all([db.read(keys.session(id)), db.read(keys.init(id)), db.list(['skipped', id])]);
    if (row === undefined) return undefined;
    const { core, ...facts } = sessionRecord.decode(row);
    // Oldest chain first: the bounds drop from the front.
    const chains = skippedRows
      .map(({ value }) => decodeSkippedChain(value))
      .sort((a, b) => a.keys[0]!.receivedCount - b.keys[0]!.receivedCount);
    const state = decodeCore(core, chains);
    const loaded: LiveSession = { id, facts, state, init: init === undefined ? null : initRecord.decode(init) };
    live.set(id, loaded);
    return loaded;
  };

  /** The rows to delete with these sessions. */
  const deletions = async (ids: readonly Uint8Array[]): Promise<Write[]> => {
    const rows: Write[] = [];
    for (const id of ids) {
      const session = await load(toHex(id));
      if (session !== undefined) rows.push(...deletion(session));
    }
    return rows;
  };

  const self: Sessions = {
    load,
    async accountOf(id) {
      const known = live.get(id);
      if (known !== undefined) return known.facts.account;
      const row = await db.read(keys.session(id));
      return row === undefined ? undefined : sessionRecord.decode(row).account;
    },
    async byTag(tag) {
      const row = await db.read(keys.tag(toHex(tag)));
      return row === undefined ? undefined : toHex(row);
    },
    async peer(owner) {
      const name = peerName(owner);
      const known = peers.get(name);
      if (known !== undefined) return known;
      const row = await db.read(keys.peer(owner.account, owner.deviceKeyHash));
      if (row === undefined) return NO_SESSIONS;
      const record = peerRecord.decode(row);
      const peer: PeerSessions = {
        sessions: record.sessions.map(decodeFacts),
        startedAtMs: record.startedAtMs as readonly number[],
        incarnation: record.incarnation ?? null,
        former: (record.former ?? []) as readonly Uint8Array[],
        gone: (record.gone ?? []) as readonly Uint8Array[],
      };
      peers.set(name, peer);
      return peer;
    },
    async startedAt() {
      return (await db.list(['peer'])).flatMap(({ key, value }) =>
        (peerRecord.decode(value).startedAtMs as readonly number[]).map((atMs) => ({ account: key[1]!, atMs })),
      );
    },
    async hasReplaced({ account, deviceKeyHash }, listed = []) {
      const present = new Set([deviceKeyHash, ...listed.map(({ keyHash }) => keyHash)].map(toHex));
      return (await db.list(['peer', account])).some(({ key }) => !present.has(key[2]!));
    },
    async isClaimed({ sessions }) {
      for (const { id } of sessions) if ((await db.read(keys.claimed(toHex(id)))) !== undefined) return true;
      return false;
    },
    async active(owner) {
      const facts = activeSession(await self.peer(owner));
      const session = facts === undefined ? undefined : await load(toHex(facts.id));
      return facts === undefined || session === undefined ? undefined : { live: session, facts };
    },
    writes(before, after) {
      const { id, state } = after;
      const core = encodeCore(state);
      const rows: Write[] = [{ key: keys.session(id), value: sessionRecord.encode({ ...after.facts, core }) }];
      const oldTags = tagSet(before?.state);
      const newTags = tagSet(state);
      for (const tag of newTags) if (!oldTags.has(tag)) rows.push({ key: keys.tag(tag), value: fromHex(id)!, ifRev: 0 });
      for (const tag of oldTags) if (!newTags.has(tag)) rows.push({ key: keys.tag(tag), value: null });
      rows.push(...skippedWrites(id, before?.state.skipped ?? [], state.skipped));
      if ((before?.init ?? null) !== after.init)
        rows.push({ key: keys.init(id), value: after.init === null ? null : initRecord.encode(after.init) });
      return rows;
    },
    async peerWrites(owner, peer) {
      const { next, expired } = expire(peer);
      const record = peerRecord.encode({
        sessions: next.sessions.map(encodeFacts),
        startedAtMs: next.startedAtMs,
        incarnation: next.incarnation ?? undefined,
        former: next.former.length > 0 ? next.former : undefined,
        gone: next.gone.length > 0 ? next.gone : undefined,
      });
      const rows: Write[] = [{ key: keys.peer(owner.account, owner.deviceKeyHash), value: record }];
      return { writes: [...rows, ...(await deletions(expired))], peer: next, expired };
    },
    async removal(owner) {
      const peer = await self.peer(owner);
      const writes = await deletions(peer.sessions.map(({ id }) => id));
      return {
        writes: [...writes, { key: keys.peer(owner.account, owner.deviceKeyHash), value: null }],
        install() {
          self.installPeer(owner, NO_SESSIONS);
          peers.delete(peerName(owner));
        },
      };
    },
    install: (session) => live.set(session.id, session),
    installPeer(owner, peer) {
      for (const { id } of peers.get(peerName(owner))?.sessions ?? []) {
        if (!peer.sessions.some((kept) => compare(kept.id, id) === 0)) live.delete(toHex(id));
      }
      peers.set(peerName(owner), peer);
    },
  };
  return self;
}

/** One row for each chain with a missing message; only chains that changed are written. */
function skippedWrites(id: string, before: readonly SkippedChain[], after: readonly SkippedChain[]): Write[] {
  const rows: Write[] = [];
  if (before === after) return rows;
  const tagsAfter = new Set<string>();
  for (const chain of after) {
    const tag = toHex(chain.headerKey.tag);
    tagsAfter.add(tag);
    if (!before.includes(chain)) rows.push({ key: keys.skipped(id, tag), value: encodeSkippedChain(chain) });
  }
  for (const { headerKey } of before) {
    const tag = toHex(headerKey.tag);
    if (!tagsAfter.has(tag)) rows.push({ key: keys.skipped(id, tag), value: null });
  }
  return rows;
}
