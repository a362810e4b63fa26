/**
 * The ML-KEM Braid: authenticator (4.4) and the eleven states of section 4.7. A state is a plain object that is never changed: `send` and
 * `receive` give the next one. Knows no frame, no chain and no double ratchet.
 */
import { concat, equal, info, need, Reader, u8, u16, u32, zeros } from './bytes.mjs';
import { hkdf256, hmac256, mlKem768, sha3t256, split } from './crypto.mjs';
import { addChunk, chunkOf, pieceOf } from './erasure.mjs';
import { encaps1, encaps2 } from './kpke.mjs';

export const TYPES = ['None', 'Hdr', 'Ek', 'EkCt1Ack', 'Ct1Ack', 'Ct1', 'Ct2'];
const [NONE, HDR, EK, EK_CT1_ACK, CT1_ACK, CT1, CT2] = TYPES.keys();
/** Lengths of the four pieces. */
const HEADER = 96;
const CIPHERTEXT1 = 960;
const VECTOR = 1152;
const CIPHERTEXT2 = 160;

export const update = (root, e, k) => {
  const [next, mac] = split(hkdf256(zeros(32), concat(root, k), info('scka/auth', u32(e)), 64), 32, 32);
  return { root: next, mac };
};
export const epochSecret = (e, ss) => hkdf256(zeros(32), ss, info('scka/key', u32(e)), 32);
export const hdrMac = ({ mac, e }, hdr) => hmac256(mac, info('scka/hdr-mac', u32(e), hdr));
export const ctMac = ({ mac, e }, ct1, ct2) => hmac256(mac, info('scka/ct-mac', u32(e), concat(ct1, ct2)));

/** The state of a side at the start. `c` is the chunk size of the profile. */
export function startBraid(isInitiator, c, sckaSecret) {
  const kept = isInitiator ? { kind: 'KeysUnsampled' } : { kind: 'NoHeaderReceived', chunks: [] };
  return { c, e: 1, ...update(zeros(32), 1, sckaSecret), ...kept };
}

/** A state of the same session with other things kept: nothing else of the old one stays. */
const become = ({ c, e, root, mac }, kind, kept = {}) => ({ c, e, root, mac, kind, ...kept });
const after = (idx) => (idx + 1) % 65536;

function headerOf(state) {
  const ek = mlKem768.publicOf(state.seed);
  const hdr = concat(ek.subarray(VECTOR), sha3t256(ek));
  return concat(hdr, hdrMac(state, hdr));
}
const vectorOf = ({ seed }) => mlKem768.publicOf(seed).subarray(0, VECTOR);

/** One send: { next, message { epoch, type, idx, chunk }, emitted? }. `random(length)` gives the seed or m where the table says so. */
export function sendBraid(state, random) {
  const { kind, c, e } = state;
  const say = (type, next, piece, idx = state.idx) => ({
    next,
    message: { epoch: e, type, idx: piece ? idx : 0, chunk: piece ? chunkOf(piece, c, idx) : zeros(c) },
  });
  const goOn = (type, piece) => say(type, { ...state, idx: after(state.idx) }, piece);
  if (kind === 'KeysUnsampled') {
    const next = become(state, 'KeysSampled', { seed: random(64), idx: 1 });
    return say(HDR, next, headerOf(next), 0);
  }
  if (kind === 'KeysSampled') return goOn(HDR, headerOf(state));
  if (kind === 'HeaderSent') return goOn(EK, vectorOf(state));
  if (kind === 'Ct1Received') return goOn(EK_CT1_ACK, vectorOf(state));
  if (kind === 'EkSentCt1Received') return say(CT1_ACK, state);
  if (kind === 'HeaderReceived') {
    const m = random(32);
    const { shared, ct1 } = encaps1(state.hdr, m);
    const emitted = epochSecret(e, shared);
    const kept = { hdr: state.hdr, m, ct1, idx: 1, chunks: [] };
    return { ...say(CT1, { ...become(state, 'Ct1Sampled', kept), ...update(state.root, e, emitted) }, ct1, 0), emitted };
  }
  if (kind === 'Ct1Sampled' || kind === 'EkReceivedCt1Sampled') return goOn(CT1, state.ct1);
  if (kind === 'Ct2Sampled') return goOn(CT2, state.piece);
  return say(NONE, state);
}

const refuse = (holds, why) => need(holds, 'ERR_DECRYPT', why);

/** C2 of the table, with the vector whole. */
function toCt2(state, vector) {
  const ct2 = encaps2(state.hdr, vector, state.m, state.ct1);
  return become(state, 'Ct2Sampled', { piece: concat(ct2, ctMac(state, state.ct1, ct2)), idx: 0 });
}

function receiveVector(state, { type, idx, chunk }) {
  const chunks = addChunk(state.chunks, VECTOR, idx, chunk);
  const vector = pieceOf(chunks, VECTOR, state.c);
  const { hdr, m, ct1 } = state;
  if (vector === undefined) {
    const acknowledged = state.kind === 'Ct1Sampled' && type === EK_CT1_ACK;
    return { next: acknowledged ? become(state, 'Ct1Acknowledged', { hdr, m, ct1, chunks }) : { ...state, chunks } };
  }
  refuse(equal(sha3t256(concat(vector, hdr.subarray(0, 32))), hdr.subarray(32)), 'the vector is not the header’s');
  if (state.kind === 'Ct1Sampled' && type === EK) {
    return { next: become(state, 'EkReceivedCt1Sampled', { hdr, m, ct1, idx: state.idx, vector }) };
  }
  return { next: toCt2(state, vector) };
}

