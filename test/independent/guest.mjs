/** This side as a guest of a client's network: its device, and what clients say to each other in plaintexts (section 5). */
import { equal, hex } from './bytes.mjs';
import { sha256 } from './crypto.mjs';
import { createDevice } from './device.mjs';
import { must } from './expect.mjs';
import { decodeMsgpack, decodePlaintext, encodeMsgpack, encodePlaintext } from './msgpack.mjs';
import { decodeIdentity } from './objects.mjs';
import { decimalStream } from './streams.mjs';

/** A device with the client's view of content: its plaintexts, and the hello with which each session of its own begins. */
export function createGuest(seed) {
  const random = decimalStream(seed);
  const device = createDevice('independent', Date.now(), random);
  /** Sessions of its own that have not said hello yet, with what that says besides the content. */
  const greetings = new Map();
  let order = 0;
  let peerListVersion = 0;

  const encode = (kind, msgId, payload) => {
    const list = { ownListVersion: device.list.version, peerListVersion, ownListHash: sha256(device.list.tbs).subarray(0, 8) };
    return encodePlaintext({ kind, msgId, ...list, payload });
  };
  /** The frame of content on a session: `kind` 0 with application content, 1 with control content. */
  function frameOf(kind, content, { session = device.sessions.at(-1), ...options } = {}) {
    const greeting = greetings.get(session);
    greetings.delete(session);
    const payload = encodeMsgpack(content);
    const hello = greeting && encodeMsgpack({ ...greeting, [kind === 0 ? 'app' : 'control']: payload });
    return device.send(hello ? encode(1, random(16), hello) : encode(kind, random(16), payload), { session, ...options });
  }
  return {
    device,
    /** Starts a session, whose hello names those that it `replaces`. */
    start(bundle, profile, replaces = []) {
      device.start(bundle, profile);
      greetings.set(device.sessions.at(-1), { t: 'hello', incarnation: device.incarnation, replaces });
      peerListVersion = decodeIdentity(bundle.identity).list.version;
    },
    compose(text, options) {
      order += 1;
      return frameOf(0, { t: 'text', at: Date.now(), text, o: order }, options);
    },
    control: (content, options) => frameOf(1, content, options),
    /** What a frame says: { text, control, msgId, session }. `set` is the sender's, whose incarnation a hello must name. */
    read(frame, set) {
      const { plaintext, session } = device.receive(frame);
      const { kind, msgId, payload, ownListVersion, ownListHash } = decodePlaintext(plaintext);
      const content = decodeMsgpack(payload);
      if (kind === 1 && content.t === 'hello') must(equal(content.incarnation, set.incarnation), 'the hello has another incarnation');
      const app = kind === 0 ? content : content.app && decodeMsgpack(content.app);
      if (app?.o !== undefined) order = Math.max(order, app.o);
      peerListVersion = ownListVersion;
      return { text: app?.text, control: kind === 1 ? content : undefined, msgId, ownListHash, session };
    },
  };
}

/** Publishes a device of this side. */
export async function publish(sdk, device) {
  const { identity, signedSet } = device.bundle();
  const { batch } = device.bundle(0).oneTime;
  const entries = Array.from({ length: 100 }, (_, i) => hex(device.bundle(i).oneTime.entry)).join(',');
  const fields = { device: device.bundle().device, identity: hex(identity), signedSet: hex(signedSet), batch: hex(batch), entries };
  await sdk.ask('publish', { ...fields, batchId: hex(batch.subarray(0, 8)) });
}
