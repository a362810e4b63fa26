/**
 * Root statements (0x43, section 2.2): an organisation's offline key says which account key is whose.
 *
 * Knows one signature and which of two statements counts; knows no pins. What a statement does to trust is the client's.
 */

import { concat, equal } from '../bytes.js';
import { slhGenerate, slhSign, slhVerify } from '../crypto/slh-dsa.js';
import { AuthError, DecodeError } from '../errors.js';
import type { KeyPair, Rng } from '../step.js';
import { encodeRootStatement, parseRootStatement, type RootStatementFields } from '../wire/objects.js';

declare const verified: unique symbol;

/** A statement whose signature was checked under the organisation's key. Only `verifyRootStatement` makes one. */
export interface VerifiedRootStatement extends RootStatementFields {
  readonly [verified]: 'VerifiedRootStatement';
  /** What is signed: the statement without its signature, 135 to 198 bytes. */
  readonly tbs: Uint8Array;
}

/** Makes an organisation's root from 72 bytes of `rng`: public key 48, secret key 96 bytes, which the caller owns and wipes. */
export function generateRootKey(rng: Rng): KeyPair {
  return slhGenerate(rng);
}

/**
 * Signs a RootStatement (ctx `id/root`): TBS‖sig, 16,358 bytes and the account's name. Blocks for 2 to 8 s. Draws 24 bytes from `rng`.
 * Throws `ERR_BUG` on a field that does not fit.
 */
export function signRootStatement(
  root: KeyPair,
  statement: Pick<RootStatementFields, 'account' | 'accountKeyHash' | 'version'>,
  nowMs: number,
  rng: Rng,
): Uint8Array {
  const tbs = encodeRootStatement({ ...statement, issuedAt: nowMs, rootKey: root.publicKey });
  return concat(tbs, slhSign(root.secretKey, tbs, 'id/root', rng));
}

/**
 * Verifies RootStatement TBS‖sig under the organisation's public key, 48 bytes, which it must also name. For whom it is, and whether a
 * newer one is known, are the caller's questions. Throws `ERR_SIGNATURE` for every fault.
 */
export function verifyRootStatement(bytes: Uint8Array, rootKey: Uint8Array): VerifiedRootStatement {
  try {
    const { signature, ...statement } = parseRootStatement(bytes);
    if (equal(statement.rootKey, rootKey) && slhVerify(rootKey, statement.tbs, 'id/root', signature)) {
      return statement as Omit<VerifiedRootStatement, typeof verified> as VerifiedRootStatement;
    }
  } catch (error) {
    throw error instanceof DecodeError ? refused(error) : error;
  }
  throw refused();
}

/**
 * What a statement is beside one of the same organisation and account that is known: `newer`, `same`, `older`, or `conflict`, with the
 * version of the known one and other content. Only a newer one counts.
 */
export function compareRootStatements(
  known: Pick<RootStatementFields, 'version'> & { readonly tbs: Uint8Array },
  offered: VerifiedRootStatement,
): 'newer' | 'same' | 'older' | 'conflict' {
  if (offered.version !== known.version) return offered.version > known.version ? 'newer' : 'older';
  return equal(offered.tbs, known.tbs) ? 'same' : 'conflict';
}

function refused(cause?: unknown): AuthError {
  return new AuthError('ERR_SIGNATURE', 'root statement did not verify', { cause });
}
