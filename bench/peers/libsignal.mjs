/**
 * libsignal by its Node binding, as a subject to measure: PQXDH and the ratchet with SPQR, its asynchronous API over stores in memory.
 * The stores keep records as objects, as this SDK keeps its states decoded. AGPL-3.0: run for comparison, copied and linked nowhere.
 */
import * as signal from '@signalapp/libsignal-client';

const NOW_MS = 1_760_000_000_000;
const NOW = new Date(NOW_MS);

class Sessions extends signal.SessionStore {
  records = new Map();
  async saveSession(name, record) {
    this.records.set(name.toString(), record);
  }
  async getSession(name) {
    return this.records.get(name.toString()) ?? null;
  }
  async getExistingSessions(names) {
    return names.map((name) => this.records.get(name.toString()));
  }
}

class Identities extends signal.IdentityKeyStore {
  known = new Map();
  own = signal.IdentityKeyPair.generate();
  async getIdentityKeyPair() {
    return this.own;
  }
  async getIdentityKey() {
    return this.own.privateKey;
  }
  async getLocalRegistrationId() {
    return 5;
  }
  async saveIdentity(name, key) {
    const before = this.known.get(name.toString());
    this.known.set(name.toString(), key);
    return before === undefined || before.equals(key) ? signal.IdentityChange.NewOrUnchanged : signal.IdentityChange.ReplacedExisting;
  }
  async isTrustedIdentity(name, key) {
    return this.known.get(name.toString())?.equals(key) ?? true;
  }
  async getIdentity(name) {
    return this.known.get(name.toString()) ?? null;
  }
}

class Prekeys extends signal.PreKeyStore {
  records = new Map();
  async savePreKey(id, record) {
    this.records.set(id, record);
  }
  async getPreKey(id) {
    return this.records.get(id);
  }
  async removePreKey(id) {
    this.records.delete(id);
  }
}

class SignedPrekeys extends signal.SignedPreKeyStore {
  records = new Map();
  async saveSignedPreKey(id, record) {
    this.records.set(id, record);
  }
  async getSignedPreKey(id) {
    return this.records.get(id);
  }
}

class KyberPrekeys extends signal.KyberPreKeyStore {
  records = new Map();
  async saveKyberPreKey(id, record) {
    this.records.set(id, record);
  }
  async getKyberPreKey(id) {
    return this.records.get(id);
  }
  async markKyberPreKeyUsed(id) {
    this.records.delete(id);
  }
}

const device = (account) => ({
  address: signal.ProtocolAddress.new(account, 1),
  sessions: new Sessions(),
  identities: new Identities(),
  prekeys: new Prekeys(),
  signed: new SignedPrekeys(),
  kyber: new KyberPrekeys(),
});

function sideOf(own, peer, message) {
  return {
    async seal() {
      const sent = await signal.signalEncrypt(message, peer, own.address, own.sessions, own.identities, NOW);
      return { type: sent.type(), bytes: sent.serialize() };
    },
    open: ({ type, bytes }) =>
      type === signal.CiphertextMessageType.PreKey
        ? signal.signalDecryptPreKey(
            signal.PreKeySignalMessage.deserialize(bytes),
            peer,
            own.address,
            own.sessions,
            own.identities,
            own.prekeys,
            own.signed,
            own.kyber,
          )
        : signal.signalDecrypt(signal.SignalMessage.deserialize(bytes), peer, own.address, own.sessions, own.identities),
    save: async () => (await own.sessions.getSession(peer)).serialize(),
    load: (saved) => own.sessions.saveSession(peer, signal.SessionRecord.deserialize(saved)),
  };
}

export default function subject({ message }) {
  const bob = device('bob');
  const signedKey = signal.PrivateKey.generate();
  const signature = bob.identities.own.privateKey.sign(signedKey.getPublicKey().serialize());
  const signedPrekey = signal.SignedPreKeyRecord.new(1, NOW_MS, signedKey.getPublicKey(), signedKey, signature);
  bob.signed.saveSignedPreKey(1, signedPrekey);
  let count = 0;

  /** A bundle with a one-time prekey of each kind. */
  async function publish() {
    const id = ++count;
    const once = signal.PrivateKey.generate();
    const kem = signal.KEMKeyPair.generate();
    const kemSignature = bob.identities.own.privateKey.sign(kem.getPublicKey().serialize());
    await bob.prekeys.savePreKey(id, signal.PreKeyRecord.new(id, once.getPublicKey(), once));
    await bob.kyber.saveKyberPreKey(id, signal.KyberPreKeyRecord.new(id, NOW_MS, kem, kemSignature));
    return [
      5,
      1,
      id,
      once.getPublicKey(),
      1,
      signedPrekey.publicKey(),
      signature,
      bob.identities.own.publicKey,
      id,
      kem.getPublicKey(),
      kemSignature,
    ];
  }
  const parts = [5, 33, 33, 64, 33, 1569, 64];

  return {
    async meet() {
      const published = await publish();
      const alice = device(`alice-${count}`);
      return async () => {
        const bundle = signal.PreKeyBundle.new(...published);
        await signal.processPreKeyBundle(bundle, bob.address, alice.address, alice.sessions, alice.identities, NOW);
        const initiator = sideOf(alice, bob.address, message);
        const responder = sideOf(bob, alice.address, message);
        const first = await initiator.seal();
        await responder.open(first);
        return { initiator, responder, first };
      };
    },
    wireBytes: ({ bytes }) => bytes.length,
    storedBytes: (bytes) => bytes.length,
    /** Its keys and signatures as they are serialised, without the numbers that name them. */
    bundleBytes: parts.slice(1).reduce((sum, bytes) => sum + bytes, 0),
  };
}
