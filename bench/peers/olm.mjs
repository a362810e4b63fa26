/**
 * Olm (libolm as WebAssembly), as a subject to measure: triple Diffie-Hellman and double ratchet, classical throughout. Deprecated in favour
 * of vodozemac. Messages and pickles are base64: counted are the bytes behind.
 */
import Olm from '@matrix-org/olm';

/** libolm's MAX_SKIPPED_MESSAGE_KEYS: older ones are dropped. */
const STORED_KEYS = 40;
const PICKLE_KEY = 'bench';
const bytesOf = (base64) => Math.floor((base64.length * 3) / 4);

export default async function subject({ message }) {
  await Olm.init();
  const text = 'm'.repeat(message.length);
  const bob = new Olm.Account();
  bob.create();

  function sideOf(start) {
    let session = start;
    return {
      seal: () => session.encrypt(text),
      open: ({ type, body }) => session.decrypt(type, body),
      save: () => session.pickle(PICKLE_KEY),
      load(saved) {
        session.free();
        session = new Olm.Session();
        session.unpickle(PICKLE_KEY, saved);
      },
      free: () => session.free(),
    };
  }

  return {
    meet() {
      const alice = new Olm.Account();
      alice.create();
      bob.generate_one_time_keys(1);
      const [oneTimeKey] = Object.values(JSON.parse(bob.one_time_keys()).curve25519);
      bob.mark_keys_as_published();
      const { curve25519, ed25519 } = JSON.parse(bob.identity_keys());
      const signature = bob.sign(oneTimeKey);
      return () => {
        const utility = new Olm.Utility();
        utility.ed25519_verify(ed25519, oneTimeKey, signature);
        utility.free();
        const sending = new Olm.Session();
        sending.create_outbound(alice, curve25519, oneTimeKey);
        const initiator = sideOf(sending);
        const first = initiator.seal();
        const receiving = new Olm.Session();
        receiving.create_inbound(bob, first.body);
        bob.remove_one_time_keys(receiving);
        const responder = sideOf(receiving);
        responder.open(first);
        const close = () => {
          for (const each of [initiator, responder, alice]) each.free();
        };
        return { initiator, responder, first, close };
      };
    },
    wireBytes: ({ body }) => bytesOf(body),
    storedBytes: bytesOf,
    storedKeys: STORED_KEYS,
    /** Curve25519 and Ed25519 identity, one-time key, its signature. */
    bundleBytes: 32 + 32 + 32 + 64,
  };
}