function receiveCt1(state, { idx, chunk }) {
  const chunks = addChunk(state.chunks ?? [], CIPHERTEXT1, idx, chunk);
  const ct1 = pieceOf(chunks, CIPHERTEXT1, state.c);
  // Counting of the vector begins with HeaderSent.
  const kept = { seed: state.seed, idx: state.kind === 'KeysSampled' ? 0 : state.idx };
  return { next: ct1 ? become(state, 'Ct1Received', { ...kept, ct1 }) : become(state, 'HeaderSent', { ...kept, chunks }) };
}

function receiveCt2(state, { idx, chunk }) {
  const chunks = addChunk(state.chunks ?? [], CIPHERTEXT2, idx, chunk);
  const piece = pieceOf(chunks, CIPHERTEXT2, state.c);
  if (piece === undefined) return { next: become(state, 'EkSentCt1Received', { seed: state.seed, ct1: state.ct1, chunks }) };
  const [ct2, mac] = split(piece, 128, 32);
  const emitted = epochSecret(state.e, mlKem768.decaps(state.seed, concat(state.ct1, ct2)));
  const authenticated = { ...state, ...update(state.root, state.e, emitted) };
  refuse(equal(ctMac(authenticated, state.ct1, ct2), mac), 'MAC of the ciphertext');
  return { next: become({ ...authenticated, e: state.e + 1 }, 'NoHeaderReceived', { chunks: [] }), emitted };
}

function receiveHeader(state, { idx, chunk }) {
  const chunks = addChunk(state.chunks, HEADER, idx, chunk);
  const piece = pieceOf(chunks, HEADER, state.c);
  if (piece === undefined) return { next: { ...state, chunks } };
  const [hdr, mac] = split(piece, 64, 32);
  refuse(equal(hdrMac(state, hdr), mac), 'MAC of the header');
  return { next: become(state, 'HeaderReceived', { hdr }) };
}

const TAKES = {
  KeysSampled: [[CT1], receiveCt1],
  HeaderSent: [[CT1], receiveCt1],
  Ct1Received: [[CT2], receiveCt2],
  EkSentCt1Received: [[CT2], receiveCt2],
  NoHeaderReceived: [[HDR], receiveHeader],
  Ct1Sampled: [[EK, EK_CT1_ACK], receiveVector],
  EkReceivedCt1Sampled: [[EK_CT1_ACK, CT1_ACK], (state) => ({ next: toCt2(state, state.vector) })],
  Ct1Acknowledged: [[EK, EK_CT1_ACK], receiveVector],
};

/** One receipt: { next, emitted? }, or ERR_DECRYPT. An ignored message gives the state itself. */
export function receiveBraid(state, message) {
  if (message.epoch < state.e) return { next: state };
  if (message.epoch > state.e) {
    refuse(message.epoch === state.e + 1 && state.kind === 'Ct2Sampled', 'an epoch that cannot be');
    return { next: become({ ...state, e: state.e + 1 }, 'KeysUnsampled') };
  }
  const [types, take] = TAKES[state.kind] ?? [[]];
  return types.includes(message.type) ? take(state, message) : { next: state };
}

/** What each state keeps, in the order of its encoding in test-vectors/braid.json; a number is a length of bytes. */
const KEPT = {
  KeysUnsampled: {},
  KeysSampled: { seed: 64, idx: 'u16' },
  HeaderSent: { seed: 64, idx: 'u16', chunks: 'chunks' },
  Ct1Received: { seed: 64, idx: 'u16', ct1: CIPHERTEXT1 },
  EkSentCt1Received: { seed: 64, ct1: CIPHERTEXT1, chunks: 'chunks' },
  NoHeaderReceived: { chunks: 'chunks' },
  HeaderReceived: { hdr: 64 },
  Ct1Sampled: { hdr: 64, m: 32, ct1: CIPHERTEXT1, idx: 'u16', chunks: 'chunks' },
  EkReceivedCt1Sampled: { hdr: 64, m: 32, ct1: CIPHERTEXT1, idx: 'u16', vector: VECTOR },
  Ct1Acknowledged: { hdr: 64, m: 32, ct1: CIPHERTEXT1, chunks: 'chunks' },
  Ct2Sampled: { piece: CIPHERTEXT2, idx: 'u16' },
};
const KINDS = Object.keys(KEPT);

export function encodeBraid(state) {
  const kept = Object.entries(KEPT[state.kind]).map(([name, form]) => {
    if (form === 'u16') return u16(state[name]);
    if (form !== 'chunks') return state[name];
    return concat(u16(state.c), u16(state.chunks.length), ...state.chunks.map(({ idx, chunk }) => concat(u16(idx), chunk)));
  });
  return concat(u8(KINDS.indexOf(state.kind)), u32(state.e), state.root, state.mac, ...kept);
}
export function decodeBraid(bytes, c) {
  const reader = new Reader(bytes);
  const state = { c, kind: KINDS[reader.u8()], e: reader.u32(), root: reader.take(32), mac: reader.take(32) };
  for (const [name, form] of Object.entries(KEPT[state.kind])) {
    if (form === 'u16') state[name] = reader.u16();
    else if (form !== 'chunks') state[name] = reader.take(form);
    else {
      need(reader.u16() === c, 'ERR_DECODE', 'a chunk size');
      state.chunks = Array.from({ length: reader.u16() }, () => ({ idx: reader.u16(), chunk: reader.take(c) }));
    }
  }
  reader.end();
  return state;
}
