/** Players of the ratchet's key derivations, one for each symbol, and of header encryption. */

import { concat } from '../../bytes.js';
import { info } from '../../crypto/labels.js';
import { sha256, x25519, xchachaOpen, xchachaSeal } from '../../crypto/suite.js';
import { ciphertextMac, epochSecret, headerMac, startAuthenticator, updateAuthenticator } from '../../ratchet/braid/authenticator.js';
import {
  combineMessageKeys,
  deriveBodyKeys,
  deriveEcMessageKey,
  deriveHeaderKey,
  deriveHeaderNonce,
  deriveNextChainKey,
  deriveRoot,
  nextEpochChains,
  startEpochChains,
  stepPqChain,
} from '../../ratchet/keys.js';
import { decodeHeader, encodeHeader, encodePrefix, type Header } from '../../wire/ratchet-message.js';
import type { Player } from '../player.js';
import type { Inputs } from '../schema.js';

const authenticatorOf = (inputs: Inputs) => ({ root: new Uint8Array(32), mac: inputs.bytes('mac') });

/** Sections 4.1 to 4.4. */
export const ratchetKeys: Player = {
  operations: {
    root(inputs) {
      const dh = x25519(inputs.bytes('secretKey'), inputs.bytes('publicKey'));
      // `deriveRoot` gives NHK only as what `hk` makes of it.
      return { dh, ...deriveRoot(inputs.bytes('rootKey'), dh) };
    },
    headerKey: (inputs) => ({ ...deriveHeaderKey(inputs.bytes('headerKey')) }),
    chain: (inputs) => ({
      messageKey: deriveEcMessageKey(inputs.bytes('chainKey')),
      chainKey: deriveNextChainKey(inputs.bytes('chainKey')),
    }),
    sckaStart: (inputs) => ({ ...startEpochChains(inputs.bytes('sckaSecret')) }),
    sckaEpoch: (inputs) => ({ ...nextEpochChains(inputs.bytes('root'), inputs.bytes('epochSecret'), inputs.number('epoch')) }),
    sckaChain: (inputs) => ({ ...stepPqChain(inputs.bytes('chainKey'), inputs.number('counter')) }),
    message(inputs) {
      const prk = combineMessageKeys(inputs.bytes('pqMessageKey'), inputs.bytes('ecMessageKey'));
      const contentHash = sha256(concat(inputs.bytes('header'), inputs.bytes('padded')));
      const headerNonce = deriveHeaderNonce(prk, inputs.bytes('random'), contentHash);
      const { key, nonce, commitment } = deriveBodyKeys(prk, inputs.bytes('transcriptHash'), headerNonce);
      return { prk, contentHash, headerNonce, key, nonce, commitment };
    },
    epochSecret: (inputs) => ({ epochSecret: epochSecret(inputs.bytes('sharedSecret'), inputs.number('epoch')) }),
    authenticatorStart: (inputs) => ({ ...startAuthenticator(inputs.bytes('sckaSecret')) }),
    authenticatorUpdate: (inputs) => ({
      ...updateAuthenticator({ root: inputs.bytes('root') }, inputs.number('epoch'), inputs.bytes('epochSecret')),
    }),
    headerMac: (inputs) => ({ mac: headerMac(authenticatorOf(inputs), inputs.number('epoch'), inputs.bytes('header')) }),
    ciphertextMac: (inputs) => ({
      mac: ciphertextMac(authenticatorOf(inputs), inputs.number('epoch'), inputs.bytes('ct1'), inputs.bytes('ct2')),
    }),
  },
};

function headerOf(inputs: Inputs): Header {
  return {
    ratchetKey: inputs.bytes('ratchetKey'),
    previousChainLength: inputs.number('previousChainLength'),
    n: inputs.number('n'),
    pqEpoch: inputs.number('pqEpoch'),
    pqCounter: inputs.number('pqCounter'),
    pqPrevious: inputs.number('pqPrevious'),
    type: inputs.number('type'),
    index: inputs.number('index'),
    chunk: inputs.bytes('chunk'),
  };
}

/** The header of a message under its key (section 4.2), and the rules for its fields that need no state (section 1.4). */
export const header: Player = {
  operations: {
    seal(inputs) {
      const { key, tag } = deriveHeaderKey(inputs.bytes('headerKey'));
      const prefix = encodePrefix(tag);
      const plaintext = encodeHeader(headerOf(inputs));
      const ad = info('hdr', inputs.bytes('transcriptHash'), prefix);
      return { prefix, ad, header: plaintext, headerCiphertext: xchachaSeal(key, inputs.bytes('headerNonce'), ad, plaintext) };
    },
    open(inputs) {
      const { key } = deriveHeaderKey(inputs.bytes('headerKey'));
      const ad = info('hdr', inputs.bytes('transcriptHash'), inputs.bytes('prefix'));
      return { ...decodeHeader(xchachaOpen(key, inputs.bytes('headerNonce'), ad, inputs.bytes('headerCiphertext'))) };
    },
  },
};
