/** Every bound of the protocol and of the client, each with its unit and its reason. None is configurable. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Bounds of the wire protocol: both sides must agree, so a change is a new version. */
export const wireLimits = {
  /** Largest frame that is looked at at all. The largest legal one has 87,164 bytes; the rest is room for later types. */
  frameBytes: 256 * 1024,
  /** The longest sealed frame: an Init of 64 devices with the longest message, padded. */
  sealedBytes: 87_164,
  /** Init without its ratchet message: 64 devices in the list make 18,969 bytes. */
  initBytes: 24 * 1024,
  /** A bundle: 64 devices make 25,679 bytes. */
  bundleBytes: 32 * 1024,
  /** The longest RootStatement. */
  rootStatementBytes: 16_422,
  accountIdBytes: 64,
  deviceIdMax: 0x7fff_ffff,
  devicesPerList: 64,
  /** Plaintext with its 41-byte head, before padding. */
  plaintextBytes: 65_535,
  /** Counters n, pqCtr and e are refused from here: far from any wrap. */
  counterMax: 0x8000_0000,
  /** Units in a one-time batch; Merkle paths have at most 7 nodes. */
  batchUnitCount: 128,
  merklePathCount: 7,
  /** Integers on the wire fit a JavaScript number. */
  u64Max: Number.MAX_SAFE_INTEGER,
} as const;

/** Bounds of the ratchet (section 4.8): work and memory per session. */
export const ratchetLimits = {
  /** Messages that may be missing before one message; ≈1.4 s of hashing, only after the header authenticated. */
  maxJump: 25_000,
  /** Keys kept for one gap. */
  storedPerGap: 1_000,
  /** Keys kept for one session, oldest dropped first. */
  skippedKeys: 2_000,
  /** Old receiving chains of which keys are kept. */
  oldChains: 128,
  /** Received messages after which a skipped key is dropped. */
  skippedLifetimeMessages: 4_000,
} as const;

/** Lifetimes of what a device publishes (section 2.2). */
export const keyLimits = {
  listFreshMs: 7 * DAY_MS,
  listReissueLeftMs: 3 * DAY_MS,
  listStaleMs: 90 * DAY_MS,
  setRotationMs: 7 * DAY_MS,
  setLifetimeMs: 45 * DAY_MS,
  /** Secrets of a set live this long after a newer set's publication was acknowledged: 1 d bundle age + 14 d unanswered Init + 30 d relay queue. */
  setSecretsMs: 45 * DAY_MS,
  batchUnitCount: 100,
  batchRefillBelow: 20,
  /** Batches with unused units whose secrets are kept: a directory that claims to have none left is not believed for ever. */
  batchesHeldCount: 8,
  batchLifetimeMs: 90 * DAY_MS,
  batchSecretsMs: 45 * DAY_MS,
  /** Seen rows of one set: publish a new set / delete the set's secrets. */
  seenNewSet: 10_000,
  seenDeleteSet: 20_000,
} as const;

/** Bounds of sessions and healing (section 5). */
export const sessionLimits = {
  archivedCount: 4,
  /** Earlier incarnations of one device that are remembered, so that none comes back. */
  formerIncarnations: 4,
  /** Devices of one account that its list names no more and whose sessions are kept, so that it is told when they still write. */
  formerDevices: 8,
  tieBreakMs: 72 * HOUR_MS,
  /** A session that won a tie-break and is not answered for this long, while the peer writes on the one that lost: the peer has not got it. */
  unmatchedMs: HOUR_MS,
  unansweredMs: 14 * DAY_MS,
  unansweredMessages: 200,
  unansweredMessagesSmallCarrier: 20,
  smallCarrierBytes: 16 * 1024,
  newPerDeviceHour: 1,
  newPerDeviceDay: 3,
  newPerHour: 30,
  /** Messages in a row, all of different names, that fail behind their headers before a session counts as broken. */
  suspectCount: 3,
  /** Messages of one broken session that the other side is asked for again; also how many one request may name. */
  requestedMessages: 64,
  /** How long a message that everyone's relay has is kept to be sent again: longer than most devices are offline. */
  sendLogMs: 48 * HOUR_MS,
  /** Messages so kept, oldest dropped first: their names are all in memory. */
  sendLogCount: 1_000,
  /** How often one of them is sent again to one device: who can't read three encryptions can't read a fourth. */
  resendCount: 3,
  /** After so long without an authenticated answer the directory is asked whether the device lost its state. */
  silenceMs: 7 * DAY_MS,
  /** Reports of messages that could not be read, kept for `diagnose`; oldest dropped first. */
  troubleCount: 100,
  /** Of these, those about one account. Of too many the oldest of the account goes that has most: a few push out nothing of others. */
  troublePerAccount: 20,
  /** Content of one account that can't be read is said again, for the same reason, after so long. */
  unreadableAgainMs: HOUR_MS,
  /**
   * Events in that time of what anybody can make: of first messages for keys that are gone, those of contacts, and as many of others; and of
   * sessions that fail while nobody has confirmed who their sender is.
   */
  goneReports: 8,
  /** Sessions of senders that the directory has not confirmed; above, the oldest goes. Also how many of them it is asked about at once. */
  claimedCount: 64,
  /** Messages of senders that the directory has not confirmed; above, the relay keeps theirs. */
  claimedMessages: 1_000,
  /** The same of one account: no other pays for it that nobody can confirm this one. */
  claimedPerAccount: 100,
  unknownFlightsPerMinute: 30,
  /** First flights of one account whose devices only a list past its freshness names, and which wait with the relay for a newer one. */
  unlistedFlights: 4,
  /** How often the directory is asked whether a pinned identity has changed, because a first flight says so. */
  identityCheckMs: DAY_MS,
  /** Of how many identities of one account it is asked in that time: a contact may change twice in a day, forged flights cost no more. */
  identityChecks: 4,
  /** How often the directory is asked for a newer list or set of one account, at most. */
  listRefetchMs: 10 * MINUTE_MS,
  /** Sessions of a peer device that it named as replaced before their flights came, and of which that is remembered. */
  goneSessions: 16,
  /** How often a device is told the same list, at most. */
  toldAgainMs: DAY_MS,
  /** Devices of which it is remembered when they were last told the own list. */
  toldDevices: 1_000,
} as const;

