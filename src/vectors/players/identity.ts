/** Players of identities: device lists, login proofs, safety numbers, an organisation's statements, the linking of a device. */

import { concat } from '../../bytes.js';
import { compositeSign } from '../../crypto/composite.js';
import { compositeKeyPair, signDeviceList, verifyDeviceList } from '../../identity/account.js';
import {
  acceptLinkRequest,
  generateLinkOffer,
  type LinkAsked,
  openLinkAnswer,
  openLinkChallenge,
  parseLinkCode,
  requestLink,
  sealLinkGrant,
  sealLinkRefusal,
} from '../../identity/linking.js';
import { verifyLogin } from '../../identity/login.js';
import { verifyRootStatement } from '../../identity/root.js';
import { compareSafetyQr, type SafetyIdentity, safetyNumber } from '../../identity/safety-number.js';
import type { Rng } from '../../step.js';
import { type DeviceEntry, encodeLogin } from '../../wire/objects.js';
import { drawing, type Player, withRandom } from '../player.js';
import type { Inputs } from '../schema.js';

const entryOf = (inputs: Inputs): DeviceEntry => ({
  device: inputs.number('device'),
  keyHash: inputs.bytes('keyHash'),
  dhKey: inputs.bytes('dhKey'),
});

/** Section 2.2: what the holder of the AIK signs, and what everybody checks. */
export const deviceList: Player = {
  operations: {
    sign: (inputs) => ({
      deviceList: withRandom(inputs, (rng) =>
        signDeviceList(
          compositeKeyPair(inputs.bytes('accountSecretKey')),
          inputs.text('account'),
          inputs.objects('entries').map(entryOf),
          inputs.number('version'),
          inputs.number('nowMs'),
          rng,
        ),
      ),
    }),
    verify(inputs) {
      const { account, accountKeyHash, version, issuedAt, freshUntil, entries, shortHash } = verifyDeviceList(
        inputs.bytes('deviceList'),
        inputs.bytes('accountKey'),
      );
      return { account, accountKeyHash, version, issuedAt, freshUntil, entries, shortHash };
    },
  },
};

/** Section 9. */
export const login: Player = {
  operations: {
    prove(inputs) {
      const tbs = encodeLogin({
        audience: inputs.bytes('audience'),
        nonce: inputs.bytes('nonce'),
        account: inputs.text('account'),
        device: inputs.number('device'),
        storeId: inputs.bytes('storeId'),
        generation: inputs.number('generation'),
      });
      const signature = withRandom(inputs, (rng) => compositeSign(inputs.bytes('deviceSecretKey'), tbs, 'login', rng));
      return { proof: concat(tbs, signature) };
    },
    verify(inputs) {
      const { account, device } = { account: inputs.text('account'), device: inputs.number('device') };
      return {
        ...verifyLogin(inputs.bytes('proof'), {
          audience: inputs.text('audience'),
          nonce: inputs.bytes('nonce'),
          address: { account, device },
          identity: inputs.bytes('identity'),
        }),
      };
    },
  },
};

const safetyIdentity = (inputs: Inputs): SafetyIdentity => ({
  account: inputs.text('account'),
  accountKeyHash: inputs.bytes('accountKeyHash'),
});

/** Section 10b. */
export const safety: Player = {
  operations: {
    number: (inputs) => ({ ...safetyNumber(safetyIdentity(inputs.object('own')), safetyIdentity(inputs.object('peer'))) }),
    compare: (inputs) => ({
      verdict: compareSafetyQr(safetyIdentity(inputs.object('own')), safetyIdentity(inputs.object('peer')), inputs.bytes('scanned')),
    }),
  },
};

/** Object 0x43. */
export const rootStatement: Player = {
  operations: {
    verify(inputs) {
      const { account, accountKeyHash, version, issuedAt, tbs } = verifyRootStatement(inputs.bytes('statement'), inputs.bytes('rootKey'));
      return { account, accountKeyHash, version, issuedAt, tbsBytes: tbs.length };
    },
  },
};

/** A part of the linking from its inputs, with random bytes by the name of who draws them. */
const rngOf = (inputs: Inputs, name: string): Rng => drawing(inputs.bytes(name)).rng;

const offerOf = (inputs: Inputs) => generateLinkOffer(inputs.text('account'), rngOf(inputs, 'offerRandom'));

/** The new device's request for the code and offer of the inputs. */
function askedOf(inputs: Inputs): LinkAsked {
  const account = inputs.text('account');
  const code = parseLinkCode(inputs.has('typed') ? inputs.text('typed') : inputs.bytes('qr'), account);
  const device = { device: inputs.number('device'), deviceKey: inputs.bytes('deviceKey'), dhKey: inputs.bytes('dhKey') };
  return requestLink(code, inputs.bytes('offer'), account, device, rngOf(inputs, 'requestRandom'));
}

const acceptedOf = (inputs: Inputs) => acceptLinkRequest(offerOf(inputs), inputs.bytes('request'));

/** Section 5.1. Each operation does one device's part up to where it has got, from that device's inputs. */
export const linking: Player = {
  operations: {
    offer(inputs) {
      const { account: _account, ...offer } = offerOf(inputs);
      return offer;
    },
    code(inputs) {
      const { fingerprint, offerSlot, requestSlot } = parseLinkCode(
        inputs.has('typed') ? inputs.text('typed') : inputs.bytes('qr'),
        inputs.text('account'),
      );
      return { fingerprint, offerSlot, requestSlot };
    },
    request(inputs) {
      const { commitment, request, challengeSlot, secret } = askedOf(inputs);
      return { commitment, request, challengeSlot, secret };
    },
    challenge(inputs) {
      const { entry, challengeSlot, challenge, confirmation, grantSlot, answerKeys } = acceptedOf(inputs);
      return { entry, challengeSlot, challenge, confirmation, grantSlot, answerKeys };
    },
    confirm(inputs) {
      const { confirmation, grantSlot, answerKeys } = openLinkChallenge(askedOf(inputs), inputs.bytes('challenge'));
      return { confirmation, grantSlot, answerKeys };
    },
    grant: (inputs) => ({
      answer: sealLinkGrant(acceptedOf(inputs), inputs.bytes('accountKey'), inputs.number('oldDevice'), inputs.bytes('deviceList')),
    }),
    refuse: (inputs) => ({ answer: sealLinkRefusal(acceptedOf(inputs)) }),
    answer(inputs) {
      const { accountKey, deviceList, linkedBy } = openLinkAnswer(
        openLinkChallenge(askedOf(inputs), inputs.bytes('challenge')),
        inputs.bytes('answer'),
      );
      return { accountKey, listVersion: deviceList.version, linkedBy };
    },
  },
};
