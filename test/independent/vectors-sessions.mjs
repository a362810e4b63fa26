/** Operations of the vectors of sessions: handshake, key derivations, braid, ratchet. Names are those of the files. */

import * as braids from './braid.mjs';
import { verifyBundle } from './bundle.mjs';
import { ascii, concat, equal, info, unhex, zeros } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { addChunk, chunkOf, pieceOf } from './erasure.mjs';
import * as handshakes from './handshake.mjs';
import * as kpke from './kpke.mjs';
import * as objects from './objects.mjs';
import * as ratchets from './ratchet.mjs';
import { seal } from './seal.mjs';
import { binaryStream } from './streams.mjs';

const maybe = (value) => (value === undefined ? undefined : unhex(value));
/** Random bytes in the order of drawing; all of them must be drawn. */
function fixed(bytes) {
  let rest = unhex(bytes);
  const random = (length) => {
    if (rest.length < length) throw new Error('nothing left to draw');
    const out = rest.subarray(0, length);
    rest = rest.subarray(length);
    return out;
  };
  const done = () => {
    if (rest.length > 0) throw new Error(`${rest.length} random bytes were not drawn`);
  };
  return { random, done };
}

/** A device of the files with its secrets. */
function partyOf({ account, device, accountKey, deviceSecretKey, dhSecretKey, deviceList }) {
  const [deviceSecret, dhSecret] = [unhex(deviceSecretKey), unhex(dhSecretKey)];
  const keys = { accountKey: unhex(accountKey), deviceKey: objects.compositePublic(deviceSecret), dhKey: crypto.x25519Public(dhSecret) };
  return { account: ascii(account), device, deviceSecret, dhSecret, ...keys, list: unhex(deviceList) };
}
function setOf({ signedSet, signedPrekeySecretKey, lastResortSeed, sealSeed }) {
  const secrets = { signedPrekey: unhex(signedPrekeySecretKey), lastResort: unhex(lastResortSeed), sealSeed: unhex(sealSeed) };
  return { ...objects.decodeSignedSet(unhex(signedSet)), secrets };
}
function batchOf({ head, units }) {
  const secrets = units.map(({ otId, oneTimePrekeySecretKey, oneTimeKemPrekeySeed }) => {
    const [secret, seed] = [unhex(oneTimePrekeySecretKey), unhex(oneTimeKemPrekeySeed)];
    return { otId: unhex(otId), secret, seed, prekey: crypto.x25519Public(secret), kemPrekey: crypto.mlKem1024.publicOf(seed) };
  });
  return { ...objects.decodeBatch(unhex(head)), units: secrets };
}
function bundleOf({ account, device, identity, signedSet, head, entry, nowMs }) {
  const oneTime = head && { batch: unhex(head), entry: unhex(entry) };
  return verifyBundle({ account: ascii(account), device, identity: unhex(identity), signedSet: unhex(signedSet), oneTime }, { now: nowMs });
}
const numbered = ({ dh, ...rest }) => ({ ...rest, ...Object.fromEntries(dh.map((each, i) => [`dh${i + 1}`, each])) });
const secretsOf = ({ sessionId, transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret }) => ({
  ...{ sessionId, transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret },
});

/** A responder that keeps what it has accepted. */
function responderOf(inputs) {
  const [party, set, batch] = [partyOf(inputs.responder), setOf(inputs.responder), batchOf(inputs.responder)];
  const seen = new Map();
  const accept = ({ init: bytes, knownList, pinnedIdentity, nowMs }) => {
    const init = handshakes.decodeInit(unhex(bytes));
    // A list of another AIK is none of this account.
    const known = knownList && objects.decodeDeviceList(unhex(knownList));
    const isOwn = known && equal(known.accountKeyHash, crypto.sha512(init.accountKey));
    const accepted = handshakes.accept(party, set, batch, init, { pin: maybe(pinnedIdentity), knownList: isOwn ? known : undefined, seen });
    if (accepted.isRepeated) return { isRepeated: true, sessionId: accepted.sessionId };
    seen.set(accepted.flight, { initId: init.initId, sessionId: accepted.sessionId });
    if (accepted.unit !== undefined) batch.units.splice(batch.units.indexOf(accepted.unit), 1);
    return {
      isRepeated: false,
      ...secretsOf(accepted),
      initId: init.initId,
      replayable: accepted.unit === undefined,
      listIsStale: nowMs > accepted.list.freshUntil,
      account: init.account.toString('utf8'),
      device: init.device,
      accountKeyHash: crypto.sha512(init.accountKey),
      ratchetMessage: accepted.message,
    };
  };
  return { party, set, batch, steps: { accept }, end: () => ({ unitCount: batch.units.length, seenCount: seen.size }) };
}