/** Bounds of linking a device, and of the drop box through which two devices that share no session pass four messages. */
export const linkLimits = {
  /** How long a code is good: time to fetch the other device and to type 24 characters; a photograph of it is worthless after. */
  codeMs: 10 * MINUTE_MS,
  /** The longest of the four messages, a grant with a list of 64 devices, has about 12 KiB. */
  slotBytes: 64 * 1024,
  /** A slot outlives the code: the answer is picked up a little later. */
  slotMs: 15 * MINUTE_MS,
  /** How long one question waits for a slot to be filled: below what proxies take for a dead connection. */
  pollMs: 25_000,
  /** Pause after a drop box has answered that it is empty: one that does not wait itself must not be asked without end. */
  emptyMs: 1_000,
} as const;

/** How tabs that have one store open notice that another is gone or frozen. */
export const tabLimits = {
  /** Pause between two questions to a tab from which something is awaited. */
  pingMs: 2_000,
  /** Questions without an answer after which it counts as gone: a tab is busy for seconds at most. */
  silentPings: 3,
  /** Engines that a tab opens again within a minute after another writer was met; then it halts. */
  reopenings: 5,
} as const;

/** Bounds of what is said about messages (order, edits, reactions, deletions, receipts). */
export const talkLimits = {
  /** How far a message may stand beyond all that is known of its conversation: 136 years in seconds, since a clock may begin its counter. */
  orderJump: 2 ** 32,
  /** The same for one's own other devices: beyond all that contacts can have brought about, and a fraction of all that there is. */
  ownOrderJump: 2 ** 44,
  /**
   * What is known of sent and received messages is kept this long: an edit within `targetAgeMs` finds its target also where the one or the
   * other was on its way for as long as messages may be, 30 days.
   */
  knownMs: 150 * DAY_MS,
  /** What seems to be past its time for longer than this was not looked at when it was, or by another clock: its time begins anew. */
  unseenMs: 7 * DAY_MS,
  /** Edits, reactions and deletions that wait for their target, of one author in one conversation; more are dropped. */
  earlyCount: 64,
  /** The same while no pin confirms who the author is: there may be `sessionLimits.claimedCount` such authors. */
  earlyClaimedCount: 8,
  /** In days on which the client runs, as `queueAgeMs`: their target may be on its way for so long. */
  earlyMs: 30 * DAY_MS,
  /** Receipts of one account wait at random for this long, together: single ones would tell its relay which message they answer. */
  receiptsMinMs: 1_000,
  receiptsMaxMs: 30_000,
  /** Ids in one message with receipts. */
  receiptsCount: 256,
} as const;

/** Bounds that an application meets. */
export const limits = Object.freeze({
  /** Encoded content of one message: what a ratchet message holds beside its own head and a session's hello. More is `ERR_LENGTH`. */
  contentBytes: 65_000,
  /** Rows in the inbox; above, the relay keeps the rest. */
  inboxCount: 10_000,
  /** Messages yielded and not acknowledged; above, the loop rejects. */
  unackedYieldedCount: 1_000,
  /** A queued message fails after this. What one device of an account has waits for the others for so many days on which its sender runs. */
  queueAgeMs: 30 * DAY_MS,
  /** An idempotency key is remembered this long. */
  idempotencyKeyMs: 30 * DAY_MS,
  idempotencyKeyBytes: 64,
  /** A message can be edited, reacted to and deleted for this long: so long its id is remembered. */
  targetAgeMs: 90 * DAY_MS,
  /** A reaction, in UTF-8. */
  emojiBytes: 64,
  /** The shortest timer of a conversation: below, messages would be gone before a person has seen them. */
  disappearLeastMs: 5_000,
  /** The longest timer of a conversation. */
  disappearAfterMs: 366 * DAY_MS,
  /** One record of an application's own in an export: kept whole in memory. */
  historyRecordBytes: 1024 * 1024,
  /** Such records in one part of `devices.sendHistory()`, together: also the longest one. A message holds that with room to spare. */
  historyPartBytes: 48 * 1024,
  accountBytes: wireLimits.accountIdBytes,
} as const);
