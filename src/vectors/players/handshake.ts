/** Players of the handshake: one-time prekeys in their tree, bundles, and PQXDH with every value on the way. */

import { concat } from '../../bytes.js';
import { info } from '../../crypto/labels.js';
import { mlKem1024, sha256, sha512, x25519, x25519KeyPair } from '../../crypto/suite.js';
import { bundleFault, compositeKeyPair } from '../../identity/account.js';
import type { DeviceSecrets } from '../../identity/device.js';
import { verifyBundle } from '../../pqxdh/bundle.js';
import { acceptInit, findSeen, type Initiation, initiate, openFrame, sealFrame } from '../../pqxdh/handshake.js';
import { leafHash, merklePath, merkleRoot, verifyMerklePath } from '../../pqxdh/merkle.js';
import type { PrekeyState } from '../../pqxdh/prekeys.js';
import { deriveKeys, initIdOf } from '../../pqxdh/transcript.js';
import { acceptRatchet, decrypt, encrypt, initiateRatchet } from '../../ratchet/index.js';
import type { BundleBytes, Rng, SessionSecrets } from '../../step.js';
import { parseInit } from '../../wire/frames.js';
import { parseBatch, parseSignedSet } from '../../wire/objects.js';
import { type Machine, type Player, withRandom } from '../player.js';
import type { Inputs } from '../schema.js';
import { profileOf } from './wire.js';

/** Section 1.4, Merkle tree. */
export const prekeyBatch: Player = {
  operations: {
    leaf: (inputs) => ({
      leaf: leafHash(inputs.bytes('batchId'), {
        index: inputs.number('index'),
        otId: inputs.bytes('otId'),
        oneTimePrekey: inputs.bytes('oneTimePrekey'),
        oneTimeKemPrekey: inputs.bytes('oneTimeKemPrekey'),
      }),
    }),
    tree(inputs) {
      const leaves = inputs.byteLists('leaves');
      return { root: merkleRoot(leaves), paths: leaves.map((_, i) => merklePath(leaves, i)) };
    },
    verify(inputs) {
      const { leaf, path, root } = { leaf: inputs.bytes('leaf'), path: inputs.byteLists('path'), root: inputs.bytes('root') };
      if (!verifyMerklePath(leaf, inputs.number('index'), inputs.number('count'), path, root)) throw bundleFault();
      return {};
    },
  },
};

function bundleOf(inputs: Inputs): BundleBytes {
  return {
    address: { account: inputs.text('account'), device: inputs.number('device') },
    identity: inputs.bytes('identity'),
    signedSet: inputs.bytes('signedSet'),
    oneTime: inputs.has('head') ? { head: inputs.bytes('head'), entry: inputs.bytes('entry') } : undefined,
  };
}

/** Section 2.3, "Verify the bundle". */
export const bundle: Player = {
  operations: {
    verify(inputs) {
      const verified = verifyBundle(bundleOf(inputs), inputs.maybeBytes('pinnedIdentity'), inputs.number('nowMs'), {
        list: inputs.maybeBytes('knownList'),
        setSeq: inputs.maybeNumber('knownSeq'),
        setHash: inputs.maybeBytes('knownSetHash'),
      });
      const { accountKeyHash, dhKey, list, listIsStale, signedSet, oneTime } = verified;
      return {
        accountKeyHash,
        dhKey,
        listVersion: list.version,
        listIsStale,
        setHash: signedSet.hash,
        setId: signedSet.setId,
        otId: oneTime?.otId,
        batchHash: oneTime?.batchHash,
      };
    },
  },
};

/** A device from its secrets; the list is the one that it shows. */
function deviceOf(inputs: Inputs): DeviceSecrets {
  return {
    account: inputs.text('account'),
    device: inputs.number('device'),
    incarnation: new Uint8Array(16),
    accountKey: { publicKey: inputs.bytes('accountKey'), secretKey: undefined },
    deviceKey: compositeKeyPair(inputs.bytes('deviceSecretKey')),
    dhKey: x25519KeyPair(inputs.bytes('dhSecretKey')),
    deviceList: inputs.bytes('deviceList'),
  };
}

/** The responder's prekeys: one set, and one batch of which some units are left. */
function prekeysOf(inputs: Inputs): PrekeyState {
  const signedSet = inputs.bytes('signedSet');
  const { tbs, signature: _signature, ...fields } = parseSignedSet(signedSet);
  const set = {
    setId: fields.setId,
    signedPrekeySecret: inputs.bytes('signedPrekeySecretKey'),
    lastResortSeed: inputs.bytes('lastResortSeed'),
    sealSeed: inputs.bytes('sealSeed'),
    hash: sha512(tbs),
    seq: fields.seq,
    profiles: fields.profiles,
    issuedAt: fields.seq,
    supersededAt: undefined,
  };
  const head = parseBatch(inputs.bytes('head'));
  const units = inputs.objects('units').map((unit) => ({
    otId: unit.bytes('otId'),
    dhSecret: unit.bytes('oneTimePrekeySecretKey'),
    kemSeed: unit.bytes('oneTimeKemPrekeySeed'),
  }));
  const batch = { batchId: head.batchId, hash: sha512(head.tbs), notAfter: head.notAfter, units };
  return { sets: [set], signedSet, batches: [batch], seen: new Map() };
}

const KEY_NAMES = ['transcriptHash', 'rootKey', 'headerKeyA', 'nextHeaderKeyB', 'sckaSecret'] as const;