const handshake = {
  agree: ({ dhSecretKey, ephemeralSecretKey, kemRandom, dhKey, signedPrekey, oneTimePrekey, kemPrekey }) => {
    const own = { dhSecret: unhex(dhSecretKey), ephemeralSecret: unhex(ephemeralSecretKey), m: unhex(kemRandom) };
    const remote = { dhKey, signedPrekey, oneTimePrekey, kemPrekey };
    const keys = Object.fromEntries(Object.entries(remote).map(([name, value]) => [name, maybe(value)]));
    const { ephemeral, shared, ciphertext, dh } = handshakes.agree(own, keys);
    return numbered({ ephemeralKey: ephemeral, dh, kemCiphertext: ciphertext, kemSharedSecret: shared });
  },
  agreeAsResponder: ({ dhSecretKey, signedPrekeySecretKey, oneTimePrekeySecretKey, kemSeed, dhKey, ephemeralKey, kemCiphertext }) => {
    const own = { dhSecret: unhex(dhSecretKey), signedPrekeySecret: unhex(signedPrekeySecretKey), kemSeed: unhex(kemSeed) };
    const remote = { dhKey: unhex(dhKey), ephemeral: unhex(ephemeralKey), ciphertext: unhex(kemCiphertext) };
    const { dh, shared } = handshakes.agreeAsResponder({ ...own, oneTimeSecret: maybe(oneTimePrekeySecretKey) }, remote);
    return numbered({ dh, kemSharedSecret: shared });
  },
  derive: ({ transcript, dh1, dh2, dh3, dh4, kemSharedSecret }) => {
    const dh = [dh1, dh2, dh3, dh4].filter((each) => each !== undefined).map(unhex);
    return handshakes.derive(unhex(transcript), { dh, shared: unhex(kemSharedSecret) });
  },
  initiate: (inputs) => {
    const { random, done } = fixed(inputs.random);
    const made = handshakes.initiate(partyOf(inputs.initiator), bundleOf(inputs), inputs.profile, random);
    done();
    return { initId: made.initId, signature: made.init.subarray(-3373), ...secretsOf(made) };
  },
  accept: (inputs) => responderOf(inputs).steps.accept(inputs),
  responder: (inputs) => responderOf(inputs),
  firstFlight: (inputs) => {
    const { random, done } = fixed(inputs.random);
    const bundle = bundleOf(inputs);
    const made = handshakes.initiate(partyOf(inputs.initiator), bundle, inputs.profile, random);
    const state = ratchets.startInitiator(made, inputs.profile, made.remoteSignedPrekey, random(32));
    const { frame } = ratchets.send(state, unhex(inputs.plaintext), random);
    const recipient = { ...bundle, setId: bundle.set.setId, sealKey: bundle.set.sealKey };
    const sealed = seal(recipient, concat(made.init, frame), random(64));
    done();
    return { frameHash: crypto.sha256(sealed) };
  },
  openFirstFlight: (inputs) => {
    const { party, set, batch } = responderOf(inputs);
    const { init } = handshakes.openFlight(party, set, unhex(inputs.frame));
    const accepted = handshakes.accept(party, set, batch, init);
    const { plaintext } = ratchets.receive(ratchets.startResponder(accepted, init.profile, set.secrets.signedPrekey), accepted.message);
    return { initId: init.initId, sessionId: accepted.sessionId, plaintext };
  },
};

