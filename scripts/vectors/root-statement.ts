/** Vectors of an organisation's statements. */

import { concat } from '../../src/bytes.js';
import type { Label } from '../../src/crypto/labels.js';
import { slhSign, slhVerify } from '../../src/crypto/slh-dsa.js';
import { generateAccountKey, keyHash } from '../../src/identity/account.js';
import { generateRootKey } from '../../src/identity/root.js';
import type { Rng } from '../../src/step.js';
import { inputsOf, merge, type VectorFile } from '../../src/vectors/schema.js';
import { encodeRootStatement } from '../../src/wire/objects.js';
import { testRng } from '../../test/helpers/rng.js';
import { book, flipped, patched } from './book.js';
import { NOW } from './world.js';

/**
 * The file. A signature takes seconds: those of `known`, an earlier make, are taken over where they hold, as whoever has the same key, bytes
 * and randomness can only make the same.
 */
export function rootStatementVectors(known?: VectorFile): VectorFile {
  const seed = 'vector/organisation';
  const { give, valid, invalid, file } = book({
    kind: 'root-statement',
    section: '1.4, 2.2',
    description:
      'An organisation’s statements (0x43): SLH-DSA-SHA2-192s over all before the last 16,224 bytes, context "CYPHR/1 id/root". `secretKey` is SK.seed ‖ SK.prf ‖ public key. The first signature is hedged with the 24 bytes `random`, the second was made by OpenSSL. `tbsBytes` says where the signature begins.',
    seed,
  });
  const root = generateRootKey(testRng(seed));
  const random = testRng(`${seed}/signature`)(24);
  const accountKeyHash = keyHash(generateAccountKey(testRng(`${seed}/account`)).publicKey);
  const earlier = known?.kind === 'root-statement' ? known.cases.map(({ inputs }) => merge(known.given ?? {}, inputs)) : [];
  const sign = (tbs: Uint8Array, label: Label, hedge: Rng): Uint8Array => {
    const stored = earlier.map((inputs) => inputsOf(inputs).bytes('statement').slice(tbs.length));
    const found = stored.find((signature) => slhVerify(root.publicKey, tbs, label, signature));
    return concat(tbs, found ?? slhSign(root.secretKey, tbs, label, hedge));
  };
  const fields = { account: 'alice@example.org', accountKeyHash, version: NOW, issuedAt: NOW, rootKey: root.publicKey };
  const tbs = encodeRootStatement(fields);
  const statement = sign(tbs, 'id/root', () => random.slice());
  give({ rootKey: root.publicKey, secretKey: root.secretKey, random, statement });
  valid('verify', 'verify', {}, 'the root vouches for an account');
  const nextKeyHash = keyHash(generateAccountKey(testRng(`${seed}/next account`)).publicKey);
  const longest = { ...fields, account: 'é'.repeat(32), accountKeyHash: nextKeyHash, version: Number.MAX_SAFE_INTEGER, issuedAt: 0 };
  const foreign = sign(encodeRootStatement(longest), 'id/root', () => {
    throw new Error('the signature that OpenSSL made is missing');
  });
  valid('verify-openssl', 'verify', { statement: foreign }, 'the longest name and the greatest version, signed by another implementation');

  const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array>): void =>
    invalid(id, 'verify', 'ERR_SIGNATURE', threats, description, changed);
  const refused = (id: string, threats: string, description: string, bytes: Uint8Array): void =>
    refuse(id, threats, description, { statement: bytes });
  refused('type', 'T13', 'another type', patched(statement, 0, [0x42]));
  refused('version', 'T08 T46', 'another protocol version', patched(statement, 1, [2]));
  refused('suite', 'T08', 'another suite', patched(statement, 3, [2]));
  refused('account', 'T11', 'another account', patched(statement, 6, [0x62]));
  refused('account-key', 'T11', 'another account key', flipped(statement, 23));
  refused('newer', 'T24', 'a greater version', flipped(statement, 94));
  refused('date', 'T41', 'another date', flipped(statement, 102));
  refused('root-in-statement', 'T11', 'another root in the statement', flipped(statement, 103));
  refused('signature-first', 'T06', 'the first byte of the signature', flipped(statement, tbs.length));
  refused('signature-last', 'T06', 'the last byte of the signature', flipped(statement));
  refused('cut', 'T50', 'a byte too few', statement.slice(0, -1));
  refused('long', 'T50', 'a byte too many', concat(statement, new Uint8Array(1)));
  refused('no-signature', 'T50', 'no signature', tbs);
  refused('other-signature', 'T11', 'the signature of another statement', concat(tbs, foreign.slice(-16_224)));
  refuse('other-root', 'T11', 'the key of another organisation', { rootKey: flipped(root.publicKey) });
  const misnamed = encodeRootStatement({ ...fields, rootKey: new Uint8Array(48).fill(0xa5) });
  refused(
    'misnamed',
    'T11',
    'another root in the statement, which this one has signed',
    sign(misnamed, 'id/root', testRng(`${seed}/named`)),
  );
  refused('label', 'T06 T13', 'signed under the context of a list', sign(tbs, 'id/list', testRng(`${seed}/other`)));
  return file();
}
