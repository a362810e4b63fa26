/**
 * One device of this implementation with its sessions with one peer device: what sections 2.3, 2.4 and 6 ask of a sender and a receiver around
 * the handshake and the ratchet. Takes and gives bytes only.
 */
import { generateBatch, generateParty, generateSet, verifyBundle } from './bundle.mjs';
import { ascii, concat, equal, need } from './bytes.mjs';
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
  /** { sessionId, state, init }, `init` until the peer has answered. The newest is last. */
  const sessions = [];
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

  /** Starts a session with the device of a bundle, as initiator: its id. */
  function start(received, profile) {
    const made = initiate(party, learn(received), profile, random);
    const state = ratchet.startInitiator(made, profile, made.remoteSignedPrekey, random(32));
    sessions.push({ state, sessionId: made.sessionId, init: made.init });
    return made.sessionId;
  }

  /**
   * The frame of a session's next message: with the Init and sealed until the peer has answered, later sealed where `isSealed` says so. One with an
   * altered header is made beside it, with the same keys, and leaves the session as it was.
   */
  function send(plaintext, { isSealed = false, session = sessions.at(-1), alter } = {}) {
    const { next, frame } = ratchet.send(session.state, plaintext, random, alter);
    if (alter === undefined) session.state = next;
    const inner = session.init === undefined ? frame : concat(session.init, frame);
    return isSealed || session.init !== undefined ? seal(peer, inner, random(64)) : frame;
  }

  /** The session of a ratchet message, by its tag. */
  const sessionOf = (message) => sessions.find(({ state }) => ratchet.knowsTag(state, message.subarray(4, 20)));

  /** What a frame says: { plaintext, session }. Throws, with everything as it was, where it is refused. */
  function receive(frame) {
    if (frame[0] !== 0x01) {
      need(frame[0] === 0x20, 'ERR_DECODE', 'no frame');
      return read(sessionOf(frame), frame);
    }
    const inside = openFlight(party, set, frame);
    if (inside.init === undefined) return read(sessionOf(inside.message), inside.message);
    const accepted = accept(party, set, batch, inside.init, { seen });
    const { sessionId, unit, flight, message } = accepted;
    if (accepted.isRepeated)
      return read(
        sessions.find((each) => equal(each.sessionId, sessionId)),
        message,
      );
    const session = { sessionId, state: ratchet.startResponder(accepted, inside.init.profile, set.secrets.signedPrekey) };
    const said = read(session, message);
    seen.set(flight, { initId: inside.init.initId, sessionId });
    if (unit !== undefined) batch.units.splice(batch.units.indexOf(unit), 1);
    sessions.push(session);
    return said;
  }
  function read(session, message) {
    need(session !== undefined, 'ERR_NO_SESSION', 'no session');
    const { next, plaintext } = ratchet.receive(session.state, message);
    Object.assign(session, { state: next, init: undefined });
    return { plaintext, session };
  }

  return { party, list: decodeDeviceList(party.list), incarnation: set.incarnation, sessions, bundle, learn, start, send, receive };
}