const chains = (output) => {
  const [root, a2b, b2a] = crypto.split(output, 32, 32, 32);
  return { root, a2b, b2a };
};
const headerKeyOf = (key) => {
  const { hdrKey, tag } = ratchets.headerKey(key);
  return { key: hdrKey, tag };
};
const ratchetKeys = {
  root: ({ rootKey, secretKey, publicKey }) => {
    const dh = crypto.x25519(unhex(secretKey), unhex(publicKey));
    const [next, chainKey, nextHeaderKey] = ratchets.kdfRoot(unhex(rootKey), dh);
    return { dh, rootKey: next, chainKey, nextHeaderKey: headerKeyOf(nextHeaderKey) };
  },
  headerKey: ({ headerKey }) => headerKeyOf(unhex(headerKey)),
  chain: (inputs) => {
    const [chainKey, messageKey] = ratchets.stepEc(unhex(inputs.chainKey));
    return { messageKey, chainKey };
  },
  message: ({ ecMessageKey, pqMessageKey, transcriptHash, random, header, padded }) => {
    const prk = crypto.extract256(unhex(pqMessageKey), unhex(ecMessageKey));
    const contentHash = crypto.sha256(concat(unhex(header), unhex(padded)));
    const headerNonce = ratchets.headerNonce(prk, unhex(random), contentHash);
    const [key, nonce, commitment] = ratchets.messageKeys(prk, unhex(transcriptHash), headerNonce);
    return { prk, contentHash, headerNonce, key, nonce, commitment };
  },
  sckaStart: ({ sckaSecret }) => chains(ratchets.firstChains(unhex(sckaSecret))),
  sckaEpoch: ({ root, epoch, epochSecret }) => chains(ratchets.laterChains(unhex(root), epoch, unhex(epochSecret))),
  sckaChain: (inputs) => {
    const [chainKey, messageKey] = ratchets.stepPq(unhex(inputs.chainKey), inputs.counter);
    return { chainKey, messageKey };
  },
  epochSecret: ({ sharedSecret, epoch }) => ({ epochSecret: braids.epochSecret(epoch, unhex(sharedSecret)) }),
  authenticatorStart: ({ sckaSecret }) => braids.update(zeros(32), 1, unhex(sckaSecret)),
  authenticatorUpdate: ({ root, epoch, epochSecret }) => braids.update(unhex(root), epoch, unhex(epochSecret)),
  headerMac: ({ mac, epoch, header }) => ({ mac: braids.hdrMac({ mac: unhex(mac), e: epoch }, unhex(header)) }),
  ciphertextMac: ({ mac, epoch, ct1, ct2 }) => ({ mac: braids.ctMac({ mac: unhex(mac), e: epoch }, unhex(ct1), unhex(ct2)) }),
};

const headerFields = ({ dh, pn, n, pqEpoch, pqCtr, pqPrev, type, idx, chunk }) => ({
  ...{ ratchetKey: dh, previousChainLength: pn, n, pqEpoch, pqCounter: pqCtr, pqPrevious: pqPrev, type, index: idx, chunk },
});
const header = {
  seal: (inputs) => {
    const { hdrKey, tag } = ratchets.headerKey(unhex(inputs.headerKey));
    const prefix = concat(unhex('20010001'), tag);
    const ad = info('hdr', unhex(inputs.transcriptHash), prefix);
    const { previousChainLength: pn, n, pqEpoch, pqCounter: pqCtr, pqPrevious: pqPrev, type, index: idx } = inputs;
    const counters = { pn, n, pqEpoch, pqCtr, pqPrev, type, idx };
    const plain = ratchets.encodeHeader({ dh: unhex(inputs.ratchetKey), ...counters, chunk: unhex(inputs.chunk) });
    return { prefix, ad, header: plain, headerCiphertext: crypto.xchachaSeal(hdrKey, unhex(inputs.headerNonce), plain, ad) };
  },
  open: ({ headerKey, headerNonce, transcriptHash, prefix, headerCiphertext }) => {
    const { hdrKey } = ratchets.headerKey(unhex(headerKey));
    const ad = info('hdr', unhex(transcriptHash), unhex(prefix));
    return headerFields(ratchets.decodeHeader(crypto.xchachaOpen(hdrKey, unhex(headerNonce), unhex(headerCiphertext), ad)));
  },
};

const incrementalKem = {
  key: ({ seed }) => {
    const key = crypto.mlKem768.publicOf(unhex(seed));
    return { header: concat(key.subarray(1152), crypto.sha3t256(key)), vector: key.subarray(0, 1152) };
  },
  encaps1: (inputs) => {
    const { ct1, shared } = kpke.encaps1(unhex(inputs.header), unhex(inputs.m));
    return { ct1, sharedSecret: shared };
  },
  encaps2: (inputs) => {
    const [hdr, vector, m, ct1] = [inputs.header, inputs.vector, inputs.m, inputs.ct1].map(unhex);
    return { ct2: kpke.encaps2(hdr, vector, m, ct1), sharedSecret: kpke.encaps1(hdr, m).shared };
  },
  decaps: ({ seed, ct1, ct2 }) => ({ sharedSecret: crypto.mlKem768.decaps(unhex(seed), concat(unhex(ct1), unhex(ct2))) }),
};

