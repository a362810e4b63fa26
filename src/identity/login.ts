/**
 * Login proofs (0x45): a device shows a service that it is a listed device of its account, and how far its store has come.
 *
 * Knows one signature, bound to an audience and a nonce; knows no network and no store.
 */

import { concat, decodeUtf8, encodeUtf8, equal } from '../bytes.js';
import { compositeSign, compositeVerify } from '../crypto/composite.js';
import { AuthError, CyphrError, UsageError } from '../errors.js';
import type { Address, Rng } from '../step.js';
import { encodeLogin, parseIdentity, parseLogin } from '../wire/objects.js';
import { keyHash, verifyDeviceList } from './account.js';
import type { DeviceSecrets } from './device.js';

/** What a proof says about the store that made it: storeId 16 bytes, and its generation. */
export interface StoreClaim {
  readonly storeId: Uint8Array;
  readonly generation: number;
}

/** What a verified proof says, besides, of the account. All of it is signed by the account key. */
export interface ProvenAccount {
  /** H(AIK), 64 bytes. */
  readonly accountKeyHash: Uint8Array;
  /** Version of the device list in the identity that was shown; of two lists of an account the greater one is newer. */
  readonly listVersion: number;
  /** Every device in that list, the prover's own among them; `keyHash` is H(DIK), 64 bytes. */
  readonly devices: readonly { readonly device: number; readonly keyHash: Uint8Array }[];
}

/**
 * Signs a login for one audience and nonce (ctx `login`): TBS‖sig. `nonce` is the service's, at most 65,535 bytes like the audience.
 * Throws `ERR_ARGUMENT` with `field` for text that is not well-formed or too long.
 */
export function proveLogin(
  device: DeviceSecrets,
  claim: StoreClaim & { readonly audience: string; readonly nonce: Uint8Array },
  rng: Rng,
): Uint8Array {
  const { nonce, storeId, generation } = claim;
  const audience = encodeUtf8(claim.audience);
  if (audience === undefined || audience.length > 0xffff) throw new UsageError('ERR_ARGUMENT', 'bad audience', { field: 'audience' });
  if (nonce.length > 0xffff) throw new UsageError('ERR_ARGUMENT', 'nonce is too long', { field: 'nonce', got: nonce.length, max: 0xffff });
  const tbs = encodeLogin({ audience, nonce, account: device.account, device: device.device, storeId, generation });
  return concat(tbs, compositeSign(device.deviceKey.secretKey, tbs, 'login', rng));
}

/**
 * Verifies a proof for `audience`, `nonce` and `address`, made by a device that `identity` (AIK ‖ lp16(list) ‖ DIK) lists.
 * Whose account H(AIK) is, and whether there is a newer list, are the caller's questions. Throws `ERR_SIGNATURE` for every fault.
 */
export function verifyLogin(
  proof: Uint8Array,
  expected: { readonly audience: string; readonly nonce: Uint8Array; readonly address: Address; readonly identity: Uint8Array },
): StoreClaim & ProvenAccount {
  try {
    const { accountKey, deviceList, deviceKey } = parseIdentity(expected.identity);
    const list = verifyDeviceList(deviceList, accountKey);
    const login = parseLogin(proof);
    const { account, device } = expected.address;
    const audience = decodeUtf8(login.audience);
    const isListed = list.entries.some((entry) => entry.device === device && equal(entry.keyHash, keyHash(deviceKey)));
    const isExpected = login.account === account && list.account === account && login.device === device;
    const isAnswer = audience === expected.audience && equal(login.nonce, expected.nonce);
    if (isListed && isExpected && isAnswer && compositeVerify(deviceKey, login.tbs, 'login', login.signature)) {
      const devices = list.entries.map((entry) => ({ device: entry.device, keyHash: entry.keyHash }));
      const { storeId, generation } = login;
      return { storeId, generation, accountKeyHash: list.accountKeyHash, listVersion: list.version, devices };
    }
  } catch (error) {
    throw error instanceof CyphrError ? loginRefused(error) : error;
  }
  throw loginRefused();
}

/** What an earlier proof says, if `device` itself signed it; else `undefined`, for any bytes. */
export function readOwnLogin(device: DeviceSecrets, proof: Uint8Array): (StoreClaim & { readonly audience: string }) | undefined {
  try {
    const { tbs, signature, storeId, generation, ...login } = parseLogin(proof);
    const audience = decodeUtf8(login.audience);
    const isOwn = login.account === device.account && login.device === device.device;
    if (audience === undefined || !isOwn || !compositeVerify(device.deviceKey.publicKey, tbs, 'login', signature)) return undefined;
    return { audience, storeId, generation };
  } catch (error) {
    if (error instanceof CyphrError) return undefined;
    throw error;
  }
}

function loginRefused(cause?: unknown): AuthError {
  return new AuthError('ERR_SIGNATURE', 'login did not verify', { cause });
}
