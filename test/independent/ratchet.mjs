/**
 * The triple ratchet of section 4: double ratchet with header encryption (4.1, 4.2), chains of the SCKA (4.3), gaps and late messages (4.8).
 * A state is never changed: `send` and `receive` give the next one, so that whatever is refused leaves the old one.
 */

import { receiveBraid, sendBraid, startBraid } from './braid.mjs';
import { concat, equal, head, hex, info, need, Reader, u8, u16, u32 } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { isBucket, padBody, unpadBody } from './seal.mjs';

export const CHUNK_SIZES = { 1: 192, 2: 32, 3: 1152 };
export const LIMITS = { maxJump: 25000, storedPerGap: 1000, skippedKeys: 2000, oldChains: 128, lifetime: 4000 };
const COUNTER_MAX = 2 ** 31;
const refuse = (holds, why) => need(holds, 'ERR_DECRYPT', why);

export const kdfRoot = (rootKey, shared) => crypto.split(crypto.hkdf256(rootKey, shared, info('rk'), 96), 32, 32, 32);
export const stepEc = (key) => [crypto.hmac256(key, u8(2)), crypto.hmac256(key, u8(1))];
export const stepPq = (key, ctr) => crypto.split(crypto.hkdf256(Buffer.alloc(32), key, info('scka/next', u32(ctr)), 64), 32, 32);
/** A header key with its tag. */
export function headerKey(key) {
  const [hdrKey, tag] = crypto.split(crypto.expand256(key, info('hk'), 48), 32, 16);
  return { hdrKey, tag };
}

/** A ratchet key pair of a secret. */
const pairOf = (secret) => ({ secret, public: crypto.x25519Public(secret) });

/** Root and both chains of a chain epoch, as this side uses them. */
function chainEpoch(isInitiator, number, output) {
  const [root, a2b, b2a] = crypto.split(output, 32, 32, 32);
  const chain = (key) => ({ epoch: number, ctr: 0, key });
  return { root, sending: chain(isInitiator ? a2b : b2a), receiving: chain(isInitiator ? b2a : a2b) };
}
/** root ‖ A2B ‖ B2A of chain epoch 0, and of later ones. */
export const firstChains = (sckaSecret) => crypto.hkdf256(Buffer.alloc(32), sckaSecret, info('scka/start'), 96);
export const laterChains = (root, epoch, secret) => crypto.hkdf256(root, secret, info('scka/epoch', u32(epoch)), 96);

function startChains(isInitiator, sckaSecret) {
  const { root, sending, receiving } = chainEpoch(isInitiator, 0, firstChains(sckaSecret));
  return { isInitiator, root, sending, receiving, pqPrev: 0 };
}
/** The chains of the next epoch, which both directions enter when they are ready. */
function addEpoch(chains, epoch, secret) {
  const { root, sending, receiving } = chainEpoch(chains.isInitiator, epoch, laterChains(chains.root, epoch, secret));
  return { ...chains, root, nextSending: sending, nextReceiving: receiving };
}

/** A's state at the start; `ratchetSecret` is DHs. */
export function startInitiator(secrets, profile, remoteSignedPrekey, ratchetSecret) {
  const [rootKey, sendKey, nextHeaderSend] = kdfRoot(secrets.rootKey, crypto.x25519(ratchetSecret, remoteSignedPrekey));
  return {
    ...common(secrets, profile, true),
    kind: 'sending',
    rootKey,
    ours: pairOf(ratchetSecret),
    theirs: remoteSignedPrekey,
    sendKey,
    headerSend: headerKey(secrets.headerKeyA),
    nextHeaderSend,
    nextHeaderReceive: headerKey(secrets.nextHeaderKeyB),
  };
}
/** B's state at the start; `signedPrekey` is the secret half of SPK. */
export const startResponder = (secrets, profile, signedPrekey) => ({
  ...common(secrets, profile, false),
  kind: 'awaitingFirst',
  rootKey: secrets.rootKey,
  ours: pairOf(signedPrekey),
  nextHeaderSend: secrets.nextHeaderKeyB,
  nextHeaderReceive: headerKey(secrets.headerKeyA),
});
const common = (secrets, profile, isInitiator) => ({
  th: secrets.transcriptHash,
  c: CHUNK_SIZES[profile],
  ns: 0,
  nr: 0,
  pn: 0,
  received: 0,
  /** { tag, n, prk, r } in the order of their storing, and the old header keys { tag, hdrKey }, oldest first. */
  skipped: [],
  oldChains: [],
  braid: startBraid(isInitiator, CHUNK_SIZES[profile], secrets.sckaSecret),
  chains: startChains(isInitiator, secrets.sckaSecret),
});