const erasure = {
  chunk: ({ piece, chunkBytes, index }) => ({ chunk: chunkOf(unhex(piece), chunkBytes, index) }),
  decode: ({ lengthBytes, chunkBytes, chunks: given }) => {
    const kept = given.reduce((all, { index, chunk }) => addChunk(all, lengthBytes, index, unhex(chunk)), []);
    return { kept: kept.map(({ idx }) => idx), piece: pieceOf(kept, lengthBytes, chunkBytes) };
  },
};

/** The name of a state in `states`, by its encoding. */
const nameOf = (states, state) => {
  const encoded = braids.encodeBraid(state).toString('hex');
  return Object.keys(states).find((name) => states[name] === encoded) ?? encoded;
};
const stateOf = ({ states, state, profile }) => braids.decodeBraid(unhex(states[state]), ratchets.CHUNK_SIZES[profile]);
const braid = {
  send: (inputs) => {
    const { random, done } = fixed(inputs.random ?? '');
    const { next, message, emitted } = braids.sendBraid(stateOf(inputs), random);
    done();
    const { epoch, type, idx, chunk } = message;
    return { message: { epoch, type, index: idx, chunk }, next: nameOf(inputs.states, next), emitted };
  },
  receive: (inputs) => {
    const { epoch, type, index, chunk } = inputs.message;
    const { next, emitted } = braids.receiveBraid(stateOf(inputs), { epoch, type, idx: index, chunk: unhex(chunk) });
    return { next: nameOf(inputs.states, next), emitted };
  },
};

/** Both sides of a session: `randomOf(side, step)` is what a step draws from. */
function sessionOf(inputs, initiatorRatchetSecret, randomOf, show) {
  const names = ['transcriptHash', 'rootKey', 'headerKeyA', 'nextHeaderKeyB', 'sckaSecret'];
  const secrets = Object.fromEntries(names.map((name) => [name, unhex(inputs[name])]));
  const states = {
    initiator: ratchets.startInitiator(secrets, inputs.profile, unhex(inputs.signedPrekeyPublicKey), initiatorRatchetSecret),
    responder: ratchets.startResponder(secrets, inputs.profile, unhex(inputs.signedPrekeySecretKey)),
  };
  const sent = [];
  const epochs = ({ chains: { sending, receiving } }) => ({ sendingEpoch: sending.epoch, receivingEpoch: receiving.epoch });
  return {
    steps: {
      send: (step) => {
        const { random, done } = randomOf(step);
        const { next, frame } = ratchets.send(states[step.from], show.plaintext(step, sent.length), random);
        done();
        states[step.from] = next;
        sent.push({ frame, to: step.from === 'initiator' ? 'responder' : 'initiator' });
        return show.sent(frame, step);
      },
      receive: (step) => {
        const { frame, to } = step.message === undefined ? { frame: unhex(step.frame), to: step.to } : sent[step.message];
        const { next, plaintext } = ratchets.receive(states[to], frame);
        states[to] = next;
        return show.received(plaintext);
      },
    },
    end: () => ({ initiator: epochs(states.initiator), responder: epochs(states.responder) }),
  };
}
const ratchet = {
  session: (inputs) =>
    sessionOf(inputs, unhex(inputs.initiatorRatchetSecretKey), ({ random }) => fixed(random), {
      plaintext: ({ plaintext }) => unhex(plaintext),
      sent: (frame) => ({ frame }),
      received: (plaintext) => ({ plaintext }),
    }),
};
const conversation = {
  conversation: (inputs) => {
    const streams = { initiator: binaryStream(inputs.seeds.initiator), responder: binaryStream(inputs.seeds.responder) };
    return sessionOf(inputs, streams.initiator(32), ({ from }) => ({ random: streams[from], done: () => {} }), {
      plaintext: (_, i) => ascii(`message ${i}${i % 10 === 9 ? '.'.repeat(600) : ''}`),
      sent: (frame, { isWhole }) => ({ frameHash: crypto.sha256(frame), frame: isWhole ? frame : undefined }),
      received: (plaintext) => ({ plaintextHash: crypto.sha256(plaintext) }),
    });
  },
};

export const SESSION_KINDS = {
  ...{ handshake, header, erasure, braid, ratchet, conversation },
  'ratchet-keys': ratchetKeys,
  'incremental-kem': incrementalKem,
};
