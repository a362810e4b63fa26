import { createPrivateKey, sign } from 'node:crypto';
import { concat, fromHex, toHex } from '../../src/bytes.js';
import { slhSign } from '../../src/crypto/slh-dsa.js';
import { generateAccountKey, keyHash } from '../../src/identity/account.js';
import { generateRootKey, signRootStatement } from '../../src/identity/root.js';
import { encodeRootStatement, type RootStatementFields } from '../../src/wire/objects.js';
import { testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;
/** PrivateKeyInfo of RFC 9909 up to the 96 bytes of the secret key, and SubjectPublicKeyInfo up to the 48 of the public one. */
const PKCS8_HEAD = fromHex('3072020100300b06096086480165030403160460')!;
export const SPKI_HEAD = fromHex('3040300b0609608648016503040316033100')!;

/** A statement that verifies. */
export interface RootVector extends Readonly<Record<'description' | 'account' | 'accountKeyHash' | 'statement', string>> {
  readonly version: number;
  readonly issuedAt: number;
}

/** A statement that must be refused: that of `cases[of]` with `bytes` written over it at `offset`, then cut to `length` if there is one. */
export interface BadRootVector {
  readonly why: string;
  readonly of: number;
  readonly offset: number;
  readonly bytes: string;
  readonly length?: number;
  readonly code: 'ERR_SIGNATURE';
}

/** The file `test-vectors/root-statement.json`. */
export interface RootVectors extends Readonly<Record<'description' | 'publicKey' | 'secretKey', string>> {
  readonly cases: readonly RootVector[];
  readonly refused: readonly BadRootVector[];
}

const accountKeyHash = keyHash(generateAccountKey(testRng('vector/organisation/account')).publicKey);
const nextKeyHash = keyHash(generateAccountKey(testRng('vector/organisation/next account')).publicKey);

/** The first case alone, which takes one signature. */
export function firstRootCase(): RootVector {
  const root = generateRootKey(testRng('vector/organisation'));
  const fields = { account: 'alice@example.org', accountKeyHash, version: NOW };
  const statement = signRootStatement(root, fields, NOW, testRng('vector/organisation/signature'));
  return vector('the root vouches for an account', { ...fields, issuedAt: NOW, rootKey: root.publicKey }, statement);
}

/** Computes the file; needs Node 24 or later, whose OpenSSL signs the second case. Its signature is deterministic, so the file is the same each time. */
export function rootVectors(): RootVectors {
  const root = generateRootKey(testRng('vector/organisation'));
  const first = firstRootCase();
  const longest: RootStatementFields = {
    account: 'é'.repeat(32),
    accountKeyHash: nextKeyHash,
    version: Number.MAX_SAFE_INTEGER,
    issuedAt: 0,
    rootKey: root.publicKey,
  };
  const tbs = encodeRootStatement(longest);
  const key = createPrivateKey({ key: Buffer.from(concat(PKCS8_HEAD, root.secretKey)), format: 'der', type: 'pkcs8' });
  const signature = new Uint8Array(sign(null, tbs, { key, context: Buffer.from('CYPHR/1 id/root') } as Parameters<typeof sign>[2]));
  const head = fromHex(first.statement)!.length - 16_224;
  const firstTbs = fromHex(first.statement)!.slice(0, head);
  const bad = (why: string, offset: number, bytes: Uint8Array, length?: number): BadRootVector => ({
    why,
    of: 0,
    offset,
    bytes: toHex(bytes),
    ...(length !== undefined && { length }),
    code: 'ERR_SIGNATURE',
  });
  const other = new Uint8Array(8).fill(0xa5);
  const misnamed = { publicKey: new Uint8Array(48).fill(0xa5), secretKey: root.secretKey };
  return {
    description:
      'RootStatements (0x43) of protocol version 1, suite 0x0001: SLH-DSA-SHA2-192s over all before the last 16,224 bytes, context "CYPHR/1 id/root". ' +
      'publicKey and secretKey (SK.seed, SK.prf, public key) are of the seed of 72 bytes that SHA-256("vector/organisation" ‖ "/" ‖ decimal counter) gives, counter from 0, concatenated; ' +
      'the first signature is hedged with 24 bytes of the stream of "vector/organisation/signature", the second is deterministic and made by OpenSSL. ' +
      'In `refused`, `bytes` stand over cases[of].statement from `offset` on, and what is behind `length` bytes is cut away.',
    publicKey: toHex(root.publicKey),
    secretKey: toHex(root.secretKey),
    cases: [first, vector('the longest name and the greatest version, signed by another implementation', longest, concat(tbs, signature))],
    refused: [
      bad('another type', 0, new Uint8Array([0x42])),
      bad('another protocol version', 1, new Uint8Array([2])),
      bad('another suite', 3, new Uint8Array([2])),
      bad('another account', 6, other),
      bad('another account key', 23, other),
      bad('a greater version', 87, new Uint8Array([0, 0x1f])),
      bad('another date', 95, new Uint8Array([0, 1])),
      bad('another root in the statement', 103, other),
      bad('the first byte of the signature', head, new Uint8Array([first.statement.startsWith('00', 2 * head) ? 1 : 0])),
      bad('the last bytes of the signature', head + 16_224 - 8, other),
      bad('a byte too few', 0, new Uint8Array(0), head + 16_223),
      bad('a byte too many', head + 16_224, new Uint8Array(1)),
      bad(
        'another root in the statement, which this one has signed',
        0,
        signRootStatement(misnamed, { account: first.account, accountKeyHash, version: NOW }, NOW, testRng('vector/organisation/named')),
      ),
      bad('no signature', 0, new Uint8Array(0), head),
      bad(
        'the signature of another context, id/list',
        head,
        slhSign(root.secretKey, firstTbs, 'id/list', testRng('vector/organisation/other')),
      ),
    ],
  };
}

function vector(
  description: string,
  { account, accountKeyHash: hash, version, issuedAt }: RootStatementFields,
  statement: Uint8Array,
): RootVector {
  return { description, account, accountKeyHash: toHex(hash), version, issuedAt, statement: toHex(statement) };
}
