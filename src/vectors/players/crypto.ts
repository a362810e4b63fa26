/** Players of what this library makes of primitives: composite signatures, sealing, encapsulation in two steps. */

import { concat } from '../../bytes.js';
import { compositePublicKey, compositeSign, compositeVerify } from '../../crypto/composite.js';
import { hpkeKeySchedule } from '../../crypto/hpke.js';
import { encaps1, encaps2, mlKem768Header, mlKem768Vector } from '../../crypto/incremental-mlkem.js';
import { LABELS, type Label } from '../../crypto/labels.js';
import { openSeal, SEAL_ENC_BYTES, seal, sealPublicKey } from '../../crypto/seal.js';
import { mlKem768 } from '../../crypto/suite.js';
import { xwingEncapsulate } from '../../crypto/xwing.js';
import { AuthError, UsageError } from '../../errors.js';
import { openFrame, sealFrame } from '../../pqxdh/handshake.js';
import type { PrekeyState } from '../../pqxdh/prekeys.js';
import { type Player, withRandom } from '../player.js';
import type { Inputs } from '../schema.js';

const EMPTY = new Uint8Array(0);

function labelOf(inputs: Inputs): Label {
  const label = LABELS.find((each) => each === inputs.text('label'));
  if (label === undefined) throw new UsageError('ERR_ARGUMENT', 'no such label', { field: 'label' });
  return label;
}

/** Section 3. */
export const composite: Player = {
  operations: {
    publicKey: (inputs) => ({ publicKey: compositePublicKey(inputs.bytes('secretKey')) }),
    sign: (inputs) => ({
      signature: withRandom(inputs, (rng) => compositeSign(inputs.bytes('secretKey'), inputs.bytes('message'), labelOf(inputs), rng)),
    }),
    verify(inputs) {
      if (!compositeVerify(inputs.bytes('publicKey'), inputs.bytes('message'), labelOf(inputs), inputs.bytes('signature'))) {
        throw new AuthError('ERR_SIGNATURE', 'signature did not verify');
      }
      return {};
    },
  },
};

/** A device whose only set has the seed of the vectors. */
function holderOf(inputs: Inputs): PrekeyState {
  const set = {
    setId: inputs.bytes('setId'),
    signedPrekeySecret: EMPTY,
    lastResortSeed: EMPTY,
    sealSeed: inputs.bytes('seed'),
    hash: EMPTY,
    seq: 1,
    profiles: 7,
    issuedAt: 0,
    supersededAt: undefined,
  };
  return { sets: [set], signedSet: EMPTY, batches: [], seen: new Map() };
}

const addressOf = (inputs: Inputs) => ({ account: inputs.text('account'), device: inputs.number('device') });

/** HPKE in base mode over X-Wing (section 1.1), and sealed frames (section 6). */
export const sealing: Player = {
  operations: {
    publicKey: (inputs) => ({ publicKey: sealPublicKey(inputs.bytes('seed')) }),
    seal(inputs) {
      const [publicKey, info] = [inputs.bytes('publicKey'), inputs.bytes('info')];
      const sealed = withRandom(inputs, (rng) => seal(publicKey, info, inputs.bytes('ad'), inputs.bytes('plaintext'), rng));
      const { kemSharedSecret } = xwingEncapsulate(publicKey, inputs.bytes('random'));
      return {
        kemSharedSecret,
        ...hpkeKeySchedule({ kemId: 0x647a, aeadId: 0x0003 }, kemSharedSecret, info),
        enc: sealed.slice(0, SEAL_ENC_BYTES),
        ciphertext: sealed.slice(SEAL_ENC_BYTES),
      };
    },
    open: (inputs) => ({
      plaintext: openSeal(
        inputs.bytes('seed'),
        inputs.bytes('info'),
        inputs.bytes('ad'),
        concat(inputs.bytes('enc'), inputs.bytes('ciphertext')),
      ),
    }),
    sealFrame: (inputs) => ({
      frame: withRandom(inputs, (rng) =>
        sealFrame(addressOf(inputs), inputs.bytes('setId'), inputs.bytes('publicKey'), inputs.bytes('inner'), rng),
      ),
    }),
    openFrame: (inputs) => ({ inner: openFrame(holderOf(inputs), addressOf(inputs), inputs.bytes('frame')) }),
  },
};

/** Section 4.5. */
export const incrementalKem: Player = {
  operations: {
    key(inputs) {
      const encapsulationKey = mlKem768.publicKey(inputs.bytes('seed'));
      return { header: mlKem768Header(encapsulationKey), vector: mlKem768Vector(encapsulationKey) };
    },
    encaps1: (inputs) => ({ ...encaps1(inputs.bytes('header'), inputs.bytes('m')) }),
    encaps2: (inputs) => ({ ...encaps2(inputs.bytes('header'), inputs.bytes('vector'), inputs.bytes('m'), inputs.bytes('ct1')) }),
    decaps: (inputs) => ({
      sharedSecret: mlKem768.decapsulate(inputs.bytes('seed'), concat(inputs.bytes('ct1'), inputs.bytes('ct2'))),
    }),
  },
};
