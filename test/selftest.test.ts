/** The self-test passes, is of the published vectors, and fails where anything below it is broken. */

import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Backend } from '../src/crypto/backend/backend.js';
import { backend } from '../src/crypto/backend/chosen.js';
import { CASES } from '../src/selftest/cases.js';
import { converse } from '../src/selftest/conversation.js';
import { type SelftestReport, selftest } from '../src/selftest/index.js';
import { primitiveAnswers } from '../src/selftest/primitives.js';
import { seededRng } from '../src/testing/rng.js';
import { PLAYERS } from '../src/vectors/play.js';
import { playCase } from '../src/vectors/player.js';
import type { VectorCase } from '../src/vectors/schema.js';
import { runCommand } from './cli/run.js';

/** What is broken: a name of an operation, and what it answers then. */
const broken = vi.hoisted(() => ({ padding: false, x25519: false, verify: '', believes: false, argon2: false }));
/** Of a broken verification no more than the length is left. */
const verifying = vi.hoisted(
  () =>
    <A extends readonly [unknown, unknown, unknown, Uint8Array]>(name: string, real: (...args: A) => boolean, lengthBytes: number) =>
    (...args: A): boolean =>
      broken.verify === name ? broken.believes && args[3].length === lengthBytes : real(...args),
);
vi.mock('../src/wire/padding.js', async (original) => {
  const real = await original<typeof import('../src/wire/padding.js')>();
  return { ...real, padme: (length: number) => real.padme(length) + (broken.padding ? 1 : 0) };
});
vi.mock('../src/crypto/backend/node.js', async (original) => {
  const { backend: real, ...rest } = await original<typeof import('../src/crypto/backend/node.js')>();
  const x25519: Backend['x25519'] = (secretKey, publicKey) =>
    real.x25519(secretKey, publicKey).map((byte, i) => byte ^ (broken.x25519 && i === 0 ? 1 : 0));
  return { ...rest, backend: { ...real, x25519 } };
});
vi.mock('../src/crypto/slh-dsa.js', async (original) => {
  const real = await original<typeof import('../src/crypto/slh-dsa.js')>();
  return { ...real, slhVerify: verifying('slh', real.slhVerify, 16_224) };
});
vi.mock('../src/crypto/composite.js', async (original) => {
  const real = await original<typeof import('../src/crypto/composite.js')>();
  return { ...real, compositeVerify: verifying('composite', real.compositeVerify, real.COMPOSITE_SIGNATURE_BYTES) };
});
vi.mock('../src/crypto/passphrase.js', async (original) => {
  const real = await original<typeof import('../src/crypto/passphrase.js')>();
  const argon2: typeof real.argon2 = (...args) => (broken.argon2 ? new Uint8Array(32) : real.argon2(...args));
  return { ...real, argon2 };
});
beforeEach(() => Object.assign(broken, { padding: false, x25519: false, verify: '', argon2: false }));

const failedOf = ({ tests }: SelftestReport): string[] => tests.filter(({ ok }) => !ok).map(({ group, name }) => `${group} ${name}`);
const EXPECTED = ['primitive', 'layer', 'conversation'];

test('passes here, says what it did, and can be repeated', async () => {
  const steps: string[] = [];
  const report = await selftest({ progress: (done, total, name) => void steps.push(`${done}/${total} ${name}`) });
  expect(failedOf(report)).toEqual([]);
  expect(report.ok).toBe(true);
  expect(steps).toEqual(report.tests.map(({ name }, i) => `${i}/${report.tests.length} ${name}`));
  expect([...new Set(report.tests.map(({ group }) => group))]).toEqual(EXPECTED);
  for (const { name, count } of report.tests) expect(count, name).toBeGreaterThan(0);
  for (const { name, group, count } of report.tests) if (group === 'conversation') expect(count, name).toBeGreaterThan(200);
  expect(report.backend.map(({ operation }) => operation)).toContain('X25519');
  expect(report.backend.find(({ operation }) => operation === 'ML-DSA-65 signing')).toMatchObject({ by: 'javascript' });
  expect(converse(2, seededRng(`${report.seed}/2`), 0).count).toBe(report.tests.at(-2)!.count);
});

test('a wrong platform makes it fail, loudly', async () => {
  broken.x25519 = true;
  const report = await selftest();
  expect(report.ok).toBe(false);
  expect(failedOf(report)).toEqual(expect.arrayContaining(['primitive X25519', 'layer seal', 'layer ratchet-keys']));
});

test('a wrong layer makes it fail', async () => {
  broken.padding = true;
  const report = await selftest();
  expect(report.ok).toBe(false);
  expect(report.tests.find(({ ok }) => !ok)).toMatchObject({ name: expect.any(String), why: expect.any(String) });
  expect(failedOf(report)).toContain('layer padding');
});

