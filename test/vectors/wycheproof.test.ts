import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { expect, it } from 'vitest';
import { equal } from '../../src/bytes.js';
import type { Backend } from '../../src/crypto/backend/backend.js';
import { backend as chosen } from '../../src/crypto/backend/chosen.js';
import type { Outcome } from '../../src/vectors/third-party/outcome.js';
import { playWycheproof } from '../../src/vectors/third-party/wycheproof.js';
import { BACKENDS, KEM_BACKENDS } from '../crypto/backends.js';
import { describeVectors, hex, readJson } from './folder.js';

interface File {
  readonly numberOfTests: number;
  readonly testGroups: readonly {
    readonly privateSeed?: string;
    readonly tests: readonly Readonly<Record<string, string>>[];
  }[];
}

it('the backend that runs here is one of those that are tried', () => {
  expect(BACKENDS.map(([, backend]) => backend)).toContain(chosen);
});

/** What each file has for this library, and why it matters. `foreign`: tests of what it has not. */
const FILES: readonly (readonly [name: string, what: string, foreign?: number])[] = [
  ['x25519', 'T01: every public key of small order or not canonical is refused, the others agree'],
  ['ed25519', 'verifies what is valid and nothing else'],
  ['mlkem_768', 'T05: decapsulates, implicitly rejects, and refuses wrong lengths'],
  ['mlkem_1024', 'T05: decapsulates, implicitly rejects, and refuses wrong lengths'],
  ['mlkem_768_encaps', 'T04: encapsulates to what is valid, refuses coefficients from q and wrong lengths'],
  ['mlkem_1024_encaps', 'T04: encapsulates to what is valid, refuses coefficients from q and wrong lengths'],
  ['mlkem_768_keygen_seed', 'the encapsulation key of a seed'],
  ['mlkem_1024_keygen_seed', 'the encapsulation key of a seed'],
  ['mldsa_65_verify', 'T06: verifies what is valid and nothing else: hints, norms, lengths, contexts'],
  ['mldsa_65_sign_seed', 'signs what is valid, bit for bit, and refuses wrong seeds and contexts', 17],
  ['chacha20_poly1305', 'T50: seals and opens what is valid, refuses the rest and every truncation of a tag'],
  ['xchacha20_poly1305', 'T50: seals and opens what is valid, refuses the rest and every truncation of a tag'],
  ['hkdf_sha256', 'derives what is valid and refuses outputs that are too long'],
  ['hkdf_sha512', 'derives what is valid and refuses outputs that are too long'],
  ['hmac_sha256', 'tags, cut as asked'],
];
/** Files that no backend has a part in are played once. */
const backendsOf = (name: string): typeof BACKENDS =>
  /poly1305|sha|sign/.test(name) ? BACKENDS.slice(0, 1) : /mlkem/.test(name) ? KEM_BACKENDS : BACKENDS;
const path = (name: string): string => `wycheproof/${name}_test.json`;

function play(file: unknown, backend: Backend): Outcome[] {
  return [...playWycheproof(file, backend)!];
}

for (const [name, what, foreign = 0] of FILES) {
  describeVectors(path(name), () => {
    it.each(backendsOf(name))(`${what}, %s`, (_, backend) => {
      const file = readJson<File>(path(name));
      const outcomes = play(file, backend);
      expect(outcomes.filter(({ ok }) => ok === false)).toEqual([]);
      expect([outcomes.length, outcomes.filter(({ ok }) => ok === undefined).length]).toEqual([file.numberOfTests, foreign]);
    });

    it('an answer with one other digit is found', () => {
      const file = readJson<File>(path(name));
      const tests = file.testGroups.flatMap((group) => group.tests);
      const answer = ['shared', 'K', 'ek', 'sig', 'okm', 'tag'].find((member) => member in tests[0]!)!;
      const isPlayed = (test: (typeof tests)[number]): boolean =>
        test['result'] === 'valid' && test[answer] !== '' && !(name.includes('sign') && test['msg'] === undefined);
      const at = tests.findIndex(isPlayed);
      const digit = tests[at]![answer]!.at(-1) === '0' ? '1' : '0';
      const broken = { ...tests[at]!, [answer]: tests[at]![answer]!.slice(0, -1) + digit };
      const group = { ...file.testGroups.find((each) => each.tests.includes(tests[at]!))!, tests: [broken] };
      const [found] = play({ ...file, testGroups: [group] }, BACKENDS[0]![1]);
      expect(found).toMatchObject({ id: `tcId ${broken['tcId']}`, ok: false });
    });
  });
}

describeVectors(path('aes_gcm'), (name) => {
  it('is not for this library', () => {
    expect(play(readJson(name), BACKENDS[0]![1]).every(({ ok }) => ok === undefined)).toBe(true);
  });
});

// What the library has no function for, and stands on.
for (const [bits, noble] of [
  ['768', ml_kem768],
  ['1024', ml_kem1024],
] as const) {
  describeVectors(path(`mlkem_${bits}_keygen_seed`), (name) => {
    it('noble: the expanded key of a seed', () => {
      for (const test of readJson<File>(name).testGroups.flatMap(({ tests }) => tests)) {
        expect(equal(noble.keygen(hex(test['seed']!)).secretKey, hex(test['dk']!)), `tcId ${test['tcId']}`).toBe(true);
      }
    });
  });
}

describeVectors(path('mldsa_65_sign_seed'), (name) => {
  it('noble: signs a hash that was made outside', () => {
    for (const { privateSeed, tests } of readJson<File>(name).testGroups) {
      for (const { tcId, msg, mu, rnd, sig, result } of tests) {
        if (msg !== undefined || result !== 'valid') continue;
        const options = { externalMu: true, extraEntropy: hex(rnd ?? '00'.repeat(32)) };
        const signature = ml_dsa65.internal.sign(hex(mu!), ml_dsa65.keygen(hex(privateSeed!)).secretKey, options);
        expect(equal(signature, hex(sig!)), `tcId ${tcId}`).toBe(true);
      }
    }
  });
});
