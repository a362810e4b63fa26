import { readFileSync } from 'node:fs';
import { ed25519 } from '@noble/curves/ed25519.js';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { slh_dsa_sha2_128f, slh_dsa_sha2_256s } from '@noble/post-quantum/slh-dsa.js';
import { describe, expect, it } from 'vitest';
import { concat, equal, toHex } from '../../src/bytes.js';
import { labelBytes } from '../../src/crypto/labels.js';
import { joined, playAcvp } from '../../src/vectors/third-party/acvp.js';
import { BACKENDS, KEM_BACKENDS } from '../crypto/backends.js';
import { describeVectors, hex, readJson } from './folder.js';

type Test = { readonly tcId: number; readonly testPassed?: boolean } & Readonly<Record<string, string>>;
interface Group {
  readonly parameterSet?: string;
  readonly function?: string;
  readonly signatureInterface?: string;
  readonly preHash?: string | boolean;
  readonly tests: readonly Test[];
}

/** Runs `check` on the tests of the groups that `choose` takes; at least one. */
function everyTest(name: string, choose: Partial<Group>, check: (test: Test) => void): void {
  const groups = readJson<{ testGroups: readonly Group[] }>(name).testGroups.filter((group) =>
    Object.entries(choose).every(([member, value]) => group[member as keyof Group] === value),
  );
  expect(groups.length).toBeGreaterThan(0);
  for (const { tests } of groups) for (const test of tests) check(test);
}

const KEMS = [
  { parameterSet: 'ML-KEM-768', noble: ml_kem768 },
  { parameterSet: 'ML-KEM-1024', noble: ml_kem1024 },
] as const;

/** What the library itself has, on every backend: how many tests of each file are not for it. */
const FILES: readonly (readonly [name: string, what: string, foreign: number])[] = [
  ['ML-KEM-keyGen-FIPS203', 'keys of d ‖ z', 0],
  ['ML-KEM-encapDecap-FIPS203', 'T04: encapsulates, and checks encapsulation keys', 40],
  ['ML-DSA-keyGen-FIPS204', 'keys of a seed', 25],
  ['ML-DSA-sigVer-FIPS204', 'T06: verifies with contexts', 45],
  ['XECDH-keyVer-RFC7748', 'checks lengths, and bit 255 besides', 0],
  ['EDDSA-SigVer-1.0', 'verifies', 5],
  ['HMAC-SHA2-256-2.0', 'tags, cut as asked', 0],
];

for (const [file, what, foreign] of FILES) {
  describeVectors(`acvp/${file}.json`, (name) => {
    it.each(file.startsWith('ML-KEM') ? KEM_BACKENDS : BACKENDS)(`%s: ${what}`, (_, backend) => {
      const outcomes = [...playAcvp(readJson(name), backend)!];
      expect(outcomes.filter(({ ok }) => ok === false)).toEqual([]);
      expect(outcomes.filter(({ ok }) => ok === undefined)).toHaveLength(foreign);
      expect(outcomes.length).toBeGreaterThan(foreign);
    });

    it('a prompt and its expected results are the same, and one that is wrong is found', () => {
      const whole = readJson<{ testGroups: readonly (Group & { tgId: number })[] }>(name);
      const given = (of: readonly string[], keep: boolean) => ({
        ...whole,
        testGroups: whole.testGroups.map((group) => ({
          ...group,
          tests: group.tests
            .slice(0, 3)
            .map((test) =>
              Object.fromEntries(Object.entries(test).filter(([member]) => member === 'tcId' || of.includes(member) === keep)),
            ),
        })),
      });
      const answers = /keyGen/.test(name) ? ['ek', 'dk', 'pk', 'sk'] : ['c', 'k', 'mac', 'testPassed', 'reason'];
      const [prompt, expected] = [given(answers, false), given(answers, true)];
      const play = (answer: unknown) => [...playAcvp(joined([{ acvVersion: '1.0' }, prompt], answer), BACKENDS[0]![1])!];
      expect(play(expected)).toEqual([...playAcvp(given([], false), BACKENDS[0]![1])!]);
      expect(play(expected).every(({ ok }) => ok !== false)).toBe(true);
      const wrong = JSON.parse(JSON.stringify(expected), (member, value) =>
        typeof value === 'boolean'
          ? !value
          : answers.includes(member) && typeof value === 'string'
            ? `${value.slice(0, -1)}${value.endsWith('0') ? 1 : 0}`
            : value,
      );
      expect(play(wrong).some(({ ok }) => ok === false)).toBe(true);
    });
  });
}

// No file that can be had has this parameter set: a statement that OpenSSL has signed, in the form of ACVP.
it('SLH-DSA-SHA2-192s: verifies with contexts', () => {
  const vectors = JSON.parse(readFileSync(new URL('../../test-vectors/root-statement.json', import.meta.url), 'utf8'));
  const statement: string = vectors.cases.find(({ id }: { id: string }) => id === 'verify-openssl').inputs.statement;
  const [message, signature] = [statement.slice(0, -2 * 16_224), statement.slice(-2 * 16_224)];
  const right = { pk: vectors.given.rootKey, message, context: toHex(labelBytes('id/root')), signature, testPassed: true };
  const wrong = [
    { message: `${message}00` },
    { context: '' },
    { context: 'ab'.repeat(256) },
    { signature: signature.slice(2) },
    { pk: right.pk.slice(2) },
  ].map((part) => ({ ...right, ...part, testPassed: false }));
  const play = (parameterSet: string) => {
    const group = { tgId: 1, parameterSet, signatureInterface: 'external', preHash: 'pure' };
    const tests = [right, ...wrong].map((test, i) => ({ tcId: i + 1, ...test }));
    const file = { algorithm: 'SLH-DSA', mode: 'sigVer', revision: 'FIPS205', testGroups: [{ ...group, tests }] };
    return [...playAcvp(file, BACKENDS[0]![1])!].map(({ ok }) => ok);
  };
  expect(play('SLH-DSA-SHA2-192s')).toEqual(new Array(6).fill(true));
  expect(play('SLH-DSA-SHA2-128s')).toEqual(new Array(6).fill(undefined));
});