/** What both sides have in the end, as it stands in the vectors. */
const keysOf = (secrets: SessionSecrets) => Object.fromEntries(KEY_NAMES.map((name) => [name, secrets[name]]));

function started(inputs: Inputs, rng: Rng): Initiation {
  const nowMs = inputs.number('nowMs');
  const verified = verifyBundle(bundleOf(inputs), undefined, nowMs);
  return initiate(deviceOf(inputs.object('initiator')), verified, profileOf(inputs), rng, nowMs);
}

/** Init and a first message, sealed. */
function firstFlight(inputs: Inputs, rng: Rng) {
  const { prefix, secrets, setId, sealKey } = started(inputs, rng);
  const message = encrypt(initiateRatchet(secrets, rng), inputs.bytes('plaintext'), rng).out;
  return { frameHash: sha256(sealFrame(bundleOf(inputs).address, setId, sealKey, concat(prefix, message), rng)) };
}

/** What the responder makes of a first flight: opened, accepted, its message decrypted. */
function openedFirstFlight(inputs: Inputs) {
  const own = inputs.object('responder');
  const [device, prekeys] = [deviceOf(own), prekeysOf(own)];
  const init = openFrame(prekeys, device, inputs.bytes('frame'));
  const { out } = acceptInit(prekeys, device, parseInit(init), {}, inputs.number('nowMs'));
  return { initId: out.initId, sessionId: out.sessionId, plaintext: decrypt(acceptRatchet(out.secrets), out.ratchetMessage).out };
}

/** A responder that accepts one Init after the other. */
function responder(inputs: Inputs): Machine {
  const device = deviceOf(inputs.object('responder'));
  let prekeys = prekeysOf(inputs.object('responder'));
  return {
    step: {
      accept(step) {
        const init = parseInit(step.bytes('init'));
        const seen = findSeen(prekeys, init);
        if (seen !== undefined) return { isRepeated: true, sessionId: seen.sessionId };
        const context = { pinnedIdentity: step.maybeBytes('pinnedIdentity'), storedList: step.maybeBytes('knownList') };
        const { next, out } = acceptInit(prekeys, device, init, context, inputs.number('nowMs'));
        prekeys = next;
        const { secrets, sessionId, initId, replayable, listIsStale, peer, ratchetMessage } = out;
        return {
          isRepeated: false,
          sessionId,
          ...keysOf(secrets),
          initId,
          replayable,
          listIsStale,
          account: peer.address.account,
          device: peer.address.device,
          accountKeyHash: peer.accountKeyHash,
          ratchetMessage,
        };
      },
    },
    end: () => ({ unitCount: prekeys.batches[0]!.units.length, seenCount: prekeys.seen.size }),
  };
}

/** Sections 2.3 and 2.4. */
export const handshake: Player = {
  operations: {
    agree(inputs) {
      const ephemeral = x25519KeyPair(inputs.bytes('ephemeralSecretKey'));
      const [dhKey, signedPrekey, oneTimePrekey] = [
        inputs.bytes('dhKey'),
        inputs.bytes('signedPrekey'),
        inputs.maybeBytes('oneTimePrekey'),
      ];
      return {
        ephemeralKey: ephemeral.publicKey,
        dh1: x25519(inputs.bytes('dhSecretKey'), signedPrekey),
        dh2: x25519(ephemeral.secretKey, dhKey),
        dh3: x25519(ephemeral.secretKey, signedPrekey),
        dh4: oneTimePrekey && x25519(ephemeral.secretKey, oneTimePrekey),
        ...mlKem1024.encapsulate(inputs.bytes('kemPrekey'), inputs.bytes('kemRandom')),
      };
    },
    agreeAsResponder(inputs) {
      const [dhKey, ephemeralKey] = [inputs.bytes('dhKey'), inputs.bytes('ephemeralKey')];
      const [signedPrekey, oneTimePrekey] = [inputs.bytes('signedPrekeySecretKey'), inputs.maybeBytes('oneTimePrekeySecretKey')];
      return {
        dh1: x25519(signedPrekey, dhKey),
        dh2: x25519(inputs.bytes('dhSecretKey'), ephemeralKey),
        dh3: x25519(signedPrekey, ephemeralKey),
        dh4: oneTimePrekey && x25519(oneTimePrekey, ephemeralKey),
        kemSharedSecret: mlKem1024.decapsulate(inputs.bytes('kemSeed'), inputs.bytes('kemCiphertext')),
      };
    },
    derive(inputs) {
      const transcript = inputs.bytes('transcript');
      const dhOutputs = ['dh1', 'dh2', 'dh3', 'dh4'].filter(inputs.has).map(inputs.bytes);
      const kemSharedSecret = inputs.bytes('kemSharedSecret');
      const keyMaterial = concat(new Uint8Array(32).fill(0xff), ...dhOutputs, kemSharedSecret);
      return { keyMaterial, info: info('hs/kdf', sha512(transcript)), ...deriveKeys(transcript, dhOutputs, kemSharedSecret) };
    },
    initiate(inputs) {
      const { prefix, sessionId, secrets } = withRandom(inputs, (rng) => started(inputs, rng));
      const { signedPart, signature } = parseInit(prefix);
      return { initId: initIdOf(signedPart), signature, sessionId, ...keysOf(secrets) };
    },
    firstFlight: (inputs) => withRandom(inputs, (rng) => firstFlight(inputs, rng)),
    accept: (inputs) => responder(inputs).step['accept']!(inputs),
    openFirstFlight: openedFirstFlight,
  },
  machines: { responder },
};
