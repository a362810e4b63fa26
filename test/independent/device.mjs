/**
 * One device of this implementation with at most one session: what sections 2.3, 2.4 and 6 ask of a sender and a receiver around the handshake
 * and the ratchet. Takes and gives bytes only.
 */
import { generateBatch, generateParty, generateSet, verifyBundle } from './bundle.mjs';
import { ascii, concat, need } from './bytes.mjs';
import { accept, initiate, openFlight } from './handshake.mjs';
import { decodeDeviceList } from './objects.mjs';
import * as ratchet from './ratchet.mjs';
import { seal } from './seal.mjs';

/** A new device of a new account; `random(length)` gives every random byte. */
export function createDevice(account, now, random) {
  const party = generateParty(ascii(account), now, random);
  const set = generateSet(party, now, random);
  const batch = generateBatch(party, now, random);
  const seen = new Map();
  let session;
  /** Where frames are sealed to: { account, device, setId, sealKey }. */
  let peer;

  /** What a directory answers, with unit `index` of the batch or without one. */
  const bundle = (index) => ({
    account: party.account,
    device: party.device,
    identity: party.identity,
    signedSet: set.bytes,
    oneTime: index === undefined ? undefined : { batch: batch.bytes, entry: batch.entry(index) },
  });

  /** Believes the bundle of the peer, or refuses it. */
  function learn(received) {
    const verified = verifyBundle(received, { now });
    peer = { ...received, setId: verified.set.setId, sealKey: verified.set.sealKey };
    return verified;
  }

  /** Starts a session with the device of a bundle, as initiator. */
  function start(received, profile) {
    const verified = learn(received);
    const made = initiate(party, verified, profile, random);
    const state = ratchet.startInitiator(made, profile, made.remoteSignedPrekey, random(32));
    session = { state, sessionId: made.sessionId, init: made.init };
    return made.sessionId;
  }

  /** The frame of the session's next message: with the Init and sealed until the peer has answered, later sealed where `isSealed` says so. */
  function send(plaintext, isSealed = false) {
    const { next, frame } = ratchet.send(session.state, plaintext, random);
    session = { ...session, state: next };
    const inner = session.init === undefined ? frame : concat(session.init, frame);
    return isSealed || session.init !== undefined ? seal(peer, inner, random(64)) : frame;
  }

  /** What a frame says. Throws, with everything as it was, where it is refused. */
  function receive(frame) {
    let accepted = { message: frame };
    if (frame[0] === 0x01) {
      const inside = openFlight(party, set, frame);
      accepted = inside.init === undefined ? inside : accept(party, set, batch, inside.init, { seen });
    } else need(frame[0] === 0x20, 'ERR_DECODE', 'no frame');
    const isNew = accepted.isRepeated === false;
    const state = isNew ? ratchet.startResponder(accepted, accepted.init.profile, set.secrets.signedPrekey) : session?.state;
    need(state !== undefined, 'ERR_NO_SESSION', 'no session');
    const { next, plaintext } = ratchet.receive(state, accepted.message);
    if (isNew) {
      seen.set(accepted.flight, { initId: accepted.init.initId, sessionId: accepted.sessionId });
      if (accepted.unit !== undefined) batch.units.splice(batch.units.indexOf(accepted.unit), 1);
      session = { sessionId: accepted.sessionId };
    }
    session = { ...session, state: next, init: undefined };
    return plaintext;
  }

  return {
    party,
    list: decodeDeviceList(party.list),
    incarnation: set.incarnation,
    bundle,
    learn,
    start,
    send,
    receive,
    get session() {
      return session;
    },
  };
}