describe('above the backend', () => {
  test.each([
    ['slh', true, 'root-statement'],
    ['slh', false, 'root-statement'],
    ['composite', true, 'composite'],
    ['composite', false, 'composite'],
  ])('%s verification that always says %s', (verify, believes, kind) => {
    const wrong = (): string[] =>
      CASES.map((text) => JSON.parse(text))
        .filter((each) => each.kind === kind)
        .flatMap(({ given, cases }) => cases.map((one: VectorCase) => playCase(PLAYERS[kind]!, given, one)))
        .filter((why) => why !== undefined);
    expect(wrong()).toEqual([]);
    Object.assign(broken, { verify, believes });
    expect(wrong()).not.toEqual([]);
  });

  test('Argon2id', () => {
    const why = (): string | undefined => primitiveAnswers(backend)['Argon2id']!().why;
    expect(why()).toBeUndefined();
    broken.argon2 = true;
    expect(why()).toBeDefined();
  });
});

describe('every operation of a backend', () => {
  const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
  const kem = (member: 'mlKem768' | 'mlKem1024', part: Partial<Backend['mlKem768']>): Partial<Backend> => ({
    [member]: { ...backend[member], ...part },
  });
  const { keccak } = backend;
  test.each<[string, string, Partial<Backend>]>([
    ['SHA3-256', 'SHA-3', { keccak: { ...keccak, sha3_256: (data) => flip(keccak.sha3_256(data)) } }],
    ['SHA3-512', 'SHA-3', { keccak: { ...keccak, sha3_512: (data) => flip(keccak.sha3_512(data)) } }],
    ['SHAKE128', 'SHA-3', { keccak: { ...keccak, shake128: (data, length) => flip(keccak.shake128(data, length)) } }],
    ['SHAKE256', 'SHA-3', { keccak: { ...keccak, shake256: (data, length) => flip(keccak.shake256(data, length)) } }],
    ['X25519 keys', 'X25519', { x25519PublicKey: (secretKey) => flip(backend.x25519PublicKey(secretKey)) }],
    ['X25519', 'X25519', { x25519: (secretKey, publicKey) => flip(backend.x25519(secretKey, publicKey)) }],
    ['Ed25519 keys', 'Ed25519', { ed25519PublicKey: (seed) => flip(backend.ed25519PublicKey(seed)) }],
    ['Ed25519 signing', 'Ed25519', { ed25519Sign: (seed, message) => flip(backend.ed25519Sign(seed, message)) }],
    ['Ed25519 believing', 'Ed25519', { ed25519Verify: () => true }],
    ['Ed25519 refusing', 'Ed25519', { ed25519Verify: () => false }],
    ['ML-KEM-768 keys', 'ML-KEM-768', kem('mlKem768', { publicKey: (seed) => flip(backend.mlKem768.publicKey(seed)) })],
    [
      'ML-KEM-768',
      'ML-KEM-768',
      kem('mlKem768', { decapsulate: (seed, ciphertext) => flip(backend.mlKem768.decapsulate(seed, ciphertext)) }),
    ],
    ['ML-KEM-1024 keys', 'ML-KEM-1024', kem('mlKem1024', { publicKey: (seed) => flip(backend.mlKem1024.publicKey(seed)) })],
    ['ML-KEM-1024', 'ML-KEM-1024', kem('mlKem1024', { decapsulate: () => new Uint8Array(32) })],
    ['ML-DSA keys', 'ML-DSA-65', { mlDsa65PublicKey: (seed) => flip(backend.mlDsa65PublicKey(seed)) }],
    ['ML-DSA signing', 'ML-DSA-65', { mlDsa65Sign: (...args) => flip(backend.mlDsa65Sign(...args)) }],
    ['ML-DSA believing', 'ML-DSA-65', { mlDsa65Verify: () => true }],
    ['ML-DSA refusing', 'ML-DSA-65', { mlDsa65Verify: () => false }],
  ])('%s', (_, primitive, part) => {
    const run = (of: Backend): boolean => {
      try {
        return primitiveAnswers(of)[primitive]!().why === undefined;
      } catch {
        return false;
      }
    };
    expect([run(backend), run({ ...backend, ...part })]).toEqual([true, false]);
  });
});

test('its cases are those of the published vectors', () => {
  const folder = new URL('../test-vectors/', import.meta.url);
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')));
  for (const text of CASES) {
    const { kind, given, cases } = JSON.parse(text);
    const published = files.find((file) => file.kind === kind && file.cases.some((each: { id: string }) => each.id === cases[0].id));
    expect(published.given ?? {}, kind).toMatchObject(given);
    for (const one of cases) expect(published.cases, `${kind} ${one.id}: npx tsx scripts/selftest-cases.ts`).toContainEqual(one);
  }
});

test('as a command', async () => {
  const { code, out, err } = await runCommand('selftest', '--json');
  const report = JSON.parse(out) as SelftestReport;
  expect([code, err, failedOf(report)]).toEqual([0, '', []]);
  expect(report.tests.length).toBeGreaterThan(20);
});