const HEADER = ['dh', 'pn', 'n', 'pqEpoch', 'pqCtr', 'pqPrev', 'type', 'idx', 'flags', 'chunk'];
export const encodeHeader = ({ dh, pn, n, pqEpoch, pqCtr, pqPrev, type, idx, chunk }) =>
  concat(dh, ...[pn, n, pqEpoch, pqCtr, pqPrev].map(u32), u8(type), u16(idx), u8(0), chunk);
/** The plaintext of a hdrCt, by the rules that need no state. */
export function decodeHeader(bytes) {
  const reader = new Reader(bytes);
  const counters = Array.from({ length: 6 }, (_, i) => (i === 0 ? reader.take(32) : reader.u32()));
  const values = [...counters, reader.u8(), reader.u16(), reader.u8(), reader.rest()];
  const header = Object.fromEntries(HEADER.map((name, i) => [name, values[i]]));
  const { pn, n, pqEpoch, pqCtr, pqPrev, type, idx, flags, chunk } = header;
  refuse(n < COUNTER_MAX && pn <= COUNTER_MAX && pqPrev < COUNTER_MAX, 'a counter of the header');
  refuse(pqEpoch >= 1 && pqEpoch < COUNTER_MAX && pqCtr >= 1 && pqCtr < COUNTER_MAX, 'epoch or counter of the header');
  refuse((pqPrev === 0 || pqEpoch > 1) && type <= 6 && flags === 0, 'pqPrev, type or flags of the header');
  refuse((type !== 0 && type !== 4) || (idx === 0 && chunk.every((byte) => byte === 0)), 'a message without a chunk has one');
  return header;
}

/** A ratchet message (0x20) cut into its parts. */
export function decodeMessage(frame, c) {
  const reader = new Reader(frame);
  reader.head(0x20);
  const parts = { tag: reader.take(16), nonce: reader.take(24), header: reader.take(72 + c), commit: reader.take(32), body: reader.rest() };
  need(isBucket(parts.body.length), 'ERR_DECODE', 'length of the body');
  return parts;
}

/** The synthetic nonce of a header; `contentHash` is SHA-256(header ‖ padded plaintext). */
export const headerNonce = (prk, nonceRandom, contentHash) => crypto.hmac256(prk, info('nonce', nonceRandom, contentHash)).subarray(0, 24);
/** K, N and commit. */
export const messageKeys = (prk, th, nonce) => crypto.split(crypto.expand256(prk, info('msg', th, nonce), 76), 32, 12, 32);

/**
 * One message: { next, frame }. `random(length)` gives nonce 32, then DHs 32 where a chain starts, then what the braid samples. `alter` changes
 * the header's fields before they are sealed: what a peer can send that has the keys and breaks the rules.
 */
