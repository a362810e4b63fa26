import { describe, expect, test } from 'vitest';
import { readVectors } from '../../scripts/vectors/files.js';
import { concat, copy, toHex } from '../../src/bytes.js';
import { SLH_SECRET_KEY_BYTES, slhSign, slhVerify } from '../../src/crypto/slh-dsa.js';
import { compareRootStatements, generateRootKey, signRootStatement, verifyRootStatement } from '../../src/identity/root.js';
import { inputsOf, merge } from '../../src/vectors/schema.js';
import { parseRootStatement } from '../../src/wire/objects.js';
import { testRng } from '../helpers/rng.js';

const { given, cases } = readVectors('root-statement.json')!;
const inputs = inputsOf(given!);
const rootKey = inputs.bytes('rootKey');
const statementIn = (vector: (typeof cases)[number]): Uint8Array => inputsOf(merge(given!, vector.inputs)).bytes('statement');
/** The two statements of the vectors, the second signed by OpenSSL. */
const statements = cases.filter(({ result }) => result === 'valid').map(statementIn);
const refusal = expect.objectContaining({ name: 'AuthError', code: 'ERR_SIGNATURE', message: 'root statement did not verify' });
const malformed = expect.objectContaining({ code: 'ERR_SIGNATURE', cause: expect.objectContaining({ code: 'ERR_DECODE' }) });

describe('the statements of test-vectors/root-statement.json', () => {
  test('the first comes out byte for byte', () => {
    const root = { publicKey: rootKey, secretKey: inputs.bytes('secretKey') };
    const { account, accountKeyHash, version, issuedAt } = parseRootStatement(statements[0]!);
    const statement = signRootStatement(root, { account, accountKeyHash, version }, issuedAt, () => inputs.bytes('random'));
    expect(toHex(statement)).toBe(toHex(statements[0]!));
  }, 60_000);
});

describe('verification', () => {
  test('under another root, or none', () => {
    const other = copy(rootKey);
    other[0]! ^= 1;
    for (const key of [other, new Uint8Array(48), new Uint8Array(0), rootKey.slice(1)]) {
      expect(() => verifyRootStatement(statements[0]!, key)).toThrow(refusal);
    }
  });

  test('a statement names the root that signed it, under that signature', () => {
    for (const id of ['misnamed', 'signature-last', 'other-signature', 'label']) {
      const statement = statementIn(cases.find((vector) => vector.id === id)!);
      expect(parseRootStatement(statement).rootKey.length).toBe(48);
      expect(() => verifyRootStatement(statement, rootKey), id).toThrow(refusal);
      expect(() => verifyRootStatement(statement, rootKey), id).not.toThrow(malformed);
    }
  });

  test('the cause says locally what the bytes got wrong; what is no bytes is the caller’s fault', () => {
    for (const bytes of [
      new Uint8Array(),
      statements[0]!.slice(1),
      statements[0]!.slice(0, -1),
      concat(statements[0]!, new Uint8Array(1)),
    ]) {
      expect(() => verifyRootStatement(bytes, rootKey)).toThrow(malformed);
    }
    expect(() => verifyRootStatement(null as unknown as Uint8Array, rootKey)).toThrow(TypeError);
  });

  test('T40: the primitive says no to any length', () => {
    const { tbs, signature } = parseRootStatement(statements[0]!);
    expect(slhVerify(rootKey, tbs, 'id/root', signature)).toBe(true);
    expect(slhVerify(rootKey, tbs, 'id/list', signature)).toBe(false);
    for (const length of [0, 1, 16_223]) expect(slhVerify(rootKey, tbs, 'id/root', signature.slice(0, length))).toBe(false);
    expect(slhVerify(rootKey, tbs, 'id/root', concat(signature, signature))).toBe(false);
    for (const length of [0, 47]) expect(slhVerify(rootKey.slice(0, length), tbs, 'id/root', signature)).toBe(false);
  });

  test('a wrong length of what is ours is a bug', () => {
    const bug = expect.objectContaining({ code: 'ERR_BUG' });
    expect(() => slhSign(new Uint8Array(SLH_SECRET_KEY_BYTES - 1), new Uint8Array(1), 'id/root', testRng('x'))).toThrow(bug);
    expect(() => slhSign(new Uint8Array(SLH_SECRET_KEY_BYTES), new Uint8Array(1), 'id/root', () => new Uint8Array(23))).toThrow(bug);
    expect(() => generateRootKey(() => new Uint8Array(71))).toThrow(bug);
  });
});

test('which of two statements counts', () => {
  const offered = verifyRootStatement(statements[0]!, rootKey);
  const { tbs, version } = offered;
  const compared = (known: { version: number; tbs: Uint8Array }) => compareRootStatements(known, offered);
  expect(compared({ version: version - 1, tbs })).toBe('newer');
  expect(compared({ version, tbs })).toBe('same');
  expect(compared({ version, tbs: tbs.slice(1) })).toBe('conflict');
  expect(compared({ version: version + 1, tbs })).toBe('older');
});