// What the library has no function for, and stands on.
describeVectors('acvp/ML-KEM-keyGen-FIPS203.json', (name) => {
  it.each(KEMS)('$parameterSet: expanded keys of d ‖ z', ({ parameterSet, noble }) => {
    everyTest(name, { parameterSet }, (test) => {
      const seed = concat(hex(test['d']!), hex(test['z']!));
      expect(equal(noble.keygen(seed).secretKey, hex(test['dk']!)), `tcId ${test.tcId}`).toBe(true);
    });
  });
});

describeVectors('acvp/ML-KEM-encapDecap-FIPS203.json', (name) => {
  describe.each(KEMS)('$parameterSet', ({ parameterSet, noble }) => {
    it('T05: the primitive decapsulates with expanded keys, modified ciphertexts too', () => {
      everyTest(name, { parameterSet, function: 'decapsulation' }, (test) => {
        expect(equal(noble.decapsulate(hex(test['c']!), hex(test['dk']!)), hex(test['k']!)), `tcId ${test.tcId}`).toBe(true);
      });
    });
    it('T04: the primitive checks the hash in expanded keys', () => {
      const ciphertext = new Uint8Array(noble.lengths.cipherText!);
      everyTest(name, { parameterSet, function: 'decapsulationKeyCheck' }, (test) => {
        const decapsulate = expect(() => noble.decapsulate(ciphertext, hex(test['dk']!)), `tcId ${test.tcId}`);
        if (test.testPassed) decapsulate.not.toThrow();
        else decapsulate.toThrow();
      });
    });
  });
});

const parameterSet = 'ML-DSA-65';

describeVectors('acvp/ML-DSA-keyGen-FIPS204.json', (name) => {
  it('expanded keys of a seed', () => {
    everyTest(name, { parameterSet: 'ML-DSA-65' }, (test) => {
      expect(equal(ml_dsa65.keygen(hex(test['seed']!)).secretKey, hex(test['sk']!)), `tcId ${test.tcId}`).toBe(true);
    });
  });
});

describeVectors('acvp/ML-DSA-sigGen-FIPS204.json', (name) => {
  it('the primitive signs with expanded keys', () => {
    everyTest(name, { parameterSet, signatureInterface: 'external' }, (test) => {
      const options = { context: hex(test['context']!), extraEntropy: false as const };
      const signature = ml_dsa65.sign(hex(test['message']!), hex(test['sk']!), options);
      expect(equal(signature, hex(test['signature']!)), `tcId ${test.tcId}`).toBe(true);
    });
    everyTest(name, { parameterSet, signatureInterface: 'internal' }, (test) => {
      const signature = ml_dsa65.internal.sign(hex(test['mu']!), hex(test['sk']!), { externalMu: true, extraEntropy: false });
      expect(equal(signature, hex(test['signature']!)), `tcId ${test.tcId}`).toBe(true);
    });
  });
});

describeVectors('acvp/ML-DSA-sigVer-FIPS204.json', (name) => {
  it('the primitive verifies external mu', () => {
    everyTest(name, { parameterSet, signatureInterface: 'internal' }, (test) => {
      const verdict = ml_dsa65.internal.verify(hex(test['signature']!), hex(test['mu']!), hex(test['pk']!), { externalMu: true });
      expect(verdict, `tcId ${test.tcId}`).toBe(test.testPassed);
    });
  });
});

// The published files that can be had leave out SHA2-192s, which test/identity/root.test.ts compares with OpenSSL. 256s runs through the same code.// The published files that can be had leave out SHA2-192s, which test/identity/root.test.ts compares with OpenSSL. 256s runs through the same code.
describeVectors('acvp/SLH-DSA-keyGen-FIPS205.json', (name) => {
  it('keys of SHA2-256s, of a seed', () => {
    everyTest(name, { parameterSet: 'SLH-DSA-SHA2-256s' }, (test) => {
      const { publicKey, secretKey } = slh_dsa_sha2_256s.keygen(concat(hex(test['skSeed']!), hex(test['skPrf']!), hex(test['pkSeed']!)));
      expect(equal(secretKey, hex(test['sk']!)), `tcId ${test.tcId}`).toBe(true);
      expect(equal(publicKey, hex(test['pk']!)), `tcId ${test.tcId}`).toBe(true);
    });
  }, 60_000);
});

describeVectors('slh-dsa/siggen-digests.json', (name) => {
  it('SHA2-128f signs as OpenSSL does', () => {
    const { tests } = readJson<{ tests: readonly Record<string, string>[] }>(name);
    const [test] = tests.filter(({ parameterSet }) => parameterSet === 'SLH-DSA-SHA2-128f');
    const signature = slh_dsa_sha2_128f.sign(hex(test!['msg']!), hex(test!['sk']!), { extraEntropy: false });
    expect(equal(signature.subarray(0, 64), hex(test!['sigPrefix']!))).toBe(true);
  });
});

describeVectors('acvp/EDDSA-KeyVer-1.0.json', (name) => {
  it('the primitive decodes points', () => {
    everyTest(name, {}, (test) => {
      expect(ed25519.utils.isValidPublicKey(hex(test['q']!), false), `tcId ${test.tcId}`).toBe(test.testPassed);
    });
  });
});