export function send(state, plaintext, random = crypto.random, alter = (header) => header) {
  need(state.kind !== 'awaitingFirst', 'ERR_NO_SESSION', 'B cannot send yet');
  const nonceRandom = random(32);
  let next = { ...state, kind: 'sending' };
  if (state.kind === 'awaitingSend') {
    const ours = pairOf(random(32));
    const [rootKey, sendKey, nextHeaderSend] = kdfRoot(state.rootKey, crypto.x25519(ours.secret, state.theirs));
    next = { ...next, ours, rootKey, sendKey, nextHeaderSend, ns: 0 };
  }
  const braid = sendBraid(state.braid, random);
  const { epoch, type, idx, chunk } = braid.message;
  let chains = state.chains;
  if (epoch - 1 > chains.sending.epoch) chains = { ...chains, sending: chains.nextSending, pqPrev: chains.sending.ctr };
  const pqCtr = chains.sending.ctr + 1;
  need(
    [epoch, pqCtr, next.ns].every((each) => each < COUNTER_MAX),
    'ERR_SESSION_DEAD',
    'a counter at its end',
  );
  const [pqKey, mkPq] = stepPq(chains.sending.key, pqCtr);
  chains = { ...chains, sending: { epoch: epoch - 1, ctr: pqCtr, key: pqKey } };
  if (braid.emitted) chains = addEpoch(chains, epoch, braid.emitted);
  const [sendKey, mkEc] = stepEc(next.sendKey);
  const prk = crypto.extract256(mkPq, mkEc);

  const counters = { pn: next.pn, n: next.ns, pqEpoch: epoch, pqCtr, pqPrev: chains.pqPrev };
  const header = encodeHeader(alter({ dh: next.ours.public, ...counters, type, idx, chunk }));
  const padded = padBody(plaintext);
  const nonce = headerNonce(prk, nonceRandom, crypto.sha256(concat(header, padded)));
  const [key, bodyNonce, commit] = messageKeys(prk, state.th, nonce);
  const before = concat(head(0x20), next.headerSend.tag);
  const sealedHeader = crypto.xchachaSeal(next.headerSend.hdrKey, nonce, header, info('hdr', state.th, before));
  const front = concat(before, nonce, sealedHeader, commit);
  const frame = concat(front, crypto.chachaSeal(key, bodyNonce, padded, info('body', state.th, front)));
  return { next: { ...next, sendKey, ns: next.ns + 1, braid: braid.next, chains }, frame };
}

/** Which header key a tag is of: { which, key }, or undefined. */
function findKey(state, tag) {
  const is = (key) => key !== undefined && equal(key.tag, tag);
  if (is(state.headerReceive)) return { which: 'current', key: state.headerReceive };
  if (is(state.nextHeaderReceive)) return { which: 'next', key: state.nextHeaderReceive };
  const key = state.oldChains.find(is);
  return key && { which: 'old', key };
}
/** Whether a message with this tag may be of this session. */
export const knowsTag = (state, tag) => findKey(state, tag) !== undefined;

/** One frame: { next, plaintext, late }. */
export function receive(state, frame) {
  need(frame.length <= 256 * 1024, 'ERR_TOO_LARGE', 'a frame too long');
  const parts = decodeMessage(frame, state.c);
  const found = findKey(state, parts.tag);
  need(found !== undefined, 'ERR_NO_SESSION', 'an unknown tag');
  const { which, key } = found;
  const header = decodeHeader(crypto.xchachaOpen(key.hdrKey, parts.nonce, parts.header, info('hdr', state.th, frame.subarray(0, 20))));
  const isFresh = crypto.isCanonicalX25519(header.dh) && (state.theirs === undefined || !equal(header.dh, state.theirs));
  if (which === 'next') refuse(state.kind !== 'awaitingSend' && isFresh, 'a ratchet key that cannot be');
  if (which === 'current') refuse(equal(header.dh, state.theirs), 'another ratchet key under the current header key');

  const chainEpochOf = header.pqEpoch - 1;
  const isLate = which === 'old' || (which === 'current' && header.n < state.nr);
  const stored = isLate ? state.skipped.find(({ tag, n }) => n === header.n && equal(tag, parts.tag)) : undefined;
  if (isLate) {
    need(stored !== undefined, 'ERR_DUPLICATE', 'no key for a late message');
    refuse(chainEpochOf <= state.chains.receiving.epoch, 'a late message ahead of the chains');
  } else {
    checkGap(state, header, which);
  }
  const braid = receiveBraid(state.braid, { epoch: header.pqEpoch, type: header.type, idx: header.idx, chunk: header.chunk });
  let next = { ...state, braid: braid.next, received: state.received + 1 };
  let prk = stored?.prk;
  if (isLate) next.skipped = state.skipped.filter((each) => each !== stored);
  else [next, prk] = advance(next, header, which);
  // What a message brings is added after its own step.
  if (braid.emitted) next = { ...next, chains: addEpoch(next.chains, header.pqEpoch, braid.emitted) };

  const [bodyKey, bodyNonce, commit] = messageKeys(prk, state.th, parts.nonce);
  refuse(equal(commit, parts.commit), 'the commitment');
  const front = frame.subarray(0, 148 + state.c);
  const plaintext = unpadBody(crypto.chachaOpen(bodyKey, bodyNonce, parts.body, info('body', state.th, front)));
  return { next: forget(next), plaintext, late: isLate };
}

const numbers = (from, to) => Array.from({ length: Math.max(to - from, 0) }, (_, i) => from + i);

/** All bounds of 4.8, before anything is derived. */
function checkGap({ headerReceive, nr, chains }, header, which) {
  const { epoch, ctr } = chains.receiving;
  const enters = header.pqEpoch - 1 === epoch + 1 && chains.nextReceiving?.epoch === epoch + 1;
  refuse(header.pqEpoch - 1 === epoch || enters, 'a chain epoch that is not agreed on');
  const ranges = (...pairs) => {
    refuse(
      pairs.every(([from, to]) => from <= to),
      'a range that runs backwards',
    );
    return pairs.reduce((sum, [from, to]) => sum + to - from, 0);
  };
  const { n, pn, pqCtr, pqPrev } = header;
  if (which === 'next') refuse(headerReceive !== undefined || pn === 0, 'pn without a chain before');
  const gap = which === 'next' ? ranges([headerReceive ? nr : 0, pn], [0, n]) : ranges([nr, n]);
  const pqGap = enters ? ranges([ctr + 1, pqPrev + 1], [1, pqCtr]) : ranges([ctr + 1, pqCtr]);
  refuse(gap === pqGap, 'gaps of different length');
  need(gap <= LIMITS.maxJump, 'ERR_SKIP_LIMIT', 'a gap too long');
}

/** Walks both chains up to the message of `header`: [next, PRK]. */
function advance(state, header, which) {
  let next = state;
  let receiveKey = state.receiveKey;
  let pq = state.chains.receiving;
  const missing = [];
  const step = () => {
    const [nextEc, mkEc] = stepEc(receiveKey);
    const [nextPq, mkPq] = stepPq(pq.key, pq.ctr + 1);
    receiveKey = nextEc;
    pq = { ...pq, ctr: pq.ctr + 1, key: nextPq };
    return crypto.extract256(mkPq, mkEc);
  };
  const enters = header.pqEpoch - 1 > pq.epoch;
  const enterWhereDue = () => {
    if (enters && pq.epoch < header.pqEpoch - 1 && pq.ctr === header.pqPrev) pq = state.chains.nextReceiving;
  };
  const skip = (tag, from, to) => {
    for (const n of numbers(from, to)) {
      enterWhereDue();
      missing.push({ tag, n, prk: step(), r: state.received });
    }
  };
  if (which === 'next') {
    if (state.headerReceive) skip(state.headerReceive.tag, state.nr, header.pn);
    const oldChains = state.headerReceive ? [...state.oldChains, state.headerReceive] : state.oldChains;
    const [rootKey, chainKey, nextHeaderReceive] = kdfRoot(state.rootKey, crypto.x25519(state.ours.secret, header.dh));
    receiveKey = chainKey;
    next = {
      ...state,
      kind: 'awaitingSend',
      pn: state.ns,
      headerSend: headerKey(state.nextHeaderSend),
      headerReceive: state.nextHeaderReceive,
      nextHeaderReceive: headerKey(nextHeaderReceive),
      theirs: header.dh,
      rootKey,
      nr: 0,
      oldChains,
      ours: undefined,
      sendKey: undefined,
      nextHeaderSend: undefined,
    };
  }
  skip(next.headerReceive.tag, next.nr, header.n);
  enterWhereDue();
  const prk = step();
  const entered = enters ? { nextReceiving: undefined } : {};
  const skipped = [...state.skipped, ...missing.slice(-LIMITS.storedPerGap)];
  return [{ ...next, receiveKey, nr: header.n + 1, skipped, chains: { ...state.chains, receiving: pq, ...entered } }, prk];
}

/** Drops what is over the bounds of 4.8, and old header keys that nothing waits for. */
function forget(state) {
  let skipped = state.skipped.filter(({ r }) => r >= state.received - LIMITS.lifetime);
  const waitsFor = (list) => {
    const tags = new Set(list.map(({ tag }) => hex(tag)));
    return ({ tag }) => tags.has(hex(tag));
  };
  const tooOld = waitsFor(state.oldChains.filter(waitsFor(skipped)).slice(0, -LIMITS.oldChains));
  skipped = skipped.filter((entry) => !tooOld(entry)).slice(-LIMITS.skippedKeys);
  return { ...state, skipped, oldChains: state.oldChains.filter(waitsFor(skipped)) };
}
